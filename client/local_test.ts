import { defineSchema, LakeSyncError, type SchemaSpec } from "@lakesync/core";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type AnyLocalDatabase, openLocal } from "./local.ts";
import { WIDE, withFolder } from "./testing_local.ts";

const ONE = defineSchema({
  version: 1,
  tables: { t: { primaryKey: ["id"], columns: { id: "string", a: "string", n: "integer" } } },
});

/** Opens a database in which the app has run some SQL before. */
async function withApp(
  sql: string,
  work: (path: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/a.db`;
    const app = new DatabaseSync(path);
    app.exec(sql);
    app.close();
    await work(path);
  });
}

async function deltas(db: AnyLocalDatabase): Promise<unknown[]> {
  const batch = await db.nextBatch({ mutationId: 0, part: 0 }, WIDE);
  return (batch?.transactions ?? []).map(({ deltas }) =>
    deltas.map(({ shape, rowId, values }) => [shape.op, rowId, shape.columns, values])
  );
}

async function schemaErrorOf(path: string, schema: SchemaSpec): Promise<string> {
  try {
    await (await openLocal({ database: path, schema })).close();
  } catch (error) {
    assert.ok(error instanceof LakeSyncError, String(error));
    assert.equal(error.code, "SCHEMA_ERROR");
    return error.message;
  }
  return "";
}

Deno.test("openLocal makes tables with the affinities of their types", async () => {
  const schema = defineSchema({
    version: 1,
    tables: {
      all: {
        primaryKey: ["a", "b"],
        columns: {
          a: "string",
          b: "integer",
          c: "number",
          d: "boolean",
          e: "timestamp",
          f: "date",
          g: "uuid",
          h: "decimal(9,2)",
          i: "bytes",
          j: "json",
        },
      },
    },
  });
  const db = await openLocal({ database: ":memory:", schema });
  const rows = await db.query("SELECT name, type, \"notnull\", pk FROM pragma_table_info('all')");
  assert.deepEqual(rows.map(({ name, type, notnull, pk }) => [name, type, notnull, pk]), [
    ["a", "TEXT", 1, 1],
    ["b", "INTEGER", 1, 2],
    ["c", "REAL", 0, 0],
    ["d", "INTEGER", 0, 0],
    ["e", "TEXT", 0, 0],
    ["f", "TEXT", 0, 0],
    ["g", "TEXT", 0, 0],
    ["h", "TEXT", 0, 0],
    ["i", "BLOB", 0, 0],
    ["j", "TEXT", 0, 0],
  ]);
  await db.close();
});

Deno.test("openLocal adopts tables, adds missing columns and keeps what else is there", async () => {
  await withApp("CREATE TABLE T (ID VARCHAR(9) PRIMARY KEY, local DEFAULT 7, a)", async (path) => {
    const db = await openLocal({ database: path, schema: ONE });
    await db.exec("INSERT INTO t (id, a, n) VALUES ('x', 'y', 1)");
    assert.deepEqual(await db.query("SELECT * FROM t"), [{ ID: "x", local: 7, a: "y", n: 1 }]);
    await db.exec("UPDATE t SET local = 8");
    assert.deepEqual(await deltas(db), [[["INSERT", "x", ["a", "n"], ["y", 1]]]]);
    await db.close();
  });
});

Deno.test("openLocal adopts a key that is a unique index, STRICT and WITHOUT ROWID tables", async () => {
  for (
    const sql of [
      "CREATE TABLE t (id TEXT, a TEXT, n INT); CREATE UNIQUE INDEX k ON t (id)",
      "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT, n INT) STRICT",
      "CREATE TABLE t (id TEXT PRIMARY KEY, a ANY, n INT) STRICT, WITHOUT ROWID",
    ]
  ) {
    await withApp(sql, async (path) => assert.equal(await schemaErrorOf(path, ONE), ""));
  }
});

Deno.test("openLocal refuses tables that cannot hold the schema's values as they are", async () => {
  const cases: [string, RegExp][] = [
    ["CREATE TABLE t (id TEXT, a TEXT)", /must have exactly \(id\) as its primary key/],
    ["CREATE TABLE t (a TEXT PRIMARY KEY)", /no column id, which is part of the key/],
    ["CREATE TABLE t (id TEXT, a TEXT, PRIMARY KEY (id, a))", /exactly \(id\)/],
    ["CREATE TABLE t (id TEXT PRIMARY KEY COLLATE NOCASE)", /compared as BINARY/],
    ["CREATE TABLE t (id TEXT PRIMARY KEY, n TEXT)", /column n as TEXT.* declare it as INTEGER/],
    ["CREATE TABLE t (id TEXT PRIMARY KEY, a NUMERIC)", /column a as NUMERIC/],
    ["CREATE TABLE t (id INTEGER PRIMARY KEY)", /column id as INTEGER/],
    ["CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT AS ('x'))", /generates column a/],
    ["CREATE VIEW t AS SELECT 1 AS id", /is a view/],
    ["CREATE VIRTUAL TABLE t USING fts5 (id)", /virtual table/],
  ];
  for (const [sql, message] of cases) {
    await withApp(sql, async (path) => assert.match(await schemaErrorOf(path, ONE), message, sql));
  }
});

Deno.test("a refused open leaves the file as it was", async () => {
  await withApp("CREATE TABLE t (id TEXT)", async (path) => {
    await schemaErrorOf(path, ONE);
    const app = new DatabaseSync(path);
    assert.deepEqual(app.prepare("SELECT name FROM sqlite_schema").all().map((r) => r["name"]), [
      "t",
    ]);
    app.close();
  });
});

Deno.test("rows that were there before stay local unless captureExisting asks for them", async () => {
  const sql = "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT, n INTEGER);" +
    "INSERT INTO t VALUES ('x', 'y', 9007199254740993), ('z', NULL, NULL)";
  await withApp(sql, async (path) => {
    const db = await openLocal({ database: path, schema: ONE });
    assert.deepEqual(await deltas(db), []);
    await db.close();
  });
  await withApp(sql, async (path) => {
    for (let open = 0; open < 2; open++) {
      const db = await openLocal({ database: path, schema: ONE, captureExisting: true });
      assert.deepEqual(await deltas(db), [[
        ["INSERT", "x", ["a", "n"], ["y", 2n ** 53n + 1n]],
        ["INSERT", "z", ["a", "n"], [null, null]],
      ]]);
      await db.close();
    }
  });
  await withApp(sql.replace("'y'", "x'00'"), async (path) => {
    const open = openLocal({ database: path, schema: ONE, captureExisting: true });
    await assert.rejects(open, /LakeSync: t.a takes text/);
  });
});

Deno.test("a newer schema adds tables and columns, and old outbox rows stay readable", async () => {
  await withFolder(async (folder) => {
    const database = `${folder}/a.db`;
    const first = await openLocal({ database, schema: ONE });
    await first.exec("INSERT INTO t VALUES ('x', 'old', 1)");
    await first.close();
    const two = defineSchema({
      version: 2,
      tables: {
        new_one: { primaryKey: ["k"], columns: { k: "integer", v: "boolean" } },
        t: {
          primaryKey: ["id"],
          columns: { id: "string", b: "json", a: "string", n: "integer" },
        },
      },
    });
    const second = await openLocal({ database, schema: two });
    assert.equal((await second.state()).schemaVersion, 2);
    await second.exec("UPDATE t SET b = '[1]', n = 2");
    await second.tables.new_one.insert({ k: 1, v: true });
    assert.deepEqual(await deltas(second), [
      [["INSERT", "x", ["a", "n"], ["old", 1]]],
      [["UPDATE", "x", ["n", "b"], [2, [1]]]],
      [["INSERT", "1", ["v"], [true]]],
    ]);
    await second.close();
    assert.match(await schemaErrorOf(database, ONE), /newer than 1; update the app/);
    const other = { ...two, tables: { t: two.tables.t } };
    assert.match(await schemaErrorOf(database, other), /raise the version/);
    const three = { version: 3, tables: { new_one: two.tables.new_one } };
    const third = await openLocal({ database, schema: three });
    await third.exec("INSERT INTO t (id) VALUES ('not synced any more')");
    assert.equal((await deltas(third)).length, 3);
    await third.close();
  });
});

Deno.test("a database that a newer LakeSync wrote is left alone", async () => {
  await withFolder(async (folder) => {
    const database = `${folder}/a.db`;
    await (await openLocal({ database, schema: ONE })).close();
    const app = new DatabaseSync(database);
    app.exec("UPDATE _lakesync_state SET format = 2");
    app.close();
    assert.match(await schemaErrorOf(database, ONE), /newer version of LakeSync/);
  });
});

Deno.test("opening again changes neither triggers nor identity", async () => {
  await withFolder(async (folder) => {
    const options = { database: `${folder}/a.db`, schema: ONE };
    const read = async () => {
      const db = await openLocal(options);
      const [row] = await db.query("PRAGMA schema_version");
      const { clientId } = await db.state();
      await db.close();
      return [row?.["schema_version"], clientId];
    };
    assert.deepEqual(await read(), await read());
  });
});

Deno.test("what was committed but not sealed before a crash is sealed when it is opened", async () => {
  await withFolder(async (folder) => {
    const options = { database: `${folder}/a.db`, schema: ONE };
    await (await openLocal(options)).close();
    const app = new DatabaseSync(options.database);
    app.exec("INSERT INTO t (id) VALUES ('a'), ('b')");
    app.close();
    const db = await openLocal(options);
    assert.equal((await db.state()).highestMutationId, 1);
    await db.close();
  });
});

Deno.test("a closed database says so", async () => {
  const db = await openLocal({ database: ":memory:", schema: ONE });
  await db.close();
  await db.close();
  for (const call of [db.query("SELECT 1"), db.exec("SELECT 1"), db.state(), db.seal()]) {
    await assert.rejects(call, /The local database is closed/);
  }
});

Deno.test("close rolls back what the app left open", async () => {
  await withFolder(async (folder) => {
    const options = { database: `${folder}/a.db`, schema: ONE };
    const first = await openLocal(options);
    await first.exec("BEGIN");
    await first.exec("INSERT INTO t (id) VALUES ('a')");
    await first.close();
    const second = await openLocal(options);
    assert.deepEqual(await second.query("SELECT * FROM t"), []);
    await second.close();
  });
});
