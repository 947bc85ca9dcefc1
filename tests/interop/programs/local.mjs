// The local database under this runtime's binding of SQLite: types, capture, crash-free reopening,
// constraints, locks, live queries and other connections behave as they do under Deno.
import assert from "node:assert/strict";
import { openLocal } from "@lakesync/client";

const schema = {
  version: 1,
  tables: {
    kinds: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        i: "integer",
        n: "number",
        b: "boolean",
        t: "timestamp",
        x: "bytes",
        j: "json",
        s: "string",
      },
    },
    pairs: { primaryKey: ["a", "b"], columns: { a: "string", b: "integer" } },
  },
};
const WIDE = { transactions: 100, deltas: 1_000, bytes: 1_000_000 };

const database = "local.db";
const first = await openLocal({ database, schema, watchMs: 0 });
const row = {
  id: "k",
  i: -(2n ** 63n),
  n: 1e308,
  b: true,
  t: "2026-01-31T09:30:00.123456Z",
  x: new Uint8Array([0, 255]),
  j: { deep: [null, 1.5, "é😀"] },
  s: "",
};
await first.tables.kinds.insert(row);
const read = await first.tables.kinds.get("k");
assert.deepEqual({ ...read, x: [...read.x] }, { ...row, x: [0, 255] });
await first.exec("INSERT INTO pairs VALUES (?, ?), (?, ?)", ['"\b\u0001', 2n ** 53n, "b", 2]);
await assert.rejects(first.exec("UPDATE kinds SET b = 2"), /LakeSync: kinds.b takes 0 or 1/);
await assert.rejects(first.exec("UPDATE kinds SET s = ?", ["a\0"]), /NUL/);
const batch = await first.nextBatch({ mutationId: 0, part: 0 }, WIDE);
const [[kinds], pairs] = batch.transactions.map(({ deltas }) => deltas);
assert.deepEqual(kinds.shape.columns, ["i", "n", "b", "t", "x", "j", "s"]);
assert.deepEqual(
  kinds.values.map((value) => value instanceof Uint8Array ? [...value] : value),
  [row.i, row.n, true, row.t, [0, 255], row.j, ""],
);
assert.deepEqual(pairs.map(({ rowId }) => rowId), [
  JSON.stringify(['"\b\u0001', "9007199254740992"]),
  '["b",2]',
]);
await first.close();

const second = await openLocal({ database, schema, watchMs: 0 });
assert.deepEqual(await second.nextBatch({ mutationId: 0, part: 0 }, WIDE), batch);
await second.exec("CREATE UNIQUE INDEX one_n ON kinds (n)");
const seen = [];
const live = second.live("SELECT count(*) AS c FROM kinds", [], ([{ c }]) => seen.push(c));
await live.ready;
const shape = { op: "PUT", table: "kinds", columns: ["n", "i"] };
await second.receive({
  changes: [
    { shape, rowId: "free", values: [2, 2n ** 60n] },
    { shape, rowId: "taken", values: [1e308, 1] },
  ],
  cursor: "c",
  complete: true,
  lastMutationId: 0,
  serverHlc: 1n,
  checkpoint: { seq: 1, buckets: [] },
});
assert.deepEqual((await second.blockedRows()).map(({ rowId }) => rowId), ["taken"]);
assert.equal((await second.tables.kinds.get("free")).i, 2n ** 60n);

const other = await openLocal({ database, schema, watchMs: 0 });
await other.exec("BEGIN IMMEDIATE");
const waiting = second.exec("DELETE FROM kinds WHERE id = 'free'");
await other.exec("INSERT INTO kinds (id) VALUES ('other')");
await other.exec("COMMIT");
await waiting;
assert.equal(await second.check(), true);
await new Promise((resolve) => setTimeout(resolve, 0));
assert.deepEqual([seen[0], seen.at(-1)], [1, 2]);
await other.close();
await second.close();
