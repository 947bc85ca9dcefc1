import assert from "node:assert/strict";
import { memoryStores } from "../store/memory.ts";
import type { StoreFactory } from "../store/store.ts";
import { ALICE, at, delta, openFixture, Puller, push, TODOS, tx } from "./testing_fixture.ts";

/** Counts the stores that are open. */
function counted(factory: StoreFactory): { factory: StoreFactory; open: Set<string> } {
  const open = new Set<string>();
  return {
    open,
    factory: {
      kind: factory.kind,
      list: () => factory.list(),
      open: async (gatewayId, create) => {
        const store = await factory.open(gatewayId, create);
        if (store === undefined) return undefined;
        open.add(gatewayId);
        const close = store.close.bind(store);
        store.close = async () => {
          await close();
          open.delete(gatewayId);
        };
        return store;
      },
      close: () => factory.close(),
    },
  };
}

Deno.test("G11: gateways that nobody uses are closed when many are open, and open again", async () => {
  const { factory, open } = counted(memoryStores());
  await using fixture = await openFixture(factory);
  const { gateways, clock } = fixture;
  const first = await gateways.create("first");
  await first.putSchema(TODOS);
  await push(first, "a", [tx(1, delta("INSERT", "t1", at(0), { n: 1 }))]);
  const watched = await gateways.create("watched");
  const stop = watched.onCommit(() => {});
  for (let i = 0; i < 60; i++) {
    clock.ms += 1_000;
    await gateways.create(`g${i}`);
  }
  assert.ok(open.size <= 40, `${open.size} gateways are open`);
  assert.deepEqual([open.has("first"), open.has("watched")], [false, true]);
  const again = await gateways.get("first");
  assert.ok(again);
  const reader = new Puller(again, "reader");
  await reader.pull();
  assert.deepEqual(reader.table(), { "todos/t1": { n: 1 } });
  assert.equal((await watched.pull(ALICE, { clientId: "reader" })).complete, true);
  stop();
});

Deno.test("G11: a gateway is created while others keep asking for it", async () => {
  await using fixture = await openFixture();
  const { gateways } = fixture;
  let created = false;
  const asking = async () => {
    while (!created) await gateways.get("wanted");
  };
  const flood = [asking(), asking(), asking()];
  try {
    const gateway = await gateways.create("wanted");
    assert.equal(gateway.id, "wanted");
    assert.equal(await gateways.get("wanted"), gateway);
    assert.equal(await gateways.create("wanted"), gateway);
  } finally {
    created = true;
    await Promise.all(flood);
  }
});
