import assert from "node:assert/strict";
import type { SchemaSpec } from "@lakesync/core";
import { databaseTest } from "../servers/tests.ts";
import { Bed } from "./testing_postgres.ts";

const KINDS = {
  version: 1,
  tables: {
    kinds: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        text: "string",
        int: "integer",
        num: "number",
        yes: "boolean",
        at: "timestamp",
        day: "date",
        ref: "uuid",
        blob: "bytes",
        meta: "json",
        price: "decimal(38,10)",
      },
    },
  },
} as const satisfies SchemaSpec;

databaseTest("postgres", "tables have native types, key, synced_at and props", async ({ url }) => {
  await using bed = new Bed(url, KINDS);
  await bed.log.begin();
  const columns = await bed.rows(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
     WHERE attrelid = 'kinds'::regclass AND attnum > 0 ORDER BY attnum`,
  );
  assert.deepEqual(columns.map(({ name, type }) => `${name} ${type}`), [
    "id text",
    "text text",
    "int bigint",
    "num double precision",
    "yes boolean",
    "at timestamp with time zone",
    "day date",
    "ref uuid",
    "blob bytea",
    "meta jsonb",
    "price numeric(38,10)",
    "synced_at timestamp with time zone",
    "props jsonb",
  ]);
});

/** Each value as it is written, and as Postgres is to show it. */
const EDGES: readonly (readonly [column: string, value: never, shown: string])[] = [
  ["text", "", ""],
  ["text", "NULL", "NULL"],
  ["text", "🎈 \"'\\{},\r\n\t", "🎈 \"'\\{},\r\n\t"],
  ["int", 2n ** 63n - 1n, "9223372036854775807"],
  ["int", -(2n ** 63n), "-9223372036854775808"],
  ["int", 2 ** 53 - 1, "9007199254740991"],
  ["num", -0, "-0"],
  ["num", 1e308, "1e+308"],
  ["num", 5e-324, "5e-324"],
  ["num", 0.1, "0.1"],
  ["yes", false, "false"],
  ["at", "2026-01-31T09:30:00.123456Z", "2026-01-31 09:30:00.123456+00"],
  ["at", "2026-01-31T09:30:00.1Z", "2026-01-31 09:30:00.1+00"],
  ["at", "9999-12-31T23:59:59.999999Z", "9999-12-31 23:59:59.999999+00"],
  ["at", "0000-02-29T00:00:00.000001Z", "0001-02-29 00:00:00.000001+00 BC"],
  ["day", "0000-02-29", "0001-02-29 BC"],
  ["day", "9999-12-31", "9999-12-31"],
  ["ref", "0188c1f0-5b5e-7cc3-98c4-dc0c0c07398f", "0188c1f0-5b5e-7cc3-98c4-dc0c0c07398f"],
  ["blob", Uint8Array.from([0, 1, 0x5c, 0x22, 255]), "\\x00015c22ff"],
  ["blob", new Uint8Array(), "\\x"],
  ["meta", { b: ['\\"', 1.5, null], a: {} }, '{"a": {}, "b": ["\\\\\\"", 1.5, null]}'],
  ["meta", "null", '"null"'],
  ["price", "-0.5", "-0.5000000000"],
  ["price", `${"9".repeat(28)}.${"9".repeat(10)}`, `${"9".repeat(28)}.${"9".repeat(10)}`],
] as unknown as (readonly [string, never, string])[];

databaseTest("postgres", "tables hold values of every type at their edges", async ({ url }) => {
  await using bed = new Bed(url, KINDS);
  await bed.log.begin();
  await bed.log.insert(
    EDGES.flatMap(([column, value], i) =>
      bed.log.commit({ op: "INSERT", table: "kinds", rowId: `r${i}`, cells: { [column]: value } })
    ),
  );
  assert.deepEqual(await bed.problems(), {});
  await bed.sql`SET TimeZone = 'UTC'`;
  for (const [i, [column, , shown]] of EDGES.entries()) {
    const [row] = await bed.rows(
      `SELECT "${column}"::text AS shown, num_nonnulls(text, int, num, yes, at, day, ref, blob, ` +
        `meta, price) AS others FROM kinds WHERE id = 'r${i}'`,
    );
    assert.deepEqual(row, { shown, others: 1 }, `${column} ${shown}`);
  }
});

databaseTest("postgres", "a cell of null is NULL, and one that goes is", async ({ url }) => {
  await using bed = new Bed(url, KINDS);
  await bed.log.begin();
  const row = { table: "kinds", rowId: "r1" };
  await bed.log.insert(bed.log.commit({ ...row, cells: { text: "a", meta: null, int: 1 } }));
  await bed.log.insert(bed.log.commit({ ...row, replaces: true, cells: { int: 2 } }));
  assert.deepEqual(await bed.rows("SELECT text, int::int, meta FROM kinds"), [
    { text: null, int: 2, meta: null },
  ]);
});

const KEYS = {
  version: 1,
  tables: {
    pairs: {
      primaryKey: ["day", "at", "no", "price", "name"],
      columns: {
        name: "string",
        day: "date",
        at: "timestamp",
        no: "integer",
        price: "decimal(8,2)",
        note: "string",
      },
    },
  },
} as const satisfies SchemaSpec;

databaseTest("postgres", "keys that are written in two ways are two rows", async ({ url }) => {
  await using bed = new Bed(url, KEYS);
  await bed.log.begin();
  const keys = [
    ["0000-01-01", "2026-01-01T00:00:00Z", "9223372036854775807", "1.0", "a"],
    ["0000-01-01", "2026-01-01T00:00:00.0Z", "9223372036854775807", "1.00", "a"],
    ["0000-01-01", "2026-01-01T00:00:00Z", -1, "1", "A"],
  ].map((key) => JSON.stringify(key));
  await bed.log.insert(
    keys.flatMap((rowId, i) =>
      bed.log.commit({ op: "INSERT", table: "pairs", rowId, cells: { note: `${i}` } })
    ),
  );
  assert.deepEqual(await bed.problems(), {});
  const found = await bed.rows(
    `SELECT day::text, at, no::text, price, name, note FROM pairs ORDER BY note`,
  );
  assert.deepEqual(found.map((row) => Object.values(row)), [
    ["0001-01-01 BC", "2026-01-01T00:00:00Z", "9223372036854775807", "1.0", "a", "0"],
    ["0001-01-01 BC", "2026-01-01T00:00:00.0Z", "9223372036854775807", "1.00", "a", "1"],
    ["0001-01-01 BC", "2026-01-01T00:00:00Z", "-1", "1", "A", "2"],
  ]);
  const second = keys[1] ?? "";
  await bed.log.insert(bed.log.commit({ op: "DELETE", table: "pairs", rowId: second }));
  assert.deepEqual(await bed.rows("SELECT note FROM pairs ORDER BY note"), [
    { note: "0" },
    { note: "2" },
  ]);
});

databaseTest("postgres", "a consumer's props survive, also while a row waits", async ({ url }) => {
  await using bed = new Bed(url, {
    version: 1,
    tables: {
      lists: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
      todos: {
        primaryKey: ["id"],
        columns: { id: "string", list: { type: "string", references: "lists" } },
      },
    },
  });
  await bed.log.begin();
  await bed.log.insert(bed.log.commit(
    { op: "INSERT", table: "lists", rowId: "l1", cells: { name: "a" } },
    { op: "INSERT", table: "todos", rowId: "t1", cells: { list: "l1" } },
  ));
  assert.deepEqual(await bed.rows("SELECT props FROM lists"), [{ props: {} }]);
  await bed.rows(`UPDATE lists SET props = '{"mine": 1}'; UPDATE todos SET props = '{"mine": 2}'`);
  await bed.log.insert(bed.log.commit({ table: "lists", rowId: "l1", cells: { name: "b" } }));
  assert.deepEqual(await bed.rows("SELECT name, props FROM lists"), [
    { name: "b", props: { mine: 1 } },
  ]);
  await bed.log.insert(bed.log.commit({ op: "DELETE", table: "lists", rowId: "l1" }));
  assert.deepEqual(await bed.rows("SELECT id FROM todos"), []);
  await bed.log.insert(
    bed.log.commit({ op: "INSERT", table: "lists", rowId: "l1", cells: { name: "c" } }),
  );
  assert.deepEqual(await bed.problems(), {});
  assert.deepEqual(await bed.rows("SELECT props FROM todos"), [{ props: { mine: 2 } }]);
  // A row that was deleted and made again is another one for its consumers.
  assert.deepEqual(await bed.rows("SELECT props FROM lists"), [{ props: {} }]);
});

databaseTest("postgres", "changes are in partitions by month, old ones go", async ({ url }) => {
  const first = Date.UTC(2026, 0, 31) + 1_000;
  await using bed = new Bed(url, KINDS);
  await bed.log.begin();
  await bed.log.insert(bed.log.commit({ table: "kinds", rowId: "r1", cells: { int: 1 } }));
  const parts = () =>
    bed.rows(
      `SELECT inhrelid::regclass::text AS name FROM pg_inherits
       WHERE inhparent = 'lakesync_deltas'::regclass ORDER BY 1`,
    ).then((rows) => rows.map(({ name }) => name));
  assert.deepEqual(await parts(), ["lakesync_deltas_2026_01", "lakesync_deltas_2026_02"]);
  assert.equal(await bed.adapter.forgottenSeq(), 0);
  await using later = new Bed(url, KINDS, { retentionDays: 0.5 });
  assert.ok(Date.now() > first);
  const changes = later.log.changes(2, [{ table: "kinds", rowId: "r2", cells: { int: 2 } }])
    .map((change) => ({ ...change, deltaId: "f".repeat(64), committedMs: Date.now() }));
  await later.log.insert(changes);
  assert.equal((await parts()).includes("lakesync_deltas_2026_01"), false);
  assert.equal(await later.adapter.forgottenSeq(), 1);
  const page = await later.adapter.queryDeltasSince({ seq: 0 }, 10);
  assert.deepEqual([page.isTrimmed, page.changes.map(({ seq }) => seq)], [true, [2]]);
});

databaseTest("postgres", "changes that are too old to be kept are written", async ({ url }) => {
  await using bed = new Bed(url, KINDS, { retentionDays: 0.5 });
  await bed.adapter.ensureSchema(bed.log.schema);
  await bed.log.insert(bed.log.commit({ op: "INSERT", table: "kinds", rowId: "r1" }));
  assert.equal((await bed.adapter.position())?.seq, 1);
  assert.deepEqual(await bed.rows("SELECT count(*)::int AS n FROM kinds"), [{ n: 1 }]);
});
