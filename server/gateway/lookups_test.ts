import assert from "node:assert/strict";
import { memoryStores } from "../store/memory.ts";
import type { ReadView, Store, StoreFactory } from "../store/store.ts";
import { CheckpointWorld } from "./testing_checkpoint.ts";

/** Views that show nothing in their buckets, and say at their end that they were no snapshot. */
function torn(view: ReadView): ReadView {
  return {
    head: view.head,
    clients: (ids) => view.clients(ids),
    buckets: (names) => view.buckets(names),
    rows: (keys) => view.rows(keys),
    meta: (name) => view.meta(name),
    scan: () => Promise.resolve({ rows: [], complete: true }),
    end: async () => {
      await view.end();
      return false;
    },
  };
}

/** Stores of which the next view can be torn. */
function tearing(): { readonly factory: StoreFactory; readonly plan: { tears: number } } {
  const stores = memoryStores();
  const plan = { tears: 0 };
  const factory: StoreFactory = {
    kind: stores.kind,
    list: () => stores.list(),
    close: () => stores.close(),
    open: async (id, create) => {
      const store = await stores.open(id, create);
      if (store === undefined) return undefined;
      const view: Store["view"] = async () => {
        const view = await store.view();
        return plan.tears-- > 0 ? torn(view) : view;
      };
      return new Proxy(store, {
        get: (of, name) => {
          const value: unknown = name === "view" ? view : Reflect.get(of, name);
          return typeof value === "function" ? value.bind(of) : value;
        },
      });
    },
  };
  return { factory, plan };
}

Deno.test("G7: what was looked up in a snapshot that was none is not remembered", async () => {
  const { factory, plan } = tearing();
  await using world = await CheckpointWorld.open({}, factory);
  await world.join("ann", "l1");
  await world.fill("l1", 3);
  const ann = world.client("ann");
  plan.tears = 1;
  await ann.pull();
  assert.equal(ann.rows.size, 3);
});
