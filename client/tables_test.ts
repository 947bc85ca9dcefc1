import { defineSchema, LakeSyncError } from "@lakesync/core";
import assert from "node:assert/strict";
import { type LocalDatabase, openLocal } from "./local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: {
    kinds: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        s: "string",
        i: "integer",
        n: "number",
        b: "boolean",
        t: "timestamp",
        x: "bytes",
        j: { type: "json" },
        m: "decimal(10,2)",
      },
    },
    pairs: { primaryKey: ["a", "b"], columns: { a: "string", b: "integer", v: "string" } },
    moments: { primaryKey: ["at"], columns: { at: "timestamp", v: "string" } },
  },
});

async function withLocal(work: (db: LocalDatabase<typeof SCHEMA>) => Promise<void>): Promise<void> {
  const db = await openLocal({ database: ":memory:", schema: SCHEMA });
  try {
    await work(db);
  } finally {
    await db.close();
  }
}

Deno.test("helpers convert every type both ways", async () => {
  await withLocal(async ({ tables: { kinds } }) => {
    const row = {
      id: "k",
      s: "é",
      i: 2n ** 60n,
      n: 1.5,
      b: false,
      t: "2026-01-31T09:30:00.123456Z",
      x: new Uint8Array([1, 2]),
      j: { deep: [null, true] },
      m: "1.50",
    };
    await kinds.insert(row);
    assert.deepEqual(await kinds.get("k"), row);
    await kinds.update("k", { t: new Date(1), i: 5, j: "text", b: true });
    const changed = await kinds.get("k");
    assert.deepEqual(
      [changed?.t, changed?.i, changed?.j, changed?.b],
      ["1970-01-01T00:00:00.001Z", 5, "text", true],
    );
    await kinds.update("k", { j: null, s: null });
    assert.deepEqual((await kinds.all()).map(({ j, s }) => [j, s]), [[null, null]]);
  });
});

Deno.test("helpers upsert, delete and take keys of several columns", async () => {
  await withLocal(async ({ tables: { pairs, moments } }) => {
    await pairs.upsert({ a: "x", b: 1, v: "one" });
    await pairs.upsert({ a: "x", b: 1, v: "two" });
    await pairs.insert({ a: "x", b: 2 });
    assert.deepEqual(await pairs.get({ a: "x", b: 1 }), { a: "x", b: 1, v: "two" });
    assert.equal(await pairs.update({ a: "x", b: 3 }, { v: "no" }), false);
    assert.equal(await pairs.update({ a: "x", b: 2 }, {}), true);
    assert.equal(await pairs.delete({ a: "x", b: 1 }), true);
    assert.equal(await pairs.delete({ a: "x", b: 1 }), false);
    assert.deepEqual(await pairs.all(), [{ a: "x", b: 2, v: null }]);
    await moments.insert({ at: new Date(0) });
    assert.equal((await moments.get("1970-01-01T00:00:00.000Z"))?.v, null);
  });
});

Deno.test("helpers refuse what does not fit before it reaches SQLite", async () => {
  await withLocal(async ({ tables: { kinds, pairs } }) => {
    const refused = async (call: Promise<unknown>, message: RegExp) => {
      await assert.rejects(call, (error) => {
        assert.ok(error instanceof LakeSyncError);
        assert.equal(error.code, "VALIDATION_ERROR");
        assert.match(error.message, message);
        return true;
      });
    };
    await refused(kinds.insert({ id: "k", i: 1.5 }), /kinds.i takes a whole number/);
    await refused(kinds.insert({ id: "k", m: "1,5" }), /kinds.m takes a decimal/);
    await refused(kinds.insert({ id: "k", n: NaN }), /kinds.n takes a finite number/);
    await refused(kinds.insert({ id: "k", s: "\ud800" }), /kinds.s takes text without NUL/);
    // @ts-expect-error a column that is not there
    await refused(kinds.insert({ id: "k", other: 1 }), /no column "other"/);
    // @ts-expect-error a text is not a boolean
    await refused(kinds.update("k", { b: "yes" }), /kinds.b takes true or false/);
    // @ts-expect-error the key has two columns
    await refused(pairs.get("x"), /The key of pairs is an object/);
    // @ts-expect-error the key is not whole
    await refused(pairs.get({ a: "x" }), /pairs.b takes null for no value/);
  });
});
