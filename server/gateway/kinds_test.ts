import assert from "node:assert/strict";
import type { Value } from "@lakesync/core";
import { at, delta, openFixture, Puller, push, TODOS, tx } from "./testing_fixture.ts";

const KINDS = {
  version: 2,
  tables: {
    ...TODOS.tables,
    todos: {
      ...TODOS.tables.todos,
      columns: {
        ...TODOS.tables.todos.columns,
        votes: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
        last: { type: "integer", merge: "max" },
      },
    },
  },
} as const;

async function openKinds() {
  const fixture = await openFixture();
  await fixture.gateway.putSchema(KINDS);
  return fixture;
}

const V2 = { schemaVersion: 2 };

function reader(gateway: Awaited<ReturnType<typeof openKinds>>["gateway"], name: string): Puller {
  return new Puller(gateway, name, 1_000, 2);
}

Deno.test("G3: increments, elements and greatest values of clients offline add up for everyone", async () => {
  await using fixture = await openKinds();
  const { gateway } = fixture;
  const early = reader(gateway, "early");
  const start = { title: "t", votes: 5, tags: ["a", "b"], last: 3 };
  await push(gateway, "maker", [tx(1, delta("INSERT", "t1", at(0), start))], V2);
  await early.pull();
  const of = (ms: number, columns: Readonly<Record<string, Value>>) =>
    delta("UPDATE", "t1", at(ms), columns);
  await push(
    gateway,
    "x",
    [tx(1, of(9, { votes: { add: 2 }, tags: { add: ["c"] }, last: 7 }))],
    V2,
  );
  await early.pull();
  const removed = { votes: { add: -4 }, tags: { remove: ["a"] }, last: 5 };
  await push(gateway, "y", [tx(1, of(4, removed), of(5, { votes: { add: 100 } }))], V2);
  const expected = { "todos/t1": { last: 7, tags: ["b", "c"], title: "t", votes: 103 } };
  for (const puller of [early, reader(gateway, "late")]) {
    await puller.pull();
    assert.deepEqual(puller.table(), expected);
  }
});

Deno.test("a client is told the merged values that changed, and no others", async () => {
  await using fixture = await openKinds();
  const { gateway } = fixture;
  const puller = reader(gateway, "reader");
  const start = { votes: 5, tags: ["a"], last: 3 };
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), start))], V2);
  await puller.pull();
  const write = { votes: { add: 1 }, tags: { add: ["a"] }, last: 2 };
  await push(gateway, "a", [tx(2, delta("UPDATE", "t1", at(1), write))], V2);
  const changes = await puller.pull();
  assert.deepEqual(
    changes.map(({ shape, values }) => [shape.op, shape.columns, values]),
    [["PUT", ["votes"], [6]]],
  );
});

Deno.test("G2: an increment that is sent again counts once", async () => {
  await using fixture = await openKinds();
  const { gateway } = fixture;
  const transactions = [
    tx(1, delta("INSERT", "t1", at(0), { votes: 1 })),
    tx(2, delta("UPDATE", "t1", at(1), { votes: { add: 1 } })),
  ];
  for (let i = 0; i < 3; i++) await push(gateway, "a", transactions, V2);
  const puller = reader(gateway, "reader");
  await puller.pull();
  assert.deepEqual(puller.table(), { "todos/t1": { votes: 2 } });
});

Deno.test("the add that makes a set too large is refused with its transaction, and the next goes on", async () => {
  await using fixture = await openKinds();
  const { gateway } = fixture;
  const large = "x".repeat(3 * 1024 * 1024);
  const add = (ms: number, ...add: string[]) => delta("UPDATE", "t1", at(ms), { tags: { add } });
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), { tags: [large], votes: 1 }))], V2);
  const { rejected } = await push(gateway, "a", [
    tx(2, delta("UPDATE", "t1", at(1), { votes: { add: 10 } }), add(2, `y${large.slice(2 ** 20)}`)),
    tx(3, add(3, "small")),
  ], V2);
  assert.deepEqual(
    rejected.map(({ mutationId, code, delta }) => [mutationId, code, delta]),
    [[2, "VALIDATION_ERROR", 1]],
  );
  const puller = reader(gateway, "reader");
  await puller.pull();
  assert.deepEqual(puller.table(), { "todos/t1": { tags: ["small", large], votes: 1 } });
});
