import assert from "node:assert/strict";
import fc from "fast-check";
import { bisect } from "./bisect.ts";

Deno.test("bisect writes all rows but those that are refused, each once", async () => {
  const worlds = fc.array(fc.boolean(), { maxLength: 200 });
  await fc.assert(fc.asyncProperty(worlds, async (isBad) => {
    const rows = isBad.map((bad, i) => ({ bad, i }));
    const written: number[] = [];
    let writes = 0;
    const refused = await bisect(rows, (part) => {
      writes++;
      const first = part.find(({ bad }) => bad);
      if (first !== undefined) return Promise.resolve({ reason: `${first.i}`, code: undefined });
      written.push(...part.map(({ i }) => i));
      return Promise.resolve(undefined);
    });
    const numbers = (bad: boolean) => rows.filter((row) => row.bad === bad).map(({ i }) => i);
    assert.deepEqual(written, numbers(false));
    assert.deepEqual(refused.map(([{ i }]) => i), numbers(true));
    assert.deepEqual(refused.map(([, { reason }]) => Number(reason)), numbers(true));
    const depth = Math.ceil(Math.log2(Math.max(2, rows.length)));
    assert.ok(writes <= 1 + 2 * depth * refused.length, `${writes} writes`);
  }));
});

Deno.test("bisect throws what is no row's fault", async () => {
  await assert.rejects(bisect([1], () => Promise.reject(new Error("gone"))), /gone/);
});
