import assert from "node:assert/strict";
import {
  assertCode,
  at,
  client,
  logEntry,
  newRow,
  newRows,
  next,
  openStore,
  refOf,
  scan,
} from "./_conformance_tools.ts";
import { Connection } from "./_sqlite.ts";
import { GONE_SQL, PRESENT_SQL, ROWS_SQL } from "./_sqlite_reads.ts";
import { folderSubject, tempFolder } from "./testing_folders.ts";
import { testStore } from "./conformance.ts";
import { openSqliteStores } from "./sqlite.ts";

testStore("sqlite", () => folderSubject((path) => openSqliteStores(path), true), 20);

/** Runs SQL on the file of gateway `default` from outside the store. */
function alter(folder: string, sql: string): void {
  const db = new Connection(`${folder}/gateways/default.db`, {
    statements: 0,
    rowsRead: 0,
  });
  db.exec(sql);
  db.close();
}

Deno.test("sqlite store scans a bucket by its index alone", async () => {
  await using folder = await tempFolder();
  const stores = await openSqliteStores(folder.path);
  await openStore(stores);
  await stores.close();
  const counters = { statements: 0, rowsRead: 0 };
  const db = new Connection(`${folder.path}/gateways/default.db`, counters);
  const planOf = (sql: string, ...values: readonly number[]) =>
    db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...values).map(([, , , detail]) => String(detail));
  const sides = [PRESENT_SQL, GONE_SQL].map((sql) => planOf(sql, 1, 2, 3, 4));
  const walk = planOf(ROWS_SQL, 1, 2);
  db.close();
  const search = "SEARCH e USING PRIMARY KEY (bucket=? AND gone=? AND (seq,rid)>(?,?))";
  const row = "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)";
  assert.deepEqual(sides, [[search, row], [search, row]]);
  assert.deepEqual(walk, ["SEARCH r USING INTEGER PRIMARY KEY (rowid>?)"]);
});

for (
  const [what, sql] of [
    [
      "a statement",
      `CREATE TRIGGER stop BEFORE INSERT ON clients
       BEGIN SELECT RAISE(ABORT, 'stop'); END`,
    ],
    [
      "the commit itself",
      `CREATE TABLE other (id INTEGER PRIMARY KEY);
       CREATE TABLE bad (i INTEGER REFERENCES other DEFERRABLE INITIALLY DEFERRED);
       CREATE TRIGGER stop AFTER INSERT ON clients
       BEGIN INSERT INTO bad VALUES (1); END`,
    ],
  ] as const
) {
  Deno.test(`sqlite store commits nothing when ${what} fails`, async () => {
    await using folder = await tempFolder();
    const stores = await openSqliteStores(folder.path);
    const store = await openStore(stores);
    await store.commit(next(0, { rows: [newRow("t1", 1)] }));
    alter(folder.path, sql);
    const batch = next(1, {
      rows: [newRow("t2", 2)],
      log: [logEntry(2)],
      clients: [client("phone-1")],
    });
    const unchanged = async () => {
      assert.equal((await store.head()).seq, 1);
      assert.equal((await scan(store)).rows.length, 1);
      assert.equal((await store.stats()).logEntries, 0);
    };
    await assertCode(store.commit(batch), "INTERNAL_ERROR");
    await unchanged();
    const large = await store.beginLarge();
    await large.write({ rows: newRows("a", 10, 2) });
    await assertCode(large.commit(batch), "INTERNAL_ERROR");
    await unchanged();
    alter(folder.path, "DROP TRIGGER stop");
    await store.commit(batch);
    assert.equal((await store.head()).seq, 2);
    await stores.close();
  });
}

Deno.test("sqlite store refuses a row said to be new that is there", async () => {
  await using folder = await tempFolder();
  const stores = await openSqliteStores(folder.path);
  const store = await openStore(stores);
  await store.commit(next(0, { rows: [newRow("t1", 1)] }));
  const rows = [newRow("t2", 2), newRow("t1", 2)];
  await assertCode(store.commit(next(1, { rows })), "INTERNAL_ERROR");
  const wrong = { ...newRow("t1", 2), ref: "another store's" };
  await assertCode(store.commit(next(1, { rows: [wrong] })), "INTERNAL_ERROR");
  assert.equal((await scan(store)).rows.length, 1);
  await stores.close();
});

Deno.test("sqlite store refuses a file of another layout or program", async () => {
  await using folder = await tempFolder();
  const file = `${folder.path}/gateways/default.db`;
  const stores = await openSqliteStores(folder.path);
  await (await openStore(stores)).close();
  alter(folder.path, "PRAGMA user_version = 99");
  await assert.rejects(stores.open("default", false), /has the layout 99/);
  await Deno.writeTextFile(file, "not a database, ".repeat(100));
  await assert.rejects(stores.open("default", true), /cannot be read/);
  await stores.close();
});

Deno.test("sqlite store makes a gateway again that a crash left half made", async () => {
  await using folder = await tempFolder();
  const stores = await openSqliteStores(folder.path);
  const half = `${folder.path}/gateways/default.db.new`;
  await Deno.writeTextFile(half, "half");
  await Deno.writeTextFile(`${half}-journal`, "half");
  assert.deepEqual(await stores.list(), []);
  assert.equal(await stores.open("default", false), undefined);
  const store = await openStore(stores);
  assert.equal((await store.head()).seq, 0);
  assert.deepEqual(await stores.list(), ["default"]);
  await stores.close();
});

Deno.test("sqlite store keeps its write-ahead log bounded", async () => {
  await using folder = await tempFolder();
  const stores = await openSqliteStores(folder.path);
  const store = await openStore(stores);
  const data = (seq: number) => String(seq % 10).repeat(1024 * 1024);
  let largest = 0;
  for (let seq = 1; seq <= 100; seq++) {
    await store.commit(next(seq - 1, {
      rows: [{
        ...newRow("t1", seq, data(seq)),
        ref: seq === 1 ? undefined : await refOf(store, "t1"),
        drop: seq === 1 ? [] : [at(seq - 1)],
      }],
    }));
    const wal = await Deno.stat(`${folder.path}/gateways/default.db-wal`);
    largest = Math.max(largest, wal.size);
  }
  assert(largest > 10 * 1024 * 1024, "a checkpoint waits for some pages");
  assert(largest < 64 * 1024 * 1024, `the log has ${largest} bytes`);
  assert.equal((await scan(store)).rows[0]?.data, data(100));
  await stores.close();
});

Deno.test("sqlite store lets others run while a large commit is published", async () => {
  await using folder = await tempFolder();
  const stores = await openSqliteStores(folder.path);
  const store = await openStore(stores);
  const large = await store.beginLarge();
  for (let slice = 0; slice < 10; slice++) {
    await large.write({ rows: newRows(`s${slice}-`, 2_000, 1) });
  }
  let published = false;
  const publishing = large.commit(next(0)).then(() => {
    published = true;
  });
  assert.equal((await store.head()).seq, 0);
  assert.equal(published, false);
  await publishing;
  assert.equal((await scan(store, { limit: 50_000 })).rows.length, 20_000);
  await stores.close();
});

Deno.test("sqlite store forgets a large commit that begins while it closes", async () => {
  await using folder = await tempFolder();
  const stores = await openSqliteStores(folder.path);
  const store = await openStore(stores);
  const beginning = assertCode(store.beginLarge(), "INTERNAL_ERROR");
  await store.close();
  await beginning;
  const again = await openStore(stores);
  await again.commit(next(0));
  await stores.close();
});
