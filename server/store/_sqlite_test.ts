import assert from "node:assert/strict";
import { asBytes, asNumber, asText, Connection, text } from "./_sqlite.ts";

function memory(): Connection & Disposable {
  const db = new Connection(":memory:", { statements: 0, rowsRead: 0 });
  return Object.assign(db, { [Symbol.dispose]: () => db.close() });
}

Deno.test("Statement binds numbers as integers where the column is one", () => {
  using db = memory();
  db.exec("CREATE TABLE t (i INTEGER NOT NULL, s TEXT, b BLOB) STRICT");
  const insert = db.prepare("INSERT INTO t VALUES (?, ?, ?)");
  const numbers = [0, -1, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER];
  for (const number of numbers) insert.run(number, "", new Uint8Array([1]));
  const rows = db.prepare("SELECT i, typeof(i), s, b FROM t ORDER BY rowid LIMIT ?")
    .all(100);
  assert.deepEqual(rows.map(([i]) => asNumber(i)), numbers);
  assert(rows.every(([, type]) => type === "integer"));
  assert.deepEqual(asBytes(rows[0]?.[3]), new Uint8Array([1]));
  const found = db.prepare("SELECT count(*) FROM t WHERE i = ?").get(2 ** 32 + 1);
  assert.deepEqual(found, [1]);
  assert.throws(() => insert.run(0.5, "", null), /cannot store REAL/);
  assert.throws(() => asText(rows[0]?.[0]), { code: "INTERNAL_ERROR" });
  assert.throws(() => asNumber(undefined), { code: "INTERNAL_ERROR" });
});

Deno.test("text refuses what SQLite would not give back", () => {
  assert.equal(text("ü \u{1F600}"), "ü \u{1F600}");
  for (const bad of ["a\0b", "\ud800"]) {
    assert.throws(() => text(bad), { code: "INTERNAL_ERROR" });
  }
});

Deno.test("Connection counts statements and the rows they return", () => {
  const counters = { statements: 0, rowsRead: 0 };
  const db = new Connection(":memory:", counters);
  db.exec("CREATE TABLE t (i INTEGER)");
  const insert = db.prepare("INSERT INTO t VALUES (?)");
  assert.equal(insert.run(1), 1);
  assert.equal(insert.run(2), 1);
  assert.equal(db.prepare("SELECT i FROM t").all().length, 2);
  assert.deepEqual(db.prepare("SELECT i FROM t WHERE i = 3").get(), undefined);
  assert.deepEqual(db.prepare("SELECT i FROM t WHERE i = 1").get(), [1]);
  assert.equal(db.prepare("DELETE FROM t").run(), 2);
  assert.deepEqual(counters, { statements: 7, rowsRead: 3 });
  db.close();
});

Deno.test("Connection undoes a transaction that throws or cannot commit", () => {
  using db = memory();
  db.exec(`
    CREATE TABLE parent (id INTEGER PRIMARY KEY);
    CREATE TABLE t (i INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
  `);
  const insert = db.prepare("INSERT INTO t VALUES (?)");
  const count = db.prepare("SELECT count(*) FROM t");
  assert.throws(() =>
    db.transaction("IMMEDIATE", () => {
      insert.run(null);
      throw new Error("stop");
    }), /stop/);
  assert.throws(
    () => db.transaction("IMMEDIATE", () => insert.run(5)),
    /FOREIGN KEY/,
  );
  assert.equal(db.inTransaction, false);
  assert.deepEqual(count.get(), [0]);
  assert.equal(db.transaction("IMMEDIATE", () => insert.run(null)), 1);
  assert.deepEqual(count.get(), [1]);
});
