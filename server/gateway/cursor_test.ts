import assert from "node:assert/strict";
import fc from "fast-check";
import { type Cursor, type HeldBucket, readCursor, withHead, writeCursor } from "./cursor.ts";
import { CursorSeal } from "./cursor_seal.ts";

const residual = fc.constantFrom<readonly (string | readonly string[])[]>([], ["a"], [["a", "b"]]);

Deno.test("readCursor reads what buckets of any base and any values were written", () => {
  const held = fc.uniqueArray(
    fc.record({ bucket: fc.integer({ min: 1, max: 99 }), base: fc.constantFrom(3, 9), residual }, {
      noNullPrototype: true,
    }),
    { selector: ({ bucket }) => bucket },
  ).map((list): HeldBucket[] => list.sort((a, b) => a.bucket - b.bucket));
  fc.assert(fc.property(held, (held) => {
    const cursor: Cursor = { life: "l", base: 9, lastMutationId: 4, version: 1, held };
    assert.deepEqual(readCursor(writeCursor(cursor)), cursor);
  }));
});

Deno.test("G11: a cursor has the values that rules compare with once, not for each bucket", () => {
  const values = Array.from({ length: 100 }, () => crypto.randomUUID());
  const held = Array.from(
    { length: 1_000 },
    (_, i) => ({ bucket: i + 1, base: 9, residual: [values] }),
  );
  const text = writeCursor({ life: "l", base: 9, lastMutationId: 4, version: 1, held });
  assert.ok(text.length < 12_000, `${text.length} characters`);
});

Deno.test("G6: a cursor that could not be opened again is refused when it is written", () => {
  const seal = new CursorSeal("a secret");
  assert.throws(() => seal.seal("x".repeat(800_000), "alice"), { code: "FORBIDDEN" });
});

Deno.test("withHead keeps every head within a run", () => {
  const steps = fc.array(fc.nat(3), { maxLength: 300 });
  fc.assert(fc.property(steps, (steps) => {
    let head = 0;
    const all = steps.map((step) => head += step);
    const runs = all.reduce(withHead, []);
    assert.ok(runs.length <= 128);
    for (const head of all) {
      assert.ok(
        runs.some((first, i) => i % 2 === 0 && first <= head && head <= (runs[i + 1] ?? 0)),
      );
    }
  }));
});
