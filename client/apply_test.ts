import {
  defineSchema,
  type Hlc,
  type PullResult,
  type RowChange,
  type Value,
} from "@lakesync/core";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type AnyLocalDatabase, type LocalDatabase, openLocal } from "./local.ts";
import { CrashingDriver, MemoryGateway, WIDE, withFolder } from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: { id: "string", title: "string", done: "boolean", n: "integer" },
    },
  },
});

type Local = LocalDatabase<typeof SCHEMA>;

async function withLocal(work: (db: Local) => Promise<void>): Promise<void> {
  const db = await openLocal({ database: ":memory:", schema: SCHEMA });
  try {
    await work(db);
  } finally {
    await db.close();
  }
}

function put(rowId: string, cells: Readonly<Record<string, Value>>): RowChange {
  return {
    shape: { op: "PUT", table: "todos", columns: Object.keys(cells) },
    rowId,
    values: Object.values(cells),
  };
}

function remove(rowId: string): RowChange {
  return { shape: { op: "REMOVE", table: "todos", columns: [] }, rowId, values: [] };
}

let cursors = 0;

function page(changes: readonly RowChange[], lastMutationId = 0, complete = true): PullResult {
  const cursor = `c${++cursors}`;
  return {
    changes,
    cursor,
    complete,
    lastMutationId,
    serverHlc: 1n as Hlc,
    ...(complete ? { checkpoint: { seq: cursors, buckets: [] } } : {}),
  };
}

async function titles(db: AnyLocalDatabase): Promise<unknown> {
  const rows = await db.query("SELECT id, title FROM todos ORDER BY id");
  return rows.map(({ id, title }) => [id, title]);
}

Deno.test("receive upserts the cells a PUT carries and deletes what a REMOVE names", async () => {
  await withLocal(async (db) => {
    await db.receive(page([put("a", { title: "x", done: true }), put("b", {})]));
    await db.receive(page([put("a", { n: 5 }), remove("b"), remove("never")]));
    assert.deepEqual(await db.tables.todos.all(), [{ id: "a", title: "x", done: true, n: 5 }]);
  });
});

Deno.test("receive takes away cells that a PUT unsets", async () => {
  await withLocal(async (db) => {
    await db.receive(page([put("a", { title: "x", n: 1 })]));
    const unset = { op: "PUT", table: "todos", columns: ["n"], unset: ["title"] } as const;
    await db.receive(page([{ shape: unset, rowId: "a", values: [2] }]));
    assert.deepEqual(await db.tables.todos.get("a"), { id: "a", title: null, done: null, n: 2 });
  });
});

Deno.test("receive is not captured, and passes over what the schema does not know", async () => {
  await withLocal(async (db) => {
    const shape = { op: "PUT", table: "unknown", columns: ["x"] } as const;
    await db.receive(page([
      put("a", { title: "x", secret: 1 }),
      { shape, rowId: "u", values: [1] },
    ]));
    assert.equal(await db.seal(), 0);
    assert.deepEqual(await titles(db), [["a", "x"]]);
  });
});

Deno.test("receive works after the app's pragmas, those that drop temporary tables too", async () => {
  await withLocal(async (db) => {
    for (const pragma of ["temp_store = MEMORY", "case_sensitive_like = ON", "query_only = OFF"]) {
      await db.exec(`PRAGMA ${pragma}`);
      await db.receive(page([put(pragma, { title: "x" })]));
    }
    assert.equal((await db.query("SELECT id FROM todos")).length, 3);
  });
});

Deno.test("G5: nothing of a checkpoint shows before its last page", async () => {
  await withLocal(async (db) => {
    const first = page([put("a", { title: "x" })], 0, false);
    assert.deepEqual(await db.receive(first), { complete: false, rows: 1, seq: undefined });
    assert.equal((await db.state()).cursor, first.cursor);
    await db.receive(page([put("b", { title: "y" })], 0, false));
    assert.deepEqual(await titles(db), []);
    const last = page([put("a", { title: "z" })]);
    assert.deepEqual(await db.receive(last), { complete: true, rows: 1, seq: cursors });
    assert.deepEqual(await titles(db), [["a", "z"], ["b", "y"]]);
    assert.equal((await db.state()).cursor, last.cursor);
  });
});

Deno.test("G5: stored pages outlive a restart, and applying goes on from them", async () => {
  await withFolder(async (folder) => {
    const options = { database: `${folder}/a.db`, schema: SCHEMA };
    const first = await openLocal(options);
    const staged = page([put("a", { title: "x" })], 0, false);
    await first.receive(staged);
    await first.close();
    const second = await openLocal(options);
    assert.equal((await second.state()).cursor, staged.cursor);
    await second.receive(page([put("b", {})]));
    assert.deepEqual(await titles(second), [["a", "x"], ["b", null]]);
    await second.close();
  });
});

Deno.test("G5: a reader sees the old or the new checkpoint, never a part, and is not held up", async () => {
  await withFolder(async (folder) => {
    const db = await openLocal({ database: `${folder}/a.db`, schema: SCHEMA });
    const rows = Array.from({ length: 20_000 }, (_, i) => put(`r${i}`, {}).rowId);
    const shape = { op: "PUT", table: "todos", columns: ["n"] } as const;
    const of = (n: number) => rows.map((rowId) => ({ shape, rowId, values: [n] }));
    await db.receive(page(of(1)));
    let applied = false;
    const applying = db.receive(page(of(2))).then(() => {
      applied = true;
    });
    let reads = 0;
    while (!applied) {
      const [row] = await db.query(
        "SELECT min(n) AS low, max(n) AS high, count(*) AS c FROM todos",
      );
      assert.equal(row?.["low"], row?.["high"]);
      assert.equal(row?.["c"], rows.length);
      if (!applied) reads++;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await applying;
    assert.ok(reads > 2, `${reads} reads while it was applied`);
    await db.close();
  });
});

Deno.test("G3: a row that changed between two pages of the checkpoint that covers a write keeps its other cells", async () => {
  await withLocal(async (db) => {
    await db.receive(page([put("a", { title: "kept", done: true, n: 1 })]));
    await db.exec("UPDATE todos SET n = 2");
    await db.receive(page([put("a", { n: 2 })], 0, false));
    await db.receive(page([put("a", { n: 3 })], 1));
    assert.deepEqual(await db.tables.todos.all(), [{ id: "a", title: "kept", done: true, n: 3 }]);
  });
});

Deno.test("G5: a crash at any call while a checkpoint is applied leaves the one before", async () => {
  await withFolder(async (folder) => {
    let crashes = 0;
    for (let left = 0;; left++) {
      const driver = new CrashingDriver();
      const path = `${folder}/${left}.db`;
      const db = await openLocal({ database: path, schema: SCHEMA, driver, watchMs: 0 });
      await db.exec("INSERT INTO todos (id, title) VALUES ('mine', 'm')");
      await db.receive(page([put("a", { title: "1" })]));
      await db.receive(page([put("b", { title: "2" })], 0, false));
      driver.copyTo = `${folder}/${left}-crash.db`;
      driver.left = left;
      const last = page([put("a", { title: "2" }), put("mine", { title: "m" })], 1);
      await db.receive(last).catch(() => {});
      await db.close().catch(() => {});
      if (!driver.crashed) break;
      crashes++;
      const after = await openLocal({ database: driver.copyTo, schema: SCHEMA, watchMs: 0 });
      const state = await after.state();
      const old = [["a", "1"], ["mine", "m"]];
      const now = [["a", "2"], ["b", "2"], ["mine", "m"]];
      assert.deepEqual(await titles(after), state.cursor === last.cursor ? now : old);
      assert.equal(state.lastMutationId, state.cursor === last.cursor ? 1 : 0);
      await after.exec("INSERT INTO todos (id) VALUES ('next')");
      assert.equal((await after.state()).highestMutationId, 2);
      await after.close();
    }
    assert.ok(crashes > 10, `${crashes} instants`);
  });
});

Deno.test("G6: pending writes do not hold back changes and are not overwritten by them", async () => {
  await withLocal(async (db) => {
    await db.receive(page([put("a", { title: "old", n: 1 })]));
    await db.exec("UPDATE todos SET title = 'mine' WHERE id = 'a'");
    await db.receive(page([put("a", { title: "theirs", n: 2 }), put("b", { title: "new" })]));
    assert.deepEqual(await db.query("SELECT id, title, n FROM todos ORDER BY id"), [
      { id: "a", title: "mine", n: 2 },
      { id: "b", title: "new", n: null },
    ]);
    assert.equal(await db.pendingOf("todos", "a"), "pending");
    assert.equal(await db.pendingOf("todos", "b"), "synced");
    await db.receive(page([], 1));
    assert.deepEqual(await titles(db), [["a", "theirs"], ["b", "new"]]);
    assert.equal(await db.pendingOf("todos", "a"), "synced");
  });
});

Deno.test("a row deleted here stays away while others change it, and a row removed there while it is updated here", async () => {
  await withLocal(async (db) => {
    await db.receive(page([put("a", { title: "a" }), put("b", { title: "b" })]));
    await db.exec("DELETE FROM todos WHERE id = 'a'");
    await db.exec("UPDATE todos SET n = 1 WHERE id = 'b'");
    await db.receive(page([put("a", { title: "a2" }), remove("b")]));
    assert.deepEqual(await titles(db), []);
    await db.receive(page([], 2));
    assert.deepEqual(await titles(db), [["a", "a2"]]);
  });
});

Deno.test("the next local stamp is greater than the checkpoint's serverHlc", async () => {
  await withLocal(async (db) => {
    const ahead = (BigInt(Date.now()) + 3_600_000n) << 16n;
    await db.receive({ ...page([]), serverHlc: ahead as Hlc });
    await db.exec("INSERT INTO todos (id) VALUES ('a')");
    const batch = await db.nextBatch({ mutationId: 0, part: 0 }, WIDE);
    assert.ok((batch?.transactions[0]?.deltas[0]?.hlc ?? 0n) > ahead);
  });
});

Deno.test("G11: after resync the next checkpoint replaces the base, and pending writes stay", async () => {
  await withLocal(async (db) => {
    await db.receive(page([put("a", { title: "a", n: 1 }), put("b", {}), put("c", { n: 3 })]));
    await db.exec("UPDATE todos SET title = 'mine' WHERE id IN ('b', 'c')");
    await db.exec("INSERT INTO todos (id, title) VALUES ('d', 'mine')");
    await db.resync();
    assert.equal((await db.state()).cursor, undefined);
    assert.equal((await titles(db) as unknown[]).length, 4);
    await db.receive(page([put("a", { title: "a2" }), put("c", {})], 0, false));
    await db.receive(page([put("e", { title: "e" })]));
    assert.deepEqual(await db.query("SELECT id, title, n FROM todos ORDER BY id"), [
      { id: "a", title: "a2", n: null },
      { id: "c", title: "mine", n: null },
      { id: "d", title: "mine", n: null },
      { id: "e", title: "e", n: null },
    ]);
    await db.receive(page([put("b", { title: "back" })]));
    assert.deepEqual((await titles(db) as string[][]).find(([id]) => id === "b"), ["b", "mine"]);
  });
});

Deno.test("G13: what a restored gateway lost is pending again and given back as it was", async () => {
  await withLocal(async (db) => {
    const gateway = new MemoryGateway();
    const { clientId } = await db.state();
    const sync = async (after: number) => {
      const batch = await db.nextBatch({ mutationId: after, part: 0 }, WIDE);
      await db.pushed(gateway.push(clientId, batch?.transactions ?? []));
      const { cursor } = await db.state();
      for (const page of gateway.pull(clientId, cursor)) await db.receive(page);
      return batch;
    };
    await db.exec("INSERT INTO todos (id, title) VALUES ('a', '1')");
    await sync(0);
    const backup = gateway.backup();
    await db.exec("INSERT INTO todos (id, title) VALUES ('b', '1')");
    await db.exec("UPDATE todos SET title = '2' WHERE id = 'a'");
    const lost = await sync(1);
    assert.equal(await db.pendingOf("todos", "a"), "synced");
    gateway.restore(backup);
    await db.resync();
    for (const page of gateway.pull(clientId, undefined)) await db.receive(page);
    assert.deepEqual(await titles(db), [["a", "2"], ["b", "1"]]);
    assert.equal(await db.pendingOf("todos", "a"), "pending");
    assert.equal((await db.state()).settledMutationId, 1);
    assert.deepEqual(await sync(1), lost);
    assert.equal(await db.pendingOf("todos", "a"), "synced");
    assert.deepEqual(await titles(db), [["a", "2"], ["b", "1"]]);
  });
});

Deno.test("G13: what is stamped anew after a resync follows what the gateway has then", async () => {
  const nowMs = 1_000_000;
  const ahead = ((BigInt(nowMs) + 3_600_000n) << 16n) as Hlc;
  const db = await openLocal({ database: ":memory:", schema: SCHEMA, now: () => nowMs });
  await db.receive({ ...page([put("a", { title: "1" })]), serverHlc: ahead });
  await db.exec("UPDATE todos SET title = 'mine'");
  const stamp = async () => {
    const batch = await db.nextBatch({ mutationId: 0, part: 0 }, WIDE);
    return batch?.transactions[0]?.deltas[0]?.hlc;
  };
  await db.receive(page([]));
  await db.restamp(1);
  assert.equal(await stamp(), ahead + 1n, "it would lose against what its user saw");
  await db.resync();
  await db.receive(page([put("a", { title: "0" })]));
  await db.restamp(1);
  assert.equal(await stamp(), BigInt(nowMs) << 16n, "the gateway would never take it");
  await db.close();
});

Deno.test("a checkpoint that contains less than the one before makes writes pending again", async () => {
  await withLocal(async (db) => {
    await db.receive(page([put("a", { title: "1", n: 1 }), put("b", { title: "1", n: 1 })]));
    await db.exec("UPDATE todos SET title = 'mine'");
    await db.receive(page([put("a", { title: "mine" }), put("b", { title: "mine" })], 1));
    await db.receive(page([put("a", { title: "1", n: 2 })], 0));
    const rows = () => db.query("SELECT id, title, n FROM todos ORDER BY id");
    const pending = [{ id: "a", title: "mine", n: 2 }, { id: "b", title: "mine", n: 1 }];
    assert.deepEqual(await rows(), pending);
    assert.equal(await db.pendingOf("todos", "b"), "pending");
    await db.receive(page([put("a", { title: "mine" })], 1));
    assert.deepEqual(await rows(), pending);
    assert.equal(await db.pendingOf("todos", "b"), "synced");
  });
});

const STRICT_APP = `
CREATE TABLE todos (id TEXT PRIMARY KEY, title TEXT NOT NULL UNIQUE, done INTEGER,
  n INTEGER CHECK (n < 10));
`;

async function withConstraints(work: (db: Local) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/a.db`;
    const app = new DatabaseSync(path);
    app.exec(STRICT_APP);
    app.close();
    const db = await openLocal({ database: path, schema: SCHEMA, watchMs: 0 });
    try {
      await work(db);
    } finally {
      await db.close();
    }
  });
}

Deno.test("G6: a row that a constraint of the app forbids waits, and the others go on", async () => {
  await withConstraints(async (db) => {
    await db.receive(page([
      put("a", { title: "x" }),
      put("b", { title: "x" }),
      put("c", { title: null }),
      put("d", { title: "d", n: 99 }),
      put("e", { title: "e" }),
    ]));
    assert.deepEqual(await titles(db), [["a", "x"], ["e", "e"]]);
    const blocked = await db.blockedRows();
    assert.deepEqual(blocked.map(({ table, rowId }) => [table, rowId]), [
      ["todos", "b"],
      ["todos", "c"],
      ["todos", "d"],
    ]);
    assert.match(blocked[0]?.reason ?? "", /UNIQUE/);
    assert.match(blocked[1]?.reason ?? "", /NOT NULL/);
    assert.match(blocked[2]?.reason ?? "", /CHECK/);
    assert.equal(await db.pendingOf("todos", "c"), "blocked");
    await db.receive(page([put("c", { title: "c" }), remove("d"), put("a", { n: 1 })]));
    await db.exec("UPDATE todos SET title = 'y' WHERE id = 'a'");
    assert.deepEqual((await db.blockedRows()).map(({ rowId }) => rowId), ["b"]);
    await db.receive(page([]));
    assert.deepEqual(await titles(db), [["a", "y"], ["b", "x"], ["c", "c"], ["e", "e"]]);
    assert.deepEqual(await db.blockedRows(), []);
  });
});

Deno.test("rows of one checkpoint may change places under a unique index", async () => {
  await withConstraints(async (db) => {
    await db.receive(page([put("a", { title: "1" }), put("b", { title: "2" })]));
    await db.receive(page([put("a", { title: "2" }), put("b", { title: "3" })]));
    assert.deepEqual(await titles(db), [["a", "2"], ["b", "3"]]);
    assert.deepEqual(await db.blockedRows(), []);
    await db.receive(page([put("c", { title: "2" }), remove("a")]));
    assert.deepEqual(await titles(db), [["b", "3"], ["c", "2"]]);
  });
});

Deno.test("a partial PUT of a row that is there passes NOT NULL columns it does not carry", async () => {
  await withConstraints(async (db) => {
    await db.receive(page([put("a", { title: "1" })]));
    await db.receive(page([put("a", { n: 4 })]));
    assert.deepEqual(await db.query("SELECT title, n FROM todos"), [{ title: "1", n: 4 }]);
    assert.deepEqual(await db.blockedRows(), []);
  });
});

Deno.test("foreign keys neither cascade nor refuse while changes are applied, and hold for the app", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/a.db`;
    const app = new DatabaseSync(path);
    app.exec(`CREATE TABLE todos (id TEXT PRIMARY KEY, title TEXT, done INTEGER, n INTEGER);
      CREATE TABLE notes (todo TEXT NOT NULL REFERENCES todos (id) ON DELETE CASCADE)`);
    app.close();
    const db = await openLocal({ database: path, schema: SCHEMA, watchMs: 0 });
    await db.receive(page([put("a", {})]));
    await db.exec("INSERT INTO notes VALUES ('a')");
    await db.receive(page([remove("a")]));
    assert.equal((await db.query("SELECT * FROM notes")).length, 1);
    await assert.rejects(db.exec("INSERT INTO notes VALUES ('none')"), /FOREIGN KEY/);
    await db.close();
  });
});

Deno.test("the app's triggers run on changes of others only where they keep local tables", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/a.db`;
    const app = new DatabaseSync(path);
    app.exec(`CREATE TABLE todos (id TEXT PRIMARY KEY, title TEXT, done INTEGER, n INTEGER);
      CREATE TABLE log (id TEXT);
      CREATE TRIGGER local_log AFTER INSERT ON todos BEGIN INSERT INTO log VALUES (NEW.id); END;
      CREATE TRIGGER touch AFTER INSERT ON todos WHEN NEW.n IS NULL
        BEGIN UPDATE todos SET n = 1 WHERE id = NEW.id; END;`);
    app.close();
    const db = await openLocal({ database: path, schema: SCHEMA, watchMs: 0 });
    await db.receive(page([put("a", {})]));
    await db.exec("INSERT INTO todos (id) VALUES ('b')");
    assert.deepEqual(await db.query("SELECT id, n FROM todos ORDER BY id"), [
      { id: "a", n: null },
      { id: "b", n: 1 },
    ]);
    assert.deepEqual(await db.query("SELECT id FROM log"), [{ id: "a" }, { id: "b" }]);
    await db.close();
  });
});

Deno.test("G5 G6: the app's triggers that pass over rows or roll back do not when changes are applied", async () => {
  await withLocal(async (db) => {
    for (const raise of ["IGNORE", "ROLLBACK, 'never'"]) {
      const name = raise.slice(0, 3);
      await db.exec(
        `CREATE TRIGGER ${name} BEFORE INSERT ON todos WHEN NEW.title = '${name}'
         BEGIN SELECT RAISE (${raise}); END`,
      );
    }
    await db.receive(page([put("a", { title: "IGN" }), put("b", { title: "ROL" }), put("c", {})]));
    assert.deepEqual(await titles(db), [["a", "IGN"], ["b", "ROL"], ["c", null]]);
    assert.equal(await db.pendingCount(), 0);
    await assert.rejects(db.exec("INSERT INTO todos (id, title) VALUES ('d', 'ROL')"), /never/);
  });
});

Deno.test("G6: a row that a constraint forbids waits, whatever the table declares ON CONFLICT", async () => {
  for (const clause of ["REPLACE", "IGNORE", "ROLLBACK"]) {
    await withFolder(async (folder) => {
      const app = new DatabaseSync(`${folder}/a.db`);
      app.exec(`CREATE TABLE todos (id TEXT PRIMARY KEY, title TEXT UNIQUE ON CONFLICT ${clause},
        done INTEGER, n INTEGER)`);
      app.close();
      const db = await openLocal({ database: `${folder}/a.db`, schema: SCHEMA, watchMs: 0 });
      try {
        await db.receive(page([put("a", { title: "x" })]));
        await db.receive(page([put("b", { title: "x" }), put("c", { title: "y" })]));
        assert.deepEqual(await titles(db), [["a", "x"], ["c", "y"]]);
        assert.deepEqual((await db.blockedRows()).map(({ rowId }) => rowId), ["b"]);
      } finally {
        await db.close();
      }
    });
  }
});

Deno.test("a sync step waits for another connection's write without holding up the event loop", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/a.db`;
    const db = await openLocal({ database: path, schema: SCHEMA, watchMs: 0 });
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    let done = false;
    const receiving = db.receive(page([put("a", {})])).then(() => {
      done = true;
    });
    for (let turn = 0; turn < 5; turn++) {
      const start = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 1));
      assert.ok(performance.now() - start < 500);
    }
    assert.equal(done, false);
    other.exec("COMMIT");
    other.close();
    await receiving;
    assert.deepEqual(await titles(db), [["a", null]]);
    await db.close();
  });
});

Deno.test("G3: a page that does not go on from where the database stands is dropped", async () => {
  await withLocal(async (db) => {
    const { clientId } = await db.state();
    const first = page([put("a", { title: "old" })]);
    await db.receive(first, { clientId, cursor: undefined });
    const newer = page([put("a", { title: "new" })]);
    await db.receive(newer, { clientId, cursor: first.cursor });
    const late = page([put("a", { title: "old again" })]);
    for (const origin of [first.cursor, undefined]) {
      const applied = await db.receive(late, { clientId, cursor: origin });
      assert.equal(applied.dropped, true);
    }
    const other = await db.receive(late, { clientId: "other", cursor: newer.cursor });
    assert.equal(other.dropped, true);
    assert.deepEqual(await titles(db), [["a", "new"]]);
    assert.equal((await db.state()).cursor, newer.cursor);
  });
});
