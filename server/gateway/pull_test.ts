import assert from "node:assert/strict";
import { LakeSyncError } from "@lakesync/core";
import { memoryStores } from "../store/memory.ts";
import { BackedUpStores } from "../store/testing_backups.ts";
import { ALICE, at, delta, openFixture, Puller, push, tx } from "./testing_fixture.ts";

const code = (expected: string) => (error: unknown) =>
  error instanceof LakeSyncError && error.code === expected;

Deno.test("pull sends the cells that changed since the cursor, once for each row", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), { title: "a", n: 1 }))]);
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  await push(gateway, "a", [
    tx(2, delta("UPDATE", "t1", at(1), { n: 2 })),
    tx(3, delta("UPDATE", "t1", at(2), { n: 3 })),
  ]);
  const changes = await reader.pull();
  assert.deepEqual(changes.map(({ shape, values }) => [shape.op, shape.columns, values]), [
    ["PUT", ["n"], [3]],
  ]);
  assert.deepEqual(await reader.pull(), []);
});

Deno.test("G7: a row that came and went before the client had it is never named", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await push(gateway, "a", [tx(1, delta("INSERT", "secret", at(0), { n: 1 }))]);
  await push(gateway, "a", [tx(2, delta("DELETE", "secret", at(1)))]);
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  await push(gateway, "a", [tx(3, delta("INSERT", "brief", at(2), { n: 1 }))]);
  await push(gateway, "a", [tx(4, delta("DELETE", "brief", at(3)))]);
  await reader.pull();
  assert.deepEqual([...reader.named], []);
});

Deno.test("G4: a deleted row is removed where it was, also after it came back and went again", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), { n: 1 }))]);
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  await push(gateway, "a", [
    tx(2, delta("DELETE", "t1", at(1))),
    tx(3, delta("INSERT", "t1", at(2), { n: 2 })),
    tx(4, delta("DELETE", "t1", at(3))),
  ]);
  assert.deepEqual((await reader.pull()).map(({ shape }) => shape.op), ["REMOVE"]);
});

Deno.test("pull hides with nulls what a deletion hid of a row that was inserted again", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), { title: "old", n: 1 }))]);
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  await push(gateway, "a", [
    tx(2, delta("DELETE", "t1", at(1))),
    tx(3, delta("INSERT", "t1", at(2), { n: 2 })),
  ]);
  const changes = await reader.pull();
  assert.deepEqual(reader.rows.get("todos/t1"), { title: null, n: 2, done: null });
  assert.equal(changes.length, 1);
  const fresh = new Puller(gateway, "fresh");
  await fresh.pull();
  assert.deepEqual(fresh.rows.get("todos/t1"), { n: 2 });
});

Deno.test("G3: pull hides what a late deletion hid of a row that a later insert keeps", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), { title: "old", n: 1 }))]);
  await push(gateway, "b", [tx(1, delta("INSERT", "t1", at(20), { n: 2 }))]);
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  assert.deepEqual(reader.rows.get("todos/t1"), { title: "old", n: 2 });
  await push(gateway, "c", [tx(1, delta("DELETE", "t1", at(10)))]);
  await reader.pull();
  const fresh = new Puller(gateway, "fresh");
  await fresh.pull();
  assert.deepEqual(fresh.table(), { "todos/t1": { n: 2 } });
  assert.deepEqual(reader.table(), fresh.table());
});

Deno.test("G4: pull sends all of a row that came and went often since, also older cells", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await push(gateway, "a", [
    tx(1, delta("INSERT", "t1", at(0))),
    tx(2, delta("DELETE", "t1", at(1))),
    tx(3, delta("UPDATE", "t1", at(1_000), { title: "kept" })),
  ]);
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  assert.equal(reader.rows.size, 0);
  for (let i = 1; i <= 50; i++) {
    await push(gateway, "a", [
      tx(2 * i + 2, delta("INSERT", "t1", at(2 * i), { n: i })),
      tx(2 * i + 3, delta("DELETE", "t1", at(2 * i + 1))),
    ]);
  }
  await push(gateway, "a", [tx(104, delta("INSERT", "t1", at(500), { n: 500 }))]);
  await reader.pull();
  assert.deepEqual(reader.table(), { "todos/t1": { n: 500, title: "kept" } });
});

Deno.test("G4: a client that changes its schema version between pages misses no removal", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await push(
    gateway,
    "a",
    ["t1", "t2", "t3"].map((id, i) => tx(i + 1, delta("INSERT", id, at(i)))),
  );
  const reader = new Puller(gateway, "reader", 1);
  await reader.page();
  assert.deepEqual([...reader.rows.keys()], ["todos/t1"]);
  await push(gateway, "a", [tx(4, delta("DELETE", "t1", at(10)))]);
  const other = new Puller(gateway, "reader", 10, 2);
  other.rows.set("todos/t1", {});
  other.cursor = reader.cursor;
  await other.pull();
  assert.deepEqual([...other.rows.keys()], ["todos/t2", "todos/t3"]);
});

Deno.test("G5: pages end at one seq while rows are written and deleted between them", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const rows = Array.from({ length: 30 }, (_, i) => `t${String(i).padStart(2, "0")}`);
  await push(gateway, "a", rows.map((id, i) => tx(i + 1, delta("INSERT", id, at(i), { n: i }))));
  const reader = new Puller(gateway, "reader", 7);
  assert.equal((await reader.page()).complete, false);
  await push(gateway, "a", [
    tx(31, delta("DELETE", "t00", at(100))),
    tx(32, delta("UPDATE", "t01", at(101), { n: 101 })),
    tx(33, delta("DELETE", "t29", at(102))),
    tx(34, delta("DELETE", "t02", at(103)), delta("INSERT", "new", at(103, 1), { n: 1 })),
    tx(35, delta("INSERT", "t02", at(104), { title: "back" })),
  ]);
  await reader.pull();
  const fresh = new Puller(gateway, "fresh");
  await fresh.pull();
  assert.deepEqual(reader.table(), fresh.table());
  assert.deepEqual(reader.last?.checkpoint, fresh.last?.checkpoint);
});

Deno.test("a checkpoint's rows and checksum follow from the rows alone", async () => {
  await using one = await openFixture();
  await using two = await openFixture();
  await push(one.gateway, "a", [
    tx(1, delta("INSERT", "t1", at(0), { title: "x", n: 1 })),
    tx(2, delta("INSERT", "t2", at(1), { title: "y" })),
    tx(3, delta("UPDATE", "t1", at(2), { n: 5 })),
    tx(4, delta("DELETE", "t2", at(3))),
  ]);
  await push(two.gateway, "b", [tx(1, delta("INSERT", "t1", at(9), { n: 5, title: "x" }))]);
  const checkpoints = await Promise.all([one, two].map(async ({ gateway }) => {
    const reader = new Puller(gateway, "reader");
    await reader.pull();
    return reader.last?.checkpoint?.buckets;
  }));
  assert.deepEqual(checkpoints[0], checkpoints[1]);
  assert.equal(checkpoints[0]?.[0]?.rows, 1);
});

Deno.test("G4 G13: a row that had moved on when a page was read is not lost with what moved it", async () => {
  const stores = new BackedUpStores();
  const open = () => openFixture(stores.open());
  let fixture = await open();
  try {
    const rows = ["r1", "r2", "r3", "r4"];
    for (const [i, row] of rows.entries()) {
      await push(fixture.gateway, "a", [tx(i + 1, delta("INSERT", row, at(i), { n: i }))]);
    }
    const backup = stores.backup();
    const reader = new Puller(fixture.gateway, "reader", 1);
    await reader.page();
    await push(fixture.gateway, "a", [tx(5, delta("UPDATE", "r2", at(9), { n: 9 }))]);
    await reader.page();
    assert.deepEqual([...reader.named], ["todos/r1", "todos/r3"]);
    await fixture[Symbol.asyncDispose]();
    stores.restore(backup);
    fixture = await open();
    reader.gateway = fixture.gateway;
    await assert.rejects(reader.page(), code("RESYNC_REQUIRED"));
  } finally {
    await fixture[Symbol.asyncDispose]();
  }
});

Deno.test("pull holds an empty answer until a row changes", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  const cursor = reader.cursor ?? "";
  const waiting = gateway.pull(ALICE, { clientId: "reader", cursor, wait: 30, schemaVersion: 1 });
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), { n: 1 }))]);
  assert.equal((await waiting).changes.length, 1);
});

Deno.test("pull holds an empty answer until lastMutationId advances, though no row changed", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const own = new Puller(gateway, "a");
  await own.pull();
  const cursor = own.cursor ?? "";
  const waiting = gateway.pull(ALICE, { clientId: "a", cursor, wait: 30, schemaVersion: 1 });
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), { title: 5 }))]);
  const { changes, lastMutationId } = await waiting;
  assert.deepEqual([changes.length, lastMutationId], [0, 1]);
});

Deno.test("pull gives up waiting when the request is aborted", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  const abort = new AbortController();
  const request = { clientId: "reader", cursor: reader.cursor ?? "", wait: 30, schemaVersion: 1 };
  const waiting = gateway.pull(ALICE, request, abort.signal);
  abort.abort();
  assert.deepEqual((await waiting).changes, []);
});

Deno.test("pull tells a cursor that was never one from one of another life", async () => {
  await using one = await openFixture();
  await using two = await openFixture();
  const reader = new Puller(one.gateway, "reader");
  await reader.pull();
  const cursor = reader.cursor ?? "";
  await assert.rejects(two.gateway.pull(ALICE, { clientId: "r", cursor }), code("RESYNC_REQUIRED"));
  for (const never of ["x", "!!", btoa("[1]"), btoa('[2,"e",1,1,1]'), "a".repeat(5000)]) {
    await assert.rejects(
      one.gateway.pull(ALICE, { clientId: "r", cursor: never }),
      code("VALIDATION_ERROR"),
    );
  }
});

Deno.test("G4: a client that learns of a column gets its old cells, others are not disturbed", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const { todos, lists } = { ...(await gateway.putSchema(plainSchema())).tables };
  assert.ok(todos && lists);
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), { title: "x" }))]);
  const old = new Puller(gateway, "old", 1_000, 1);
  await old.pull();
  await gateway.putSchema({
    version: 2,
    tables: { lists, todos: { ...todos, columns: { ...todos.columns, tag: "string" } } },
  });
  await push(gateway, "b", [
    tx(1, delta("UPDATE", "t1", at(1), { tag: "new" }), delta("INSERT", "t2", at(2), { tag: "b" })),
  ], { schemaVersion: 2 });
  const changes = await old.pull();
  assert.deepEqual(old.table(), { "todos/t1": { title: "x" }, "todos/t2": {} });
  assert.equal(changes.some(({ shape }) => shape.columns.includes("tag")), false);
  const upgraded = new Puller(gateway, "old", 1_000, 2);
  upgraded.cursor = old.cursor;
  const learned = await upgraded.pull();
  assert.deepEqual(
    learned.map(({ rowId, shape, values }) => [rowId, shape.columns, values]),
    [["t1", ["tag"], ["new"]], ["t2", ["tag"], ["b"]]],
  );
});

function plainSchema() {
  return {
    version: 1,
    tables: {
      todos: {
        primaryKey: ["id"],
        columns: { id: "string", title: "string", done: "boolean", n: "integer" },
      },
      lists: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
    },
  };
}

Deno.test("putSchema refuses what would lose data or an equal version with other content", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const { todos, lists } = plainSchema().tables;
  const put = (version: number, tables: object) => gateway.putSchema({ version, tables });
  await assert.rejects(put(1, { todos }), code("SCHEMA_CONFLICT"));
  await assert.rejects(put(2, { todos }), code("SCHEMA_ERROR"));
  const { n: _, ...fewer } = todos.columns;
  await assert.rejects(
    put(2, { lists, todos: { ...todos, columns: fewer } }),
    code("SCHEMA_ERROR"),
  );
  const retyped = { ...todos.columns, n: "string" };
  await assert.rejects(
    put(2, { lists, todos: { ...todos, columns: retyped } }),
    code("SCHEMA_ERROR"),
  );
  assert.equal((await put(1, { lists, todos })).version, 1);
});

Deno.test("G6: a pull waits no longer than it was asked to where the clock is set back", async () => {
  const waits: number[] = [];
  let later = () => {};
  const setTimer = (ms: number, end: () => void) => {
    waits.push(ms);
    const timer = setTimeout(() => {
      later();
      end();
    }, 0);
    return () => clearTimeout(timer);
  };
  await using fixture = await openFixture(memoryStores(), { setTimer });
  const { gateway, clock } = fixture;
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  const request = { clientId: "reader", cursor: reader.cursor ?? "", schemaVersion: 1 };
  const waiting = gateway.pull(ALICE, { ...request, wait: 30 });
  clock.ms -= 3 * 3_600_000;
  later = () => clock.ms += 4 * 3_600_000;
  assert.deepEqual((await waiting).changes, []);
  assert.ok(waits.length > 0 && waits.every((ms) => ms <= 30_000), `waited ${waits}`);
});
