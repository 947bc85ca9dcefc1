/** Opening a database with a newer schema. */

import {
  type BucketState,
  defineSchema,
  LakeSyncError,
  makeHlc,
  type PullResult,
  type SchemaSpec,
} from "@lakesync/core";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type AnyLocalDatabase, openLocal } from "./local.ts";
import { WIDE, withFolder } from "./testing_local.ts";

const ID = { primaryKey: ["id"] } as const;

const ONE = defineSchema({
  version: 1,
  tables: {
    notes: { ...ID, columns: { id: "string", title: "string", n: "integer", ref: "uuid" } },
    lists: { ...ID, columns: { id: "string", name: "string" } },
  },
});
const LISTS = ONE.tables.lists;

function spec(version: number, columns: SchemaSpec["tables"][string]["columns"]): SchemaSpec {
  return {
    version,
    tables: { notes: { ...ID, columns: { id: "string", ...columns } }, lists: LISTS },
  };
}

const RENAMED: SchemaSpec = {
  version: 2,
  tables: {
    memos: {
      ...ID,
      renamedFrom: "notes",
      columns: {
        id: "string",
        order: { type: "string", renamedFrom: "title" },
        n: "integer",
        ref: "uuid",
      },
    },
    lists: LISTS,
  },
};

async function deltas(db: AnyLocalDatabase): Promise<unknown[]> {
  const batch = await db.nextBatch({ mutationId: 0, part: 0 }, WIDE);
  return (batch?.transactions ?? []).map(({ deltas }) =>
    deltas.map(({ shape, rowId, values }) => [shape.op, shape.table, rowId, shape.columns, values])
  );
}

function page(
  seq: number,
  lastMutationId: number,
  changes: readonly [table: string, rowId: string, cells: Record<string, string | number>][],
  more: Partial<PullResult> = {},
): PullResult {
  return {
    changes: changes.map(([table, rowId, cells]) => ({
      shape: { op: "PUT", table, columns: Object.keys(cells) },
      rowId,
      values: Object.values(cells),
    })),
    cursor: `cursor ${seq}`,
    complete: true,
    lastMutationId,
    serverHlc: makeHlc(seq, 0),
    checkpoint: { seq, buckets: [] },
    ...more,
  };
}

/** Opens a database with one schema after the other. */
async function through(
  work: (open: (schema: SchemaSpec) => Promise<AnyLocalDatabase>, path: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const database = `${folder}/a.db`;
    let last: AnyLocalDatabase | undefined;
    try {
      await work(async (schema) => {
        await last?.close();
        last = undefined;
        return last = await openLocal({ database, schema, watchMs: 0 });
      }, database);
    } finally {
      await last?.close();
    }
  });
}

async function rowsOf(db: AnyLocalDatabase, table: string): Promise<unknown[][]> {
  const rows = await db.query(`SELECT * FROM ${table} ORDER BY id`);
  return rows.map((row) => Object.values(row));
}

function refusal(mutationId: number, lastMutationId: number) {
  const code = "FORBIDDEN_WRITE" as const;
  return {
    lastMutationId,
    rejected: [{ mutationId, code, message: "No", delta: 0 }],
    seq: 9,
    serverTime: "2026-01-01T00:00:00Z",
    serverHlc: makeHlc(9, 0),
  };
}

Deno.test("G12: a renamed table and column keep rows, pending writes, indexes and views", () =>
  through(async (open) => {
    const one = await open(ONE);
    await one.receive(page(1, 0, [["notes", "a", { title: "server", n: 1 }]]));
    await one.exec("CREATE INDEX by_title ON notes (title)");
    await one.exec("CREATE VIEW titles AS SELECT title FROM notes");
    await one.exec("UPDATE notes SET title = 'mine' WHERE id = 'a'");

    const two = await open(RENAMED);
    assert.deepEqual(await rowsOf(two, "memos"), [["a", "mine", 1, null]]);
    assert.deepEqual(await two.query("SELECT * FROM titles"), [{ order: "mine" }]);
    await two.exec("UPDATE memos SET \"order\" = 'again', n = 2");
    assert.deepEqual(await deltas(two), [
      [["UPDATE", "memos", "a", ["order"], ["mine"]]],
      [["UPDATE", "memos", "a", ["order", "n"], ["again", 2]]],
    ]);
    assert.equal((await two.state()).cursor, "cursor 1");
    const triggers = await two.query("SELECT name FROM sqlite_schema WHERE type = 'trigger'");
    assert.equal(triggers.some(({ name }) => String(name).includes("notes")), false);
    assert.equal(triggers.length, 8);

    await two.receive(page(2, 0, [["memos", "a", { order: "newer", n: 7 }]]));
    assert.deepEqual(await rowsOf(two, "memos"), [["a", "again", 2, null]]);
    await two.pushed(refusal(2, 2));
    assert.deepEqual(await rowsOf(two, "memos"), [["a", "mine", 7, null]]);
    assert.deepEqual((await two.deadLetters())[0]?.changes[0]?.columns, { order: "again", n: 2 });
    assert.equal(await two.pendingOf("memos", "a"), "pending");
  }));

Deno.test("G12: a database that is ahead of its gateway takes changes under the former names", () =>
  through(async (open) => {
    await (await open(ONE)).receive(page(1, 0, [["notes", "a", { title: "one", n: 1 }]]));
    const two = await open(RENAMED);
    await two.receive(page(2, 0, [["notes", "a", { title: "two" }], ["notes", "b", { n: 3 }]]));
    assert.deepEqual(await rowsOf(two, "memos"), [["a", "two", 1, null], ["b", null, 3, null]]);
    const unset = page(3, 0, [["notes", "a", { n: 4 }]]);
    const changes = unset.changes.map((change) => ({
      ...change,
      shape: { ...change.shape, unset: ["title"] },
    }));
    await two.receive({ ...unset, changes });
    assert.deepEqual((await rowsOf(two, "memos"))[0], ["a", null, 4, null]);
  }));

Deno.test("G12: a rename that the app did itself is not done again", () =>
  through(async (open, path) => {
    await (await open(ONE)).close();
    const app = new DatabaseSync(path);
    app.exec('ALTER TABLE notes RENAME TO memos; ALTER TABLE memos RENAME COLUMN title TO "order"');
    app.close();
    const two = await open(RENAMED);
    await two.exec("INSERT INTO memos VALUES ('a', 'x', 1, NULL)");
    assert.deepEqual(await deltas(two), [
      [["INSERT", "memos", "a", ["order", "n", "ref"], ["x", 1, null]]],
    ]);
  }));

Deno.test("G12: a wider type keeps its place, and pending writes with it", () =>
  through(async (open) => {
    const uuid = "00000000-0000-4000-8000-000000000000";
    const one = await open(ONE);
    await one.receive(page(1, 0, [["notes", "a", { n: 1, ref: uuid }]]));
    await one.exec("UPDATE notes SET n = 2 WHERE id = 'a'");
    const two = await open(spec(2, { title: "string", n: "number", ref: "string" }));
    await two.exec("UPDATE notes SET n = 2.5, ref = 'any text' WHERE id = 'a'");
    assert.deepEqual(await deltas(two), [
      [["UPDATE", "notes", "a", ["n"], [2]]],
      [["UPDATE", "notes", "a", ["n", "ref"], [2.5, "any text"]]],
    ]);
    await two.pushed(refusal(2, 2));
    assert.deepEqual(await rowsOf(two, "notes"), [["a", null, 2, uuid]]);
    await two.receive(page(2, 2, [["notes", "a", { n: 7.5 }]]));
    assert.deepEqual(await rowsOf(two, "notes"), [["a", null, 7.5, uuid]]);
  }));

Deno.test("G12: a dropped column is not sent, and one that comes again under its name is empty", () =>
  through(async (open) => {
    const one = await open(ONE);
    await one.exec("INSERT INTO notes VALUES ('a', 'title', 1, NULL)");
    await one.exec("UPDATE notes SET n = 2");
    const two = await open(spec(2, { title: "string", ref: "uuid" }));
    assert.deepEqual(await rowsOf(two, "notes"), [["a", "title", null]]);
    assert.deepEqual(await deltas(two), [
      [["INSERT", "notes", "a", ["title", "ref"], ["title", null]]],
      [["UPDATE", "notes", "a", [], []]],
    ]);
    const three = await open(spec(3, { title: "string", ref: "uuid", n: "string" }));
    assert.deepEqual(await rowsOf(three, "notes"), [["a", "title", null, null]]);
    await three.exec("UPDATE notes SET n = 'text'");
    assert.deepEqual((await deltas(three)).slice(1), [
      [["UPDATE", "notes", "a", [], []]],
      [["UPDATE", "notes", "a", ["n"], ["text"]]],
    ]);
  }));

Deno.test("G12: what the app put on a dropped column is named, and the file stays as it was", () =>
  through(async (open) => {
    const one = await open(ONE);
    await one.exec("CREATE INDEX by_n ON notes (n)");
    await one.exec("INSERT INTO notes (id, n) VALUES ('a', 1)");
    await assert.rejects(open(spec(2, { title: "string", ref: "uuid" })), (error) => {
      assert.ok(error instanceof LakeSyncError);
      assert.equal(error.code, "SCHEMA_ERROR");
      assert.match(error.message, /^Table notes in this database cannot drop column n \(.*by_n/);
      return true;
    });
    const again = await open(ONE);
    await again.exec("UPDATE notes SET n = 2");
    assert.equal((await deltas(again)).length, 2);
  }));

Deno.test("G12: writes to a dropped table are not sent, those beside them are", () =>
  through(async (open) => {
    const one = await open(ONE);
    await one.transaction(async (tx) => {
      await tx.exec("INSERT INTO lists VALUES ('l', 'Home')");
      await tx.exec("INSERT INTO notes (id) VALUES ('a')");
    });
    const notes = ["INSERT", "notes", "a", ["title", "n", "ref"], [null, null, null]];
    const buckets = [{ id: "a", rows: 0 }];
    const checkpoint = { checkpoint: { seq: 1, buckets } };
    await one.receive(page(1, 0, [["lists", "k", { name: "Work" }]], checkpoint));
    const two = await open({ version: 2, tables: { notes: ONE.tables.notes } });
    assert.deepEqual(await deltas(two), [[notes]]);
    assert.deepEqual(await rowsOf(two, "lists"), [["k", "Work"], ["l", "Home"]]);
    assert.deepEqual(await two.query("SELECT * FROM _lakesync_home"), [], "no bucket holds them");
    const three = await open({ ...ONE, version: 3 });
    await three.exec("INSERT INTO lists VALUES ('m', 'Work')");
    assert.deepEqual(await deltas(three), [
      [notes],
      [["INSERT", "lists", "m", ["name"], ["Work"]]],
    ]);
  }));

Deno.test("G12: a name that went while versions were skipped makes the next checkpoint replace all", () =>
  through(async (open) => {
    const one = await open(ONE);
    await one.receive(page(1, 0, [["notes", "a", { title: "t", n: 1 }]]));
    await one.receive(page(2, 0, [], { complete: false }));
    assert.equal((await one.state()).cursor, "cursor 2");
    const added = await open(spec(4, { title: "string", n: "integer", ref: "uuid", due: "date" }));
    assert.equal((await added.state()).cursor, "cursor 2");
    const renamed = { type: "string", renamedFrom: "title" } as const;
    const columns = { n: "integer", ref: "uuid", due: "date" } as const;
    const declared = await open(spec(6, { text: renamed, ...columns }));
    assert.equal((await declared.state()).cursor, "cursor 1");
    const undeclared = await open(spec(8, { body: "string", ...columns }));
    assert.equal((await undeclared.state()).cursor, undefined);
    await undeclared.receive(page(3, 0, [["notes", "a", { body: "t", n: 1 }]]));
    assert.deepEqual(await rowsOf(undeclared, "notes"), [["a", 1, null, null, "t"]]);
  }));

Deno.test("G7 G12: a database that is ahead knows what buckets show by the former names", () =>
  through(async (open) => {
    const one = await open(ONE);
    const narrow = { id: "narrow", rows: 1, columns: { notes: ["title"] } };
    const wide = { id: "wide", rows: 1 };
    const shape = { op: "PUT", table: "notes", columns: ["title", "n"], buckets: [0, 1] } as const;
    const changes = [{ shape, rowId: "a", values: ["t", 1] }];
    const told = (seq: number, ...buckets: BucketState[]) => ({ checkpoint: { seq, buckets } });
    await one.receive(page(1, 0, [], { changes, ...told(1, narrow, wide) }));
    const ahead = await open(RENAMED);
    assert.deepEqual(await rowsOf(ahead, "memos"), [["a", "t", 1, null]]);
    await ahead.receive(page(2, 0, [], told(2, narrow, { id: "wide", rows: 0, gone: true })));
    assert.deepEqual(await rowsOf(ahead, "memos"), [["a", "t", null, null]]);
  }));
