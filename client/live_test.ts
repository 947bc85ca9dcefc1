import { defineSchema, type Hlc, type PullResult } from "@lakesync/core";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type AnyLocalDatabase, openLocal, type SqlRow } from "./local.ts";
import { withFolder } from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: {
    t: { primaryKey: ["id"], columns: { id: "string", a: "string" } },
    u: { primaryKey: ["id"], columns: { id: "string", a: "string" } },
  },
});

const APP = `
CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT);
CREATE INDEX notes_text ON notes (text);
CREATE TABLE parent (id INTEGER PRIMARY KEY);
CREATE TABLE child (parent INTEGER REFERENCES parent (id) ON DELETE CASCADE);
CREATE TABLE audit (what TEXT);
CREATE TRIGGER audit_u AFTER INSERT ON u BEGIN INSERT INTO audit VALUES (NEW.id); END;
CREATE VIEW both_tables AS SELECT id FROM t UNION ALL SELECT id FROM u;
`;

interface Fixture {
  readonly db: AnyLocalDatabase;
  readonly path: string;
  /** Starts a live query; gives all it reported so far, and what ends it. */
  watch(sql: string, params?: readonly string[]): Promise<{ seen: SqlRow[][]; close(): void }>;
}

async function withLocal(inMemory: boolean, work: (fixture: Fixture) => Promise<void>) {
  await withFolder(async (folder) => {
    const path = inMemory ? ":memory:" : `${folder}/a.db`;
    const db = await openLocal({ database: path, schema: SCHEMA, watchMs: 0 });
    await db.exec(APP);
    const watch = async (sql: string, params: readonly string[] = []) => {
      const seen: SqlRow[][] = [];
      const live = db.live(sql, params, (rows) => seen.push(rows));
      await live.ready;
      return { seen, close: () => live.close() };
    };
    try {
      await work({ db, path, watch });
    } finally {
      await db.close();
    }
  });
}

/** Runs after everything that is ready to run now. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

function checkpoint(table: string, rowIds: readonly string[], complete = true): PullResult {
  const shape = { op: "PUT" as const, table, columns: ["a"] };
  return {
    changes: rowIds.map((rowId) => ({ shape, rowId, values: ["x"] })),
    cursor: "c",
    complete,
    lastMutationId: 0,
    serverHlc: 1n as Hlc,
    ...(complete ? { checkpoint: { seq: 1, buckets: [] } } : {}),
  };
}

for (const inMemory of [true, false]) {
  const place = inMemory ? "in memory" : "in a file";

  Deno.test(`live reports the rows of now, then once for each commit of its table, ${place}`, async () => {
    await withLocal(inMemory, async ({ db, watch }) => {
      const { seen } = await watch("SELECT count(*) AS n FROM t WHERE a = ?", ["x"]);
      assert.deepEqual(seen, [[{ n: 0 }]]);
      await db.exec("INSERT INTO t VALUES ('a', 'x')");
      await settled();
      await db.transaction(async (tx) => {
        await tx.exec("INSERT INTO t VALUES ('b', 'x')");
        await tx.exec("INSERT INTO t VALUES ('c', 'x')");
      });
      await settled();
      await db.exec("BEGIN");
      await db.exec("DELETE FROM t WHERE id = 'a'");
      await db.exec("DELETE FROM t WHERE id = 'b'");
      await settled();
      await db.exec("COMMIT");
      await settled();
      await db.receive(checkpoint("t", ["p"], false));
      await db.receive(checkpoint("t", ["q"]));
      await settled();
      assert.deepEqual(seen.map(([row]) => row?.["n"]), [0, 1, 3, 1, 3]);
    });
  });

  Deno.test(`live is silent about other tables, roll-backs and writes that change nothing, ${place}`, async () => {
    await withLocal(inMemory, async ({ db, watch }) => {
      const { seen } = await watch("SELECT * FROM t");
      await db.exec("INSERT INTO u VALUES ('a', 'x')");
      await db.exec("INSERT INTO notes (text) VALUES ('x')");
      await db.receive(checkpoint("u", ["b"]));
      await db.exec("DELETE FROM t");
      await db.exec("BEGIN");
      await db.exec("INSERT INTO t VALUES ('a', 'x')");
      await db.exec("ROLLBACK");
      await settled();
      assert.equal(seen.length, 1);
    });
  });
}

Deno.test("live sees tables that are not synced, through indexes, views, triggers and cascades", async () => {
  await withLocal(false, async ({ db, watch }) => {
    const notes = await watch("SELECT text FROM notes WHERE text > ?", ["a"]);
    const view = await watch("SELECT id FROM both_tables");
    const audit = await watch("SELECT * FROM audit");
    const child = await watch("SELECT * FROM child");
    await db.exec("INSERT INTO notes (text) VALUES ('b')");
    await db.exec("INSERT INTO parent VALUES (1)");
    await db.exec("INSERT INTO child VALUES (1)");
    await db.exec("DELETE FROM parent");
    await settled();
    await db.receive(checkpoint("u", ["x"]));
    await settled();
    assert.deepEqual([notes, view, audit, child].map(({ seen }) => seen.length), [2, 2, 2, 3]);
    assert.deepEqual(audit.seen.at(-1), [{ what: "x" }]);
  });
});

Deno.test("live sees refusals undone", async () => {
  await withLocal(false, async ({ db, watch }) => {
    await db.exec("INSERT INTO t VALUES ('a', 'x')");
    const { seen } = await watch("SELECT id FROM t");
    const rejection = { mutationId: 1, code: "FORBIDDEN_WRITE", message: "No", delta: 0 } as const;
    await db.pushed({
      lastMutationId: 1,
      rejected: [rejection],
      seq: 1,
      serverTime: "2026-01-01T00:00:00Z",
      serverHlc: 1n as Hlc,
    });
    await settled();
    assert.deepEqual(seen, [[{ id: "a" }], []]);
  });
});

Deno.test("live reports nothing after close, nor after the database was closed", async () => {
  await withLocal(false, async ({ db, watch }) => {
    const one = await watch("SELECT * FROM t");
    const two = await watch("SELECT * FROM t");
    one.close();
    await db.exec("INSERT INTO t VALUES ('a', 'x')");
    await settled();
    assert.deepEqual([one.seen.length, two.seen.length], [1, 2]);
    const writing = db.exec("INSERT INTO t VALUES ('b', 'x')");
    await writing;
    await db.close();
    await settled();
    assert.ok(two.seen.length <= 3);
  });
});

Deno.test("live fails by ready when its statement is not valid", async () => {
  await withLocal(false, async ({ db }) => {
    await assert.rejects(db.live("SELECT * FROM nowhere", [], () => {}).ready, /no such table/);
  });
});

Deno.test("live reports a commit of another connection when its rows differ", async () => {
  await withLocal(false, async ({ db, path, watch }) => {
    const t = await watch("SELECT id FROM t");
    const notes = await watch("SELECT text FROM notes");
    const other = new DatabaseSync(path);
    other.exec("INSERT INTO notes (text) VALUES ('x')");
    assert.equal(await db.check(), true);
    await settled();
    assert.deepEqual([t.seen.length, notes.seen.length], [1, 2]);
    other.exec("INSERT INTO t VALUES ('a', 'x')");
    assert.equal(await db.check(), true);
    assert.equal(await db.check(), false);
    other.close();
    await settled();
    assert.deepEqual([t.seen.length, notes.seen.length], [2, 2]);
  });
});

Deno.test("commits of other connections are noticed by the timer, sealed and told", async () => {
  await withFolder(async (folder) => {
    const due: (() => void)[] = [];
    const db = await openLocal({
      database: `${folder}/a.db`,
      schema: SCHEMA,
      watchMs: 100,
      timer: (ms, callback) => {
        assert.equal(ms, 100);
        due.push(callback);
        return () => due.splice(due.indexOf(callback), 1);
      },
    });
    let told = 0;
    const stop = db.onLocalCommit(() => told++);
    const other = new DatabaseSync(`${folder}/a.db`);
    other.exec("BEGIN; INSERT INTO t VALUES ('a', 'x'); INSERT INTO u VALUES ('b', 'x'); COMMIT");
    other.close();
    due.pop()?.();
    await settled();
    assert.equal(told, 1);
    assert.equal((await db.state()).highestMutationId, 1);
    assert.equal(due.length, 1, "it looks again");
    await db.exec("INSERT INTO t VALUES ('c', 'x')");
    assert.equal(told, 2);
    stop();
    await db.close();
    assert.equal(due.length, 0);
  });
});
