import { LakeSyncError } from "@lakesync/core";
import assert from "node:assert/strict";
import {
  isBusy,
  isConstraint,
  isDiskFull,
  isUnwritable,
  type SqliteConnection,
  type SqlParam,
} from "./driver.ts";
import { loadDriver } from "./open.ts";
import { bindValue } from "./values.ts";

async function withDatabase(work: (db: SqliteConnection) => Promise<void>): Promise<void> {
  const db = await (await loadDriver()).open(":memory:");
  try {
    await work(db);
  } finally {
    await db.close();
  }
}

Deno.test("values come back as they were bound, with SQLite's type as meant", async () => {
  const values: [SqlParam, unknown, string][] = [
    [null, null, "null"],
    [0, 0, "integer"],
    [1, 1, "integer"],
    [-1, -1, "integer"],
    [1.5, 1.5, "real"],
    [1e308, 1e308, "real"],
    [5e-324, 5e-324, "real"],
    [Infinity, Infinity, "real"],
    [2 ** 53, 2 ** 53, "real"],
    [2 ** 53 - 1, 2 ** 53 - 1, "integer"],
    [BigInt(2 ** 53), BigInt(2 ** 53), "integer"],
    [2n ** 63n - 1n, 2n ** 63n - 1n, "integer"],
    [-(2n ** 63n), -(2n ** 63n), "integer"],
    [7n, 7, "integer"],
    [true, 1, "integer"],
    [false, 0, "integer"],
    ["", "", "text"],
    ["é😀\u2028", "é😀\u2028", "text"],
    [new Date(0), "1970-01-01T00:00:00.000Z", "text"],
  ];
  await withDatabase(async (db) => {
    for (const [value, read, type] of values) {
      assert.deepEqual(await db.values("SELECT ?1, typeof(?1)", [value]), [[read, type]]);
    }
  });
});

Deno.test("bytes come back as they were bound, empty ones too", async () => {
  await withDatabase(async (db) => {
    for (const bytes of [new Uint8Array(), new Uint8Array([0, 255, 128])]) {
      const [row] = await db.values("SELECT ?1, typeof(?1)", [bytes]);
      assert.deepEqual(new Uint8Array(row?.[0] as Uint8Array), bytes);
      assert.equal(row?.[1], "blob");
    }
  });
});

Deno.test("bindValue refuses what SQLite would change without a word", () => {
  const bad: unknown[] = [
    undefined,
    NaN,
    "a\0b",
    "\ud800",
    2n ** 63n,
    -(2n ** 63n) - 1n,
    new Date(NaN),
    {},
    [1],
    () => 1,
    Symbol("x"),
  ];
  for (const value of bad) {
    assert.throws(() => bindValue(value as SqlParam, 4), (error) => {
      assert.ok(error instanceof LakeSyncError);
      assert.equal(error.code, "VALIDATION_ERROR");
      assert.match(error.message, /^Parameter 5 /);
      return true;
    });
  }
});

Deno.test("all gives rows by name, also after a column was added to a cached statement's table", async () => {
  await withDatabase(async (db) => {
    await db.script("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    assert.deepEqual(await db.all("SELECT * FROM t"), [{ a: 1 }]);
    await db.script("ALTER TABLE t ADD COLUMN b DEFAULT 2");
    assert.deepEqual(await db.all("SELECT * FROM t"), [{ a: 1, b: 2 }]);
    await db.script("ALTER TABLE t RENAME COLUMN b TO c");
    assert.deepEqual(await db.all("SELECT * FROM t"), [{ a: 1, c: 2 }]);
    await db.script("DELETE FROM t");
    assert.deepEqual(await db.all("SELECT * FROM t"), []);
  });
});

Deno.test("run counts rows and gives the last rowid", async () => {
  await withDatabase(async (db) => {
    await db.script("CREATE TABLE t (a INTEGER PRIMARY KEY)");
    const result = await db.run("INSERT INTO t VALUES (?), (?)", [5, 2n ** 60n]);
    assert.deepEqual(result, { changes: 2, lastInsertRowid: 2n ** 60n });
  });
});

Deno.test("runMany runs a statement for each row until one fails", async () => {
  await withDatabase(async (db) => {
    await db.script("CREATE TABLE t (a INTEGER PRIMARY KEY)");
    await db.runMany("INSERT INTO t VALUES (?)", [[1], [2]]);
    await assert.rejects(db.runMany("INSERT INTO t VALUES (?)", [[3], [1], [4]]), isConstraint);
    assert.deepEqual(await db.values("SELECT a FROM t"), [[1], [2], [3]]);
  });
});

Deno.test("inTransaction tells whether one is open", async () => {
  await withDatabase(async (db) => {
    assert.equal(db.inTransaction, false);
    await db.script("BEGIN");
    assert.equal(db.inTransaction, true);
    await db.script("ROLLBACK");
    assert.equal(db.inTransaction, false);
  });
});

Deno.test("isConstraint and isBusy tell errors apart", async () => {
  const folder = await Deno.makeTempDir();
  const driver = await loadDriver();
  const one = await driver.open(`${folder}/a.db`);
  const two = await driver.open(`${folder}/a.db`);
  try {
    await one.script("CREATE TABLE t (a UNIQUE NOT NULL CHECK (a <> 3), s TEXT); BEGIN IMMEDIATE");
    await assert.rejects(two.script("PRAGMA busy_timeout = 0; BEGIN IMMEDIATE"), (error) => {
      assert.ok(isBusy(error));
      assert.ok(!isConstraint(error));
      return true;
    });
    for (const value of ["1), (1", "NULL", "3"]) {
      await assert.rejects(one.script(`INSERT INTO t (a) VALUES (${value})`), (error) => {
        assert.ok(isConstraint(error));
        assert.ok(!isBusy(error));
        return true;
      });
    }
    await assert.rejects(one.script("SELECT nothing"), (error) => {
      assert.ok(!isConstraint(error) && !isBusy(error));
      return true;
    });
  } finally {
    await one.close();
    await two.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("isDiskFull and isUnwritable tell a full disk from one that takes nothing", async () => {
  await withDatabase(async (db) => {
    await db.script("CREATE TABLE t (a); PRAGMA max_page_count = 3");
    await assert.rejects(db.run("INSERT INTO t VALUES (zeroblob(100000))"), (error) => {
      assert.ok(isDiskFull(error));
      assert.ok(!isUnwritable(error) && !isConstraint(error) && !isBusy(error));
      return true;
    });
    await db.script("PRAGMA query_only = ON");
    await assert.rejects(db.run("INSERT INTO t VALUES (1)"), (error) => {
      assert.ok(isUnwritable(error));
      assert.ok(!isDiskFull(error) && !isConstraint(error) && !isBusy(error));
      return true;
    });
  });
  const folder = await Deno.makeTempDir();
  try {
    await assert.rejects((await loadDriver()).open(`${folder}/nowhere/a.db`), isUnwritable);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
