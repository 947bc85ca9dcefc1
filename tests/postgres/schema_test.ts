import assert from "node:assert/strict";
import { DestinationError } from "@lakesync/adapters";
import { postgresAdapter } from "@lakesync/adapters/postgres";
import type { SchemaSpec } from "@lakesync/core";
import { numbered } from "../conformance/testing_log.ts";
import { databaseTest } from "../servers/tests.ts";
import { Bed } from "./testing_postgres.ts";

const V1: SchemaSpec = {
  version: 1,
  tables: {
    notes: {
      primaryKey: ["id"],
      columns: { id: "string", a: "integer", b: "date", c: "decimal(8,2)", d: "timestamp" },
    },
    lists: { primaryKey: ["id"], columns: { id: "string" } },
  },
};

function stops(text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof DestinationError);
    assert.equal(error.retry, "stop");
    assert.match(error.message, text);
    return true;
  };
}

databaseTest("postgres", "columns are renamed, exchanged, widened and added", async ({ url }) => {
  await using bed = new Bed(url, V1);
  await bed.log.begin();
  await bed.log.insert(bed.log.commit({
    op: "INSERT",
    table: "notes",
    rowId: "r1",
    cells: { a: 7, b: "0000-02-29", c: "1.5", d: "2026-01-31T09:30:00.100Z" },
  }));
  await bed.sql`UPDATE notes SET props = '{"mine": 1}'`;
  bed.log.schema = numbered(
    {
      version: 3,
      tables: {
        memos: {
          primaryKey: ["id"],
          columns: {
            id: "string",
            b: "number",
            a: "string",
            c: "decimal(12,2)",
            d: "string",
            list: { type: "string", references: "lists" },
          },
        },
        lists: { primaryKey: ["id"], columns: { id: "string" } },
        notes: { primaryKey: ["id"], columns: { id: "string" } },
      },
    },
    new Map([["memos", { id: 1, columns: [1, 2, 3, 4, 5, 6] }], ["lists", {
      id: 2,
      columns: [1],
    }], ["notes", { id: 3, columns: [1] }]]),
  );
  await bed.adapter.ensureSchema(bed.log.schema);
  assert.deepEqual(await bed.rows("SELECT a, b, c::text, d, list, props FROM memos"), [{
    a: "0000-02-29",
    b: 7,
    c: "1.50",
    d: "2026-01-31T09:30:00.100Z",
    list: null,
    props: { mine: 1 },
  }]);
  assert.deepEqual(await bed.rows("SELECT * FROM notes"), []);
  await bed.log.insert(bed.log.commit(
    { op: "UPDATE", table: "memos", rowId: "r1", cells: { b: 0.5, list: "l1" } },
  ));
  assert.deepEqual(await bed.problems(), { "memos/r1": "parked" });
});

databaseTest(
  "postgres",
  "nothing is dropped, and nothing is lost by a change of type",
  async ({ url }) => {
    await using bed = new Bed(url, V1);
    await bed.log.begin();
    const cells = { a: 2n ** 53n + 1n };
    await bed.log.insert(bed.log.commit({ op: "INSERT", table: "notes", rowId: "r1", cells }));
    const put = (a: string, version: number) =>
      bed.adapter.ensureSchema(numbered(
        {
          version,
          tables: { notes: { primaryKey: ["id"], columns: { id: "string", a: a as "number" } } },
        },
        new Map([["notes", { id: 1, columns: [1, 2] }]]),
      ));
    await assert.rejects(put("number", 2), stops(/Column a of table notes holds integers/));
    await assert.rejects(put("boolean", 2), stops(/Column a of table notes cannot become boolean/));
    await put("integer", 2);
    assert.equal((await bed.rows("SELECT a, b, c FROM notes")).length, 1);
    assert.equal((await bed.rows("SELECT * FROM lists")).length, 0);
    // Another table under the name of one that the schema no longer has.
    const again = numbered(
      { version: 3, tables: { lists: { primaryKey: ["id"], columns: { id: "uuid" } } } },
      new Map([["lists", { id: 9, columns: [1] }]]),
    );
    await assert.rejects(bed.adapter.ensureSchema(again), stops(/Table lists holds the rows/));
    await bed.sql`DROP TABLE lists`;
    await bed.adapter.ensureSchema(again);
  },
);

databaseTest(
  "postgres",
  "tables of others are not touched unless they are adopted",
  async ({ url }) => {
    await using bed = new Bed(url, V1);
    await bed.sql`CREATE TABLE notes (id text PRIMARY KEY, a bigint, own text DEFAULT 'x')`;
    await bed.sql`INSERT INTO notes VALUES ('mine', 1), ('both', 2)`;
    await assert.rejects(bed.log.begin(), stops(/Table notes is there already.* adopt/));
    assert.deepEqual(await bed.rows("SELECT to_regclass('lists') AS lists"), [{ lists: null }]);
    await using taken = new Bed(url, V1, { adopt: ["notes"] });
    await taken.log.begin();
    await taken.log.insert(
      taken.log.commit({ op: "INSERT", table: "notes", rowId: "both", cells: { a: 3, c: "1" } }),
    );
    assert.deepEqual(await taken.rows("SELECT id, a::int, own, c::text FROM notes ORDER BY id"), [
      { id: "both", a: 3, own: "x", c: "1.00" },
      { id: "mine", a: 1, own: "x", c: null },
    ]);
  },
);

databaseTest("postgres", "a table is adopted only when it can hold every row", async ({ url }) => {
  await using bed = new Bed(url, V1, { adopt: ["notes", "lists"] });
  await bed.sql`CREATE TABLE notes (id text PRIMARY KEY, a integer)`;
  await assert.rejects(bed.log.begin(), stops(/Column a of table notes has type integer/));
  await bed.sql`ALTER TABLE notes ALTER a TYPE bigint, DROP CONSTRAINT notes_pkey`;
  await assert.rejects(bed.log.begin(), stops(/Table notes has no primary key/));
  await bed.sql`CREATE UNIQUE INDEX ON notes (id)`;
  await bed.sql`CREATE VIEW lists AS SELECT 1 AS id`;
  await assert.rejects(bed.log.begin(), stops(/Column id of table lists has type integer/));
  await bed.sql`DROP VIEW lists`;
  await bed.log.begin();
});

databaseTest("postgres", "adapters that start at once make everything once", async ({ url }) => {
  const adapters = Array.from({ length: 5 }, () => postgresAdapter({ url, schema: "Own $chema" }));
  await Promise.all(adapters.map((adapter) => adapter.ensureSchema(numbered(V1))));
  await Promise.all(adapters.map((adapter) => adapter.close()));
  await using bed = new Bed(url, V1, { schema: "Own $chema" });
  await bed.log.begin();
  await bed.log.insert(bed.log.commit({ op: "INSERT", table: "lists", rowId: "l1" }));
  assert.deepEqual(await bed.rows(`SELECT id FROM "Own $chema".lists`), [{ id: "l1" }]);
});

databaseTest(
  "postgres",
  "a table that somebody dropped is made and filled again",
  async ({ url }) => {
    await using bed = new Bed(url, V1);
    await bed.log.begin();
    await bed.log.insert(bed.log.commit(
      { op: "INSERT", table: "notes", rowId: "r1", cells: { a: 1 } },
      { op: "INSERT", table: "notes", rowId: "r2", cells: { a: 2 } },
    ));
    await bed.sql`DROP TABLE notes`;
    const changes = bed.log.commit({ op: "DELETE", table: "notes", rowId: "r2" });
    await assert.rejects(bed.log.insert(changes), (error) => {
      return error instanceof DestinationError && error.retry === "later" && error.code === "42P01";
    });
    await bed.adapter.ensureSchema(bed.log.schema);
    await bed.log.insert(changes);
    assert.deepEqual(await bed.rows("SELECT id, a::int FROM notes"), [{ id: "r1", a: 1 }]);
  },
);

databaseTest(
  "postgres",
  "a column that references a table from now on parks orphans",
  async ({ url }) => {
    await using bed = new Bed(url, V1);
    await bed.log.begin();
    await bed.log.insert(bed.log.commit(
      { op: "INSERT", table: "lists", rowId: "l1" },
      { op: "INSERT", table: "notes", rowId: "r1", cells: { a: 1 } },
    ));
    const spec = (version: number, references?: "lists"): SchemaSpec => ({
      version,
      tables: {
        ...V1.tables,
        notes: {
          primaryKey: ["id"],
          columns: { id: references ? { type: "string", references } : "string", a: "integer" },
        },
      },
    });
    const ids = new Map([["notes", { id: 1, columns: [1, 2] }], ["lists", {
      id: 2,
      columns: [1],
    }]]);
    await bed.adapter.ensureSchema(numbered(spec(2, "lists"), ids));
    assert.deepEqual(await bed.problems(), { "notes/r1": "parked" });
    await bed.adapter.ensureSchema(numbered(spec(3), ids));
    await bed.log.insert(bed.log.commit({ table: "notes", rowId: "r1", cells: { a: 2 } }));
    assert.deepEqual(await bed.problems(), {});
  },
);
