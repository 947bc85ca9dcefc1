import { type BucketState, defineSchema, type PullResult, type RowChange } from "@lakesync/core";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type LocalDatabase, openLocal } from "./local.ts";
import { BucketGateway, type Projection } from "./testing_buckets.ts";
import { WIDE, withFolder } from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: {
    todos: { primaryKey: ["id"], columns: { id: "string", title: "string", n: "integer" } },
  },
});

type Local = LocalDatabase<typeof SCHEMA>;

interface World {
  readonly db: Local;
  readonly gateway: BucketGateway;
  readonly path: string;
  /** Asks for what is to be asked for and receives it. */
  pull(pageRows?: number): Promise<void>;
  /** Changes rows behind the client's back. */
  drift(sql: string): void;
  rows(): Promise<unknown>;
}

async function withWorld(
  work: (world: World) => Promise<void>,
  options: { readonly projections?: Record<string, Projection>; readonly tables?: string } = {},
): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/a.db`;
    if (options.tables !== undefined) execute(path, options.tables);
    const db = await openLocal({ database: path, schema: SCHEMA, watchMs: 0 });
    const gateway = new BucketGateway(new Map(Object.entries(options.projections ?? {})));
    try {
      await work({
        db,
        gateway,
        path,
        pull: async (pageRows) => {
          const { repair } = await db.state();
          for (const page of gateway.pull(repair, pageRows)) await db.receive(page);
        },
        drift: (sql) =>
          execute(
            path,
            `BEGIN IMMEDIATE; UPDATE _lakesync_clock SET applying = 1; ${sql};
             UPDATE _lakesync_clock SET applying = 0; COMMIT`,
          ),
        rows: async () => {
          const rows = await db.query("SELECT * FROM todos ORDER BY id");
          return rows.map(({ id, title, n }) => [id, title, n]);
        },
      });
    } finally {
      await db.close();
    }
  });
}

function execute(path: string, sql: string): void {
  const other = new DatabaseSync(path);
  other.exec(sql);
  other.close();
}

async function count(db: Local, table: string): Promise<unknown> {
  const [row] = await db.query(`SELECT count(*) AS n FROM ${table}`);
  return row?.["n"];
}

Deno.test("G7: a row goes when the last of its buckets has lost it, wherever it was in between", async () => {
  await withWorld(async ({ db, gateway, pull, rows }) => {
    for (const id of ["a", "b"]) gateway.granted.add(id);
    gateway.put("todos", "t", { title: "x", n: 1 }, ["a"]);
    gateway.put("todos", "u", { title: "y", n: 1 }, ["a"]);
    await pull();
    assert.equal(await count(db, "_lakesync_scope"), 0);
    for (const buckets of [["b"], ["a", "b"], ["b"]]) {
      gateway.put("todos", "t", { title: "x", n: 1 }, buckets);
      await pull();
      assert.deepEqual(await rows(), [["t", "x", 1], ["u", "y", 1]]);
      assert.equal(await count(db, "_lakesync_scope"), 1);
      assert.deepEqual((await db.verify())?.drifts, []);
    }
    gateway.put("todos", "t", { title: "x", n: 1 }, ["a"]);
    await pull();
    assert.equal(await count(db, "_lakesync_scope"), 0);
    gateway.put("todos", "t", { title: "x", n: 1 }, ["elsewhere"]);
    await pull();
    assert.deepEqual(await rows(), [["u", "y", 1]]);
    assert.deepEqual(await db.verify(), { buckets: 2, rows: 1, drifts: [] });
  });
});

Deno.test("G11: rows of a client's only bucket take no space beside the app's", async () => {
  await withWorld(async ({ db, gateway, pull }) => {
    gateway.granted.add("all");
    for (let i = 0; i < 1_200; i++) gateway.put("todos", `t${i}`, { title: "x", n: i }, ["all"]);
    await pull(500);
    for (let i = 0; i < 9; i++) gateway.put("todos", `t${i}`, { title: "y", n: i }, ["all"]);
    await pull();
    assert.equal(await count(db, "_lakesync_scope"), 0);
    assert.deepEqual(await db.verify(), { buckets: 1, rows: 1_200, drifts: [] });
  });
});

Deno.test("G7: cells that are unset become null, and come again when they may be seen again", async () => {
  const projections = { narrow: { todos: ["title"] } };
  await withWorld(async ({ db, gateway, pull, rows }) => {
    for (const id of ["narrow", "wide"]) gateway.granted.add(id);
    gateway.put("todos", "t", { title: "x", n: 7 }, ["narrow", "wide"]);
    await pull();
    gateway.granted.delete("wide");
    await pull();
    assert.deepEqual(await rows(), [["t", "x", null]]);
    assert.deepEqual((await db.verify())?.drifts, []);
    gateway.granted.add("wide");
    await pull();
    assert.deepEqual(await rows(), [["t", "x", 7]]);
    assert.deepEqual((await db.verify())?.drifts, []);
  }, { projections });
});

Deno.test("G6: a row that keeps a cell that was unset, because the app wants one, is blocked", async () => {
  const tables = "CREATE TABLE todos (id TEXT PRIMARY KEY, title TEXT, n INTEGER NOT NULL)";
  const projections = { narrow: { todos: ["title"] } };
  await withWorld(async ({ db, gateway, pull, rows }) => {
    for (const id of ["narrow", "wide"]) gateway.granted.add(id);
    gateway.put("todos", "t", { title: "x", n: 7 }, ["narrow", "wide"]);
    await pull();
    gateway.granted.delete("wide");
    await pull();
    assert.equal(await db.pendingOf("todos", "t"), "blocked");
    assert.deepEqual((await db.verify())?.drifts, [], "its base has lost the cell");
    gateway.granted.add("wide");
    await pull();
    assert.deepEqual(await rows(), [["t", "x", 7]]);
    assert.equal(await db.pendingOf("todos", "t"), "synced");
  }, { projections, tables });
});

Deno.test("G7: rows of a bucket that is gone go though no page names them", async () => {
  await withWorld(async ({ db, gateway, pull, rows }) => {
    for (const id of ["a", "b"]) gateway.granted.add(id);
    gateway.put("todos", "t", { title: "x", n: 1 }, ["a"]);
    gateway.put("todos", "u", { title: "y", n: 1 }, ["a", "b"]);
    gateway.put("todos", "v", { title: "z", n: 1 }, ["b"]);
    gateway.put("todos", "w", { title: "w", n: 1 }, ["a"]);
    await pull();
    await db.exec("UPDATE todos SET n = 5 WHERE id = 't'");
    gateway.granted.delete("a");
    const [page] = gateway.pull();
    assert.ok(page !== undefined);
    await db.receive({ ...page, changes: [] });
    assert.deepEqual(await rows(), [["u", "y", 1], ["v", "z", 1]]);
    assert.deepEqual((await db.verify())?.drifts, []);
    assert.equal(await db.pendingOf("todos", "t"), "pending");
    gateway.put("todos", "s", { title: "s", n: 1 }, ["b"]);
    await pull();
    const home = await db.query(
      "SELECT buckets FROM _lakesync_home JOIN _lakesync_set USING (set_id)",
    );
    assert.deepEqual(home, [{ buckets: "[2]" }], "new rows have another home");
  });
});

Deno.test("G9: rows that were there before the table was synced are the app's own, until a resync", async () => {
  const tables = `CREATE TABLE todos (id TEXT PRIMARY KEY, title TEXT, n INTEGER);
    INSERT INTO todos VALUES ('own', 'o', 1), ('t', 'o', 1)`;
  await withWorld(async ({ db, gateway, pull, rows }) => {
    gateway.granted.add("a");
    gateway.put("todos", "t", { title: "x", n: 2 }, ["a"]);
    await pull();
    assert.deepEqual(await rows(), [["own", "o", 1], ["t", "x", 2]]);
    assert.deepEqual((await db.verify())?.drifts, []);
    await db.resync();
    gateway.forget();
    await pull();
    assert.deepEqual(await rows(), [["t", "x", 2]]);
    assert.deepEqual((await db.verify())?.drifts, []);
  }, { tables });
});

Deno.test("G7: a bucket may go and another of its name come in one checkpoint, as rules are edited", async () => {
  for (const goneFirst of [false, true]) {
    await withWorld(async ({ db, gateway, pull, rows }) => {
      gateway.granted.add("mine");
      for (const id of ["t", "u", "v"]) gateway.put("todos", id, { title: id, n: 1 }, ["mine"]);
      await pull();
      gateway.rows.delete("todos v");
      const shape = {
        op: "PUT",
        table: "todos",
        columns: [],
        buckets: [goneFirst ? 1 : 0],
      } as const;
      const change = (rowId: string): RowChange => ({ shape, rowId, values: [] });
      const remove = { op: "REMOVE", table: "todos", columns: [] } as const;
      const buckets: BucketState[] = [
        gateway.stateOf("mine"),
        { id: "mine", rows: 0, gone: true },
      ];
      const changes = [change("t"), change("u"), { shape: remove, rowId: "v", values: [] }];
      await receive(db, changes, goneFirst ? buckets.reverse() : buckets);
      assert.deepEqual(await rows(), [["t", "t", 1], ["u", "u", 1]]);
      assert.deepEqual(await db.verify(), { buckets: 1, rows: 2, drifts: [] });
      assert.equal(await count(db, "_lakesync_scope"), 0);
      gateway.granted.delete("mine");
      const [page] = gateway.pull();
      assert.ok(page !== undefined);
      await db.receive({ ...page, changes: [] });
      assert.deepEqual(await rows(), []);
    });
  }
});

Deno.test("G7: what a page brought in a bucket that is gone on the last page leaves with it", async () => {
  const projections = { narrow: { todos: ["title"] } };
  for (const before of ["nothing", "others", "all", "a resync"]) {
    await withWorld(async ({ db, gateway, pull, rows }) => {
      for (const id of ["dying", "narrow", "stays"]) gateway.granted.add(id);
      const put = (id: string, buckets: readonly string[]) =>
        gateway.put("todos", id, { title: before, n: 1 }, buckets);
      if (before === "others") put("s", ["stays"]);
      if (before === "all" || before === "a resync") {
        for (const id of ["d", "e"]) put(id, ["dying"]);
        put("s", ["stays"]);
      }
      if (before !== "nothing") await pull();
      if (before === "a resync") {
        await db.resync();
        gateway.forget();
      }
      for (const id of ["d", "mine"]) put(id, ["dying"]);
      put("n", ["dying", "narrow"]);
      put("s", ["dying", "stays"]);
      await db.exec("INSERT INTO todos VALUES ('mine', 'mine', 2)");
      await receiveAll(db, gateway.pull([], 1, ["dying"]));
      const left = [["mine", "mine", 2], ["n", before, null], ["s", before, 1]];
      assert.deepEqual(await rows(), left);
      assert.deepEqual((await db.verify())?.drifts, []);
      gateway.granted.add("dying");
      await pull();
      assert.equal(await count(db, "todos"), before.startsWith("a") ? 5 : 4);
      assert.deepEqual((await db.verify())?.drifts, []);
    }, { projections });
  }
});

async function receiveAll(db: Local, pages: readonly PullResult[]): Promise<void> {
  for (const page of pages) await db.receive(page);
}

/** Receives a checkpoint by hand. */
async function receive(
  db: Local,
  changes: readonly RowChange[],
  buckets: readonly BucketState[],
): Promise<void> {
  const checkpoint = { seq: 9, buckets };
  const [page] = new BucketGateway().pull();
  assert.ok(page !== undefined);
  const whole: PullResult = { ...page, changes, checkpoint };
  await db.receive(whole);
}

Deno.test("G9: what a bucket that came whole did not mention has left it, and nothing else", async () => {
  const projections = { narrow: { todos: ["title"] } };
  await withWorld(async ({ db, gateway, pull, rows }) => {
    for (const id of ["narrow", "wide"]) gateway.granted.add(id);
    gateway.put("todos", "both", { title: "x", n: 1 }, ["narrow", "wide"]);
    gateway.put("todos", "narrow", { title: "x", n: 1 }, ["narrow"]);
    gateway.put("todos", "stays", { title: "x", n: 1 }, ["wide"]);
    gateway.put("todos", "goes", { title: "x", n: 1 }, ["wide"]);
    await pull();
    const shape = { op: "PUT", table: "todos", columns: ["title"], buckets: [1] } as const;
    await receive(db, [{ shape, rowId: "stays", values: ["y"] }], [
      { id: "narrow", rows: 2, columns: projections.narrow },
      { id: "wide", rows: 1, whole: true },
    ]);
    assert.deepEqual(await rows(), [
      ["both", "x", null],
      ["narrow", "x", null],
      ["stays", "y", null],
    ]);
  }, { projections });
});

Deno.test("G6 G9: pending writes outlive a bucket that comes whole without their rows", async () => {
  await withWorld(async ({ db, gateway, pull, rows }) => {
    gateway.granted.add("a");
    gateway.put("todos", "t", { title: "x", n: 1 }, ["a"]);
    gateway.put("todos", "u", { title: "y", n: 1 }, ["a"]);
    await pull();
    await db.exec("UPDATE todos SET title = 'mine' WHERE id = 't'");
    await db.exec("INSERT INTO todos VALUES ('v', 'new', 2)");
    const shape = { op: "PUT", table: "todos", columns: ["title"] } as const;
    const whole = { id: "a", rows: 1, whole: true } as const;
    await receive(db, [{ shape, rowId: "t", values: ["theirs"] }], [whole]);
    assert.deepEqual(await rows(), [["t", "mine", null], ["v", "new", 2]]);
    await receive(db, [], [{ ...whole, rows: 0 }]);
    assert.deepEqual(await rows(), [["v", "new", 2]], "an UPDATE does not bring a row back");
    const batch = await db.nextBatch({ mutationId: 0, part: 0 }, WIDE);
    assert.equal(batch?.transactions.length, 2);
  });
});

Deno.test("G9: rows changed by a connection without triggers are found, and their bucket alone comes again", async () => {
  await withWorld(async ({ db, gateway, pull, rows, drift }) => {
    for (const id of ["a", "b"]) gateway.granted.add(id);
    gateway.put("todos", "t", { title: "x", n: 1 }, ["a"]);
    gateway.put("todos", "u", { title: "y", n: 1 }, ["b"]);
    gateway.put("todos", "v", { title: "z", n: 1 }, ["b"]);
    await pull();
    const right = await rows();
    assert.deepEqual((await db.verify())?.drifts, []);
    for (
      const [sql, bucket, told, here] of [
        ["UPDATE todos SET n = 2 WHERE id = 't'", "a", 1, 1],
        ["DELETE FROM todos WHERE id = 'v'", "b", 2, 1],
        ["INSERT INTO todos VALUES ('ghost', 'g', 1)", "a", 1, 2],
      ] as const
    ) {
      drift(sql);
      await db.exec("UPDATE todos SET title = title WHERE 0");
      const drifted = { bucket, rows: told, rowsHere: here, remedy: "repair" };
      assert.deepEqual((await db.verify())?.drifts, [drifted]);
      assert.deepEqual((await db.verify())?.drifts, [{ ...drifted, remedy: "asked" }]);
      assert.deepEqual((await db.state()).repair, [bucket]);
      await pull(1);
      assert.deepEqual(await rows(), right);
      assert.deepEqual((await db.state()).repair, []);
      assert.deepEqual((await db.verify())?.drifts, []);
    }
  });
});

Deno.test("G9: nothing is asked for between the pages of a checkpoint", async () => {
  await withWorld(async ({ db, gateway, pull, drift }) => {
    gateway.granted.add("a");
    gateway.put("todos", "t", { title: "x", n: 1 }, ["a"]);
    await pull();
    drift("UPDATE todos SET n = 2");
    await db.verify();
    gateway.put("todos", "u", { title: "x", n: 1 }, ["a"]);
    gateway.put("todos", "v", { title: "x", n: 1 }, ["a"]);
    const [first, last] = gateway.pull([], 1);
    assert.ok(first !== undefined && last !== undefined);
    await db.receive(first);
    assert.deepEqual((await db.state()).repair, []);
    const applied = await db.receive(last);
    assert.equal(applied.repair, true);
    assert.deepEqual((await db.state()).repair, ["a"]);
  });
});

Deno.test("G9: a bucket that always differs comes three times, then everything once, then it is given up", async () => {
  await withWorld(async ({ db, gateway }) => {
    gateway.granted.add("a");
    gateway.put("todos", "t", { title: "x", n: 1 }, ["a"]);
    const remedies: unknown[] = [];
    for (let round = 0; round < 7; round++) {
      const { repair, cursor } = await db.state();
      if (cursor === undefined) gateway.forget();
      for (const page of gateway.pull(repair)) {
        const buckets = page.checkpoint?.buckets.map((told) => ({ ...told, checksum: 1 })) ?? [];
        await db.receive({ ...page, checkpoint: { seq: round, buckets } });
      }
      remedies.push((await db.verify())?.drifts[0]?.remedy);
    }
    const given = "given-up";
    assert.deepEqual(remedies, ["repair", "repair", "repair", "resync", given, given, given]);
    for (const page of gateway.pull()) await db.receive(page);
    assert.deepEqual((await db.verify())?.drifts, [], "it heals when the gateway does");
  });
});

Deno.test("G12: what was told under an older schema is not compared with rows of a newer one", async () => {
  await withFolder(async (folder) => {
    const database = `${folder}/a.db`;
    const gateway = new BucketGateway();
    gateway.granted.add("a");
    gateway.put("todos", "t", { title: "x", n: 1 }, ["a"]);
    const before = await openLocal({ database, schema: SCHEMA, watchMs: 0 });
    for (const page of gateway.pull()) await before.receive(page);
    await before.close();
    const { todos } = SCHEMA.tables;
    const columns = { ...todos.columns, more: "string" } as const;
    const schema = { version: 2, tables: { todos: { ...todos, columns } } } as const;
    const after = await openLocal({ database, schema, watchMs: 0 });
    assert.equal((await after.verify())?.buckets, 0);
    for (const page of gateway.pull()) await after.receive(page);
    assert.equal((await after.verify())?.buckets, 1, "the same was said again, under the new one");
    gateway.put("todos", "t", { title: "x", n: 1, more: "y" }, ["a"]);
    for (const page of gateway.pull()) await after.receive(page);
    assert.deepEqual(await after.verify(), { buckets: 1, rows: 1, drifts: [] });
    await after.close();
  });
});

for (
  const [what, table] of [
    ["stored by a key in another order", "PRIMARY KEY (y, x)) WITHOUT ROWID"],
    ["with a column that is called rowid", "rowid TEXT DEFAULT 'r', PRIMARY KEY (x, y))"],
  ] as const
) {
  Deno.test(`verify reads every row once of a table ${what}`, async () => {
    await withFolder(async (folder) => {
      const database = `${folder}/a.db`;
      execute(database, `CREATE TABLE links (x TEXT, y INTEGER, v TEXT, ${table}`);
      const columns = { x: "string", y: "integer", v: "string" } as const;
      const schema = {
        version: 1,
        tables: { links: { primaryKey: ["x", "y"], columns } },
      } as const;
      const db = await openLocal({ database, schema, watchMs: 0 });
      const gateway = new BucketGateway();
      gateway.granted.add("a");
      for (let i = 0; i < 1_200; i++) {
        const id = JSON.stringify([`x${i % 7}`, i - 600]);
        gateway.put("links", id, { v: "x" }, ["a"]);
      }
      for (const page of gateway.pull()) await db.receive(page);
      await db.exec("UPDATE links SET v = 'mine' WHERE y % 100 = 0");
      assert.deepEqual(await db.verify(), { buckets: 1, rows: 1_200, drifts: [] });
      await db.close();
    });
  });
}

Deno.test("G9: what a checkpoint has overtaken is not taken for drift", async () => {
  await withWorld(async ({ db, gateway, pull, drift }) => {
    gateway.granted.add("a");
    gateway.put("todos", "t", { title: "x", n: 1 }, ["a"]);
    await pull();
    drift("UPDATE todos SET n = 2");
    const state = await db.state();
    const [page] = gateway.pull(["a"]);
    assert.ok(page !== undefined);
    // It begins to compare before the page is applied and stores what it found afterwards.
    const [found] = await Promise.all([db.verify(), db.receive(page)]);
    assert.deepEqual(found?.drifts, []);
    assert.deepEqual((await db.state()).repair, state.repair);
    assert.deepEqual((await db.verify())?.drifts, []);
  });
});

Deno.test("verify compares in slices and sees one checkpoint, in memory too", async () => {
  const db = await openLocal({ database: ":memory:", schema: SCHEMA });
  const gateway = new BucketGateway();
  assert.equal(await db.verify(), undefined);
  gateway.granted.add("a");
  for (let i = 0; i < 20_000; i++) gateway.put("todos", `t${i}`, { title: "x", n: i }, ["a"]);
  for (const page of gateway.pull()) await db.receive(page);
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const verifying = db.verify();
  const write = db.exec("UPDATE todos SET n = -1 WHERE id = 't5'");
  assert.deepEqual(await verifying, { buckets: 1, rows: 20_000, drifts: [] });
  await write;
  clearInterval(timer);
  assert.ok(longest < 200, `${longest} ms`);
  const closing = db.verify();
  await db.close();
  await assert.rejects(closing, { code: "DRAINING" });
});

Deno.test("G9: a cell that is no value of its type is drift, and the app's own rows are not looked into", async () => {
  const schema = defineSchema({
    version: 1,
    tables: { notes: { primaryKey: ["id"], columns: { id: "string", body: "json" } } },
  });
  await withFolder(async (folder) => {
    const path = `${folder}/a.db`;
    execute(
      path,
      `CREATE TABLE notes (id TEXT PRIMARY KEY, body TEXT);
       INSERT INTO notes VALUES ('own', 'no JSON'), (NULL, 'no key')`,
    );
    const db = await openLocal({ database: path, schema, watchMs: 0 });
    try {
      const gateway = new BucketGateway();
      gateway.granted.add("a");
      gateway.put("notes", "t", { body: { n: 1 } }, ["a"]);
      for (const page of gateway.pull()) await db.receive(page);
      assert.deepEqual((await db.verify())?.drifts, []);
      execute(
        path,
        `BEGIN IMMEDIATE; UPDATE _lakesync_clock SET applying = 1;
         UPDATE notes SET body = 'broken' WHERE id = 't';
         UPDATE _lakesync_clock SET applying = 0; COMMIT`,
      );
      const drift = { bucket: "a", rows: 1, rowsHere: 1, remedy: "repair" };
      assert.deepEqual((await db.verify())?.drifts, [drift]);
    } finally {
      await db.close();
    }
  });
});

Deno.test("G6 G9: where the app takes no null its default stands, and the row goes on", async () => {
  const tables =
    "CREATE TABLE todos (id TEXT PRIMARY KEY, title TEXT, n INTEGER NOT NULL DEFAULT 5)";
  const projections = { narrow: { todos: ["title"] } };
  await withWorld(async ({ db, gateway, pull, rows }) => {
    for (const id of ["narrow", "wide"]) gateway.granted.add(id);
    gateway.put("todos", "t", { title: "x", n: 7 }, ["narrow", "wide"]);
    gateway.put("todos", "u", { title: "x", n: null }, ["wide"]);
    await pull();
    assert.deepEqual(await rows(), [["t", "x", 7], ["u", "x", 5]]);
    assert.deepEqual((await db.verify())?.drifts, []);
    gateway.put("todos", "u", { title: "y", n: null }, ["narrow", "wide"]);
    gateway.granted.delete("wide");
    await pull();
    assert.deepEqual(
      await rows(),
      [["t", "x", 5], ["u", "y", 5]],
      "the cell is not shown any more",
    );
    await db.resync();
    gateway.forget();
    gateway.put("todos", "t", { title: "z", n: 7 }, ["narrow"]);
    await pull();
    assert.deepEqual(await rows(), [["t", "z", 5], ["u", "y", 5]]);
    assert.deepEqual((await db.verify())?.drifts, []);
    assert.deepEqual(await db.blockedRows(), []);
    await db.exec("UPDATE todos SET title = 'mine' WHERE id = 't'");
    gateway.put("todos", "u", { title: "y", n: null }, []);
    await db.resync();
    gateway.forget();
    await pull();
    assert.deepEqual(await rows(), [["t", "mine", 5]]);
    assert.deepEqual((await db.verify())?.drifts, []);
    gateway.granted.add("wide");
    gateway.put("todos", "t", { title: "z", n: 8 }, ["narrow", "wide"]);
    await pull();
    assert.deepEqual(await rows(), [["t", "mine", 8]]);
  }, { projections, tables });
});

Deno.test("G9: a cell that was never written is null, whatever default the app has for it", async () => {
  for (const declared of ["n INTEGER DEFAULT 5", "n INTEGER NOT NULL DEFAULT 5"]) {
    const tables = `CREATE TABLE todos (id TEXT PRIMARY KEY, title TEXT, ${declared})`;
    const here = declared.includes("NOT") ? 5 : null;
    await withWorld(async ({ db, gateway, pull, rows }) => {
      gateway.granted.add("a");
      gateway.put("todos", "t", { title: "x" }, ["a"]);
      gateway.put("todos", "u", { title: "x", n: 7 }, ["a"]);
      await pull();
      assert.deepEqual(await rows(), [["t", "x", here], ["u", "x", 7]]);
      assert.deepEqual((await db.verify())?.drifts, []);
      gateway.put("todos", "t", { title: "y" }, ["a"]);
      gateway.put("todos", "u", { title: "y", n: 7 }, ["a"]);
      await pull();
      assert.deepEqual(await rows(), [["t", "y", here], ["u", "y", 7]]);
      assert.deepEqual((await db.verify())?.drifts, []);
      gateway.put("todos", "t", { title: "y", n: 8 }, ["a"]);
      await pull();
      assert.deepEqual(await rows(), [["t", "y", 8], ["u", "y", 7]]);
      assert.equal(await count(db, "_lakesync_base"), 0);
      assert.deepEqual((await db.verify())?.drifts, []);
    }, { tables });
  }
});

Deno.test("G6: however many rows wait for rows that leave, all are there with that checkpoint", async () => {
  const tables = "CREATE TABLE todos (id TEXT PRIMARY KEY, title TEXT UNIQUE, n INTEGER)";
  await withWorld(async ({ db, gateway, pull }) => {
    const rows = Array.from({ length: 2_500 }, (_, i) => i);
    gateway.granted.add("a");
    for (const i of rows) gateway.put("todos", `a${i}`, { title: `x${i}`, n: i }, ["a"]);
    await pull();
    await db.resync();
    gateway.forget();
    gateway.rows.clear();
    for (const i of rows) gateway.put("todos", `b${i}`, { title: `x${i}`, n: i }, ["a"]);
    await pull();
    assert.deepEqual(await db.blockedRows(), []);
    assert.equal(await count(db, "todos"), rows.length);
  }, { tables });
});

Deno.test("G11: sets of buckets that no row has any more are forgotten", async () => {
  await withWorld(async ({ db, gateway, pull }) => {
    for (let i = 0; i < 33; i++) gateway.granted.add(`b${i}`);
    for (let i = 0; i < 33; i++) {
      for (let j = 0; j < i; j++) {
        gateway.put("todos", "t", { title: "x", n: 1 }, [`b${i}`, `b${j}`]);
        await pull();
      }
    }
    assert.ok(Number(await count(db, "_lakesync_set")) < 300);
    assert.deepEqual((await db.verify())?.drifts, []);
  });
});

Deno.test("G11: where a bucket has no checksum, how many rows there are is not known to be few", async () => {
  await withWorld(async ({ db, gateway }) => {
    for (const id of ["a", "b"]) gateway.granted.add(id);
    gateway.put("todos", "t", { title: "x", n: 1 }, ["a"]);
    const without = async () => {
      const pages = gateway.pull().map((page) => ({
        ...page,
        ...(page.checkpoint === undefined ? {} : {
          checkpoint: {
            ...page.checkpoint,
            buckets: page.checkpoint.buckets.map((bucket) =>
              bucket.id === "b" ? { id: "b", rows: 0 } : bucket
            ),
          },
        }),
      }));
      let verify: unknown;
      for (const page of pages) verify = (await db.receive(page)).verify;
      return verify;
    };
    assert.equal(await without(), "now", "the first one");
    gateway.put("todos", "t", { title: "y", n: 1 }, ["a"]);
    assert.equal(await without(), "later");
  });
});
