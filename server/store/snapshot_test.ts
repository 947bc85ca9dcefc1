import assert from "node:assert/strict";
import { assertCode, client, next, openStore } from "./_conformance_tools.ts";
import { memoryStores } from "./memory.ts";
import { readSnapshot } from "./snapshot.ts";
import type { ReadView, Store } from "./store.ts";

/** A store whose first views turn out not to have been one snapshot. */
function withLostViews(store: Store, lost: number): Pick<Store, "view"> & { ended: number } {
  let left = lost;
  const torn = {
    ended: 0,
    async view(): Promise<ReadView> {
      const view = await store.view();
      return {
        ...view,
        end: async () => {
          torn.ended++;
          return await view.end() && left-- <= 0;
        },
      };
    },
  };
  return torn;
}

Deno.test("readSnapshot reads anew, whatever was found, until it was one snapshot", async () => {
  const store = await openStore(memoryStores());
  await store.commit(next(0, { clients: [client("phone-1", 7)] }));
  const torn = withLostViews(store, 2);
  let attempts = 0;
  const seen = await readSnapshot(torn, async (view) => {
    if (++attempts === 1) throw new Error("Half of it is missing");
    const [found] = await view.clients(["phone-1"]);
    return found?.lastMutationId;
  });
  assert.equal(seen, 7);
  assert.equal(attempts, 3);
});

Deno.test("readSnapshot ends its view when the reading throws", async () => {
  const store = await openStore(memoryStores());
  const torn = withLostViews(store, 0);
  const failing = readSnapshot(torn, () => Promise.reject(new Error("Not yours")));
  await assert.rejects(failing, /Not yours/);
  assert.equal(torn.ended, 1);
});

Deno.test("readSnapshot gives up when others write all the while", async () => {
  const store = await openStore(memoryStores());
  const torn = withLostViews(store, Infinity);
  const failing = readSnapshot(torn, () => Promise.resolve(1));
  await assertCode(failing, "BACKPRESSURE");
  assert.equal(torn.ended, 50);
});
