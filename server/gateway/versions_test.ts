/** Clients of several schema versions on one gateway. */

import assert from "node:assert/strict";
import { LakeSyncError } from "@lakesync/core";
import { at, delta, openFixture, Puller, push, TODOS, tx } from "./testing_fixture.ts";

const { lists, todos } = TODOS.tables;
const { title: _, ...untitled } = todos.columns;

/** Version 2: a table is added, one is renamed, and in it a column is added and one renamed. */
const TASKS = {
  version: 2,
  tables: {
    lists,
    marks: { primaryKey: ["id"], columns: { id: "string" } },
    tasks: {
      primaryKey: ["id"],
      renamedFrom: "todos",
      columns: { ...untitled, name: { type: "string", renamedFrom: "title" }, due: "date" },
    },
  },
} as const;

const V2 = { schemaVersion: 2 };

function isCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof LakeSyncError && error.code === code;
}

Deno.test("G12: an added table and column resync nobody and tell an old client nothing", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), { title: "x", n: 1 }))]);
  const old = new Puller(gateway, "old");
  await old.pull();
  const tables = { ...TODOS.tables, marks: TASKS.tables.marks };
  const columns = { ...todos.columns, due: "date" };
  await gateway.putSchema({ version: 2, tables: { ...tables, todos: { ...todos, columns } } });
  assert.deepEqual(await old.pull(), []);
  await push(gateway, "b", [
    tx(1, delta("INSERT", "m1", at(1), {}, "marks")),
    tx(2, delta("UPDATE", "t1", at(2), { due: "2026-01-31" })),
  ], V2);
  assert.deepEqual(await old.pull(), []);
  await push(gateway, "a", [tx(2, delta("UPDATE", "t1", at(3), { n: 2 }))]);
  assert.deepEqual((await old.pull()).map(({ shape, values }) => [shape.columns, values]), [
    [["n"], [2]],
  ]);
  const upgraded = new Puller(gateway, "old", 1_000, 2);
  upgraded.cursor = old.cursor;
  const learned = await upgraded.pull();
  assert.deepEqual(learned.map(({ rowId, shape }) => [rowId, shape.columns]).sort(), [
    ["m1", []],
    ["t1", ["due"]],
  ]);
});

Deno.test("G12: two versions push and pull one column under two names at once", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const one = new Puller(gateway, "one", 1_000, 1);
  const two = new Puller(gateway, "two", 1_000, 2);
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), { title: "first", n: 1 }))]);
  await one.pull();
  await gateway.putSchema(TASKS);
  const insert = delta("INSERT", "t2", at(1), { name: "second", due: "2026-01-31" }, "tasks");
  await push(gateway, "b", [tx(1, insert)], V2);
  await push(gateway, "a", [tx(2, delta("UPDATE", "t2", at(2), { title: "by one" }))]);
  await push(gateway, "b", [tx(2, delta("UPDATE", "t1", at(3), { name: "by two" }, "tasks"))], V2);
  await one.pull();
  await two.pull();
  assert.deepEqual(one.table(), {
    "todos/t1": { n: 1, title: "by two" },
    "todos/t2": { title: "by one" },
  });
  assert.deepEqual(two.table(), {
    "tasks/t1": { n: 1, name: "by two" },
    "tasks/t2": { due: "2026-01-31", name: "by one" },
  });
  await push(gateway, "b", [tx(3, delta("DELETE", "t1", at(4), {}, "tasks"))], V2);
  assert.deepEqual((await one.pull()).map(({ shape, rowId }) => [shape.op, shape.table, rowId]), [
    ["REMOVE", "todos", "t1"],
  ]);
  const { rejected } = await push(gateway, "b", [
    tx(4, delta("UPDATE", "t2", at(5), { title: "old name" }, "tasks")),
  ], V2);
  assert.deepEqual(rejected.map(({ code }) => code), ["SCHEMA_ERROR"]);
});

Deno.test("G12: a renamed column resyncs nobody who upgrades", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), { title: "x" }))]);
  const one = new Puller(gateway, "one");
  await one.pull();
  const { marks: _, ...tables } = TASKS.tables;
  const { due: __, ...columns } = tables.tasks.columns;
  await gateway.putSchema({
    version: 2,
    tables: { ...tables, tasks: { ...tables.tasks, columns } },
  });
  const upgraded = new Puller(gateway, "one", 1_000, 2);
  upgraded.cursor = one.cursor;
  assert.deepEqual(await upgraded.pull(), []);
});

Deno.test("G12: a client ahead pulls by the newest names, and pushes on once its version is put", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), { title: "x" }))]);
  const ahead = new Puller(gateway, "ahead", 1_000, 2);
  await ahead.pull();
  assert.deepEqual(ahead.table(), { "todos/t1": { title: "x" } });
  const sums = () => ahead.last?.checkpoint?.buckets.map(({ checksum }) => typeof checksum);
  assert.deepEqual(sums(), ["undefined"], "G9: it could not compare by its own names");
  const waiting = [tx(1, delta("UPDATE", "t1", at(1), { name: "y", due: "2026-01-31" }, "tasks"))];
  const stopped = await push(gateway, "ahead", waiting, V2);
  assert.deepEqual([stopped.lastMutationId, stopped.stopped?.code], [0, "SCHEMA_AHEAD"]);
  await gateway.putSchema(TASKS);
  const { lastMutationId, rejected } = await push(gateway, "ahead", waiting, V2);
  assert.deepEqual([lastMutationId, rejected], [1, []]);
  await ahead.pull();
  assert.deepEqual(ahead.rows.get("tasks/t1"), { name: "y", due: "2026-01-31" });
  assert.deepEqual(sums(), ["number"]);
});

Deno.test("G12: after a forced drop its clients are told to update, and what comes again is empty", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), { title: "x", n: 1 }))]);
  const fewer = { version: 2, tables: { lists, todos: { ...todos, columns: untitled } } };
  await gateway.putSchema(fewer, true);
  await assert.rejects(
    push(gateway, "a", [tx(2, delta("UPDATE", "t1", at(1), { n: 2 }))]),
    isCode("SCHEMA_CONFLICT"),
  );
  await assert.rejects(new Puller(gateway, "a").pull(), isCode("SCHEMA_CONFLICT"));
  const two = new Puller(gateway, "two", 1_000, 2);
  await two.pull();
  assert.deepEqual(two.table(), { "todos/t1": { n: 1 } });
  await gateway.putSchema({ ...TODOS, version: 3 });
  const three = new Puller(gateway, "three", 1_000, 3);
  await three.pull();
  assert.deepEqual(three.table(), { "todos/t1": { n: 1 } });
  await push(gateway, "a", [tx(2, delta("UPDATE", "t1", at(2), { title: "new" }))], {
    schemaVersion: 3,
  });
  await three.pull();
  assert.deepEqual(three.table(), { "todos/t1": { n: 1, title: "new" } });
});
