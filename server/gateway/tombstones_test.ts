import assert from "node:assert/strict";
import { memoryStores } from "../store/memory.ts";
import type { Store, StoreFactory } from "../store/store.ts";
import { at, delta, openFixture, Puller, push, tx } from "./testing_fixture.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

Deno.test("G11: keys of deleted rows are forgotten after 400 days, and older clients start anew", async () => {
  let store: Store | undefined;
  const memory = memoryStores();
  const factory: StoreFactory = {
    kind: memory.kind,
    list: () => memory.list(),
    open: async (id, create) => store = await memory.open(id, create),
    close: () => memory.close(),
  };
  await using fixture = await openFixture(factory);
  const { gateway, clock } = fixture;
  const rows = async () => {
    const page = await store?.scanRows({ after: "", limit: 100 });
    return page?.rows.map(({ rowId }) => rowId).sort();
  };
  await push(gateway, "a", [
    tx(1, delta("INSERT", "gone", at(1)), delta("INSERT", "kept", at(2))),
  ]);
  const old = new Puller(gateway, "old");
  await old.pull();
  await push(gateway, "a", [tx(2, delta("DELETE", "gone", at(3)))]);
  for (const [i, days] of [1, 200, 199].entries()) {
    clock.ms += days * DAY_MS;
    await push(gateway, "a", [tx(3 + i, delta("INSERT", `later${i}`, undefined))]);
  }
  const recent = new Puller(gateway, "recent");
  await recent.pull();
  assert.ok((await rows())?.includes("gone"));
  clock.ms += 3 * DAY_MS;
  await push(gateway, "a", [tx(6, delta("INSERT", "last", undefined))]);
  await push(gateway, "a", [tx(7, delta("DELETE", "last", undefined))]);
  assert.deepEqual(await rows(), ["kept", "last", "later0", "later1", "later2"]);
  await assert.rejects(old.pull(), { code: "RESYNC_REQUIRED" });
  await recent.pull();
  assert.deepEqual(Object.keys(recent.table()).sort(), [
    "todos/kept",
    "todos/later0",
    "todos/later1",
    "todos/later2",
  ]);
});
