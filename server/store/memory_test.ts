import assert from "node:assert/strict";
import { testStore } from "./conformance.ts";
import { memoryStores } from "./memory.ts";
import { newRow, next, openStore } from "./_conformance_tools.ts";
import type { StoreFactory } from "./store.ts";

/** A restart of memory stores: the same factory with every store closed. */
testStore("memory", () => {
  const opened: StoreFactory[] = [];
  return Promise.resolve({
    versions: true,
    open() {
      const stores = memoryStores();
      opened.push(stores);
      return Promise.resolve(stores);
    },
    async reopen(stores: StoreFactory) {
      await stores.close();
      return stores;
    },
    async [Symbol.asyncDispose]() {
      for (const stores of opened) await stores.close();
    },
  });
}, 100);

Deno.test("memory store refuses a row said to be new that is there", async () => {
  const store = await openStore(memoryStores());
  await store.commit(next(0, { rows: [newRow("t1", 1)] }));
  await assert.rejects(
    store.commit(next(1, { rows: [newRow("t2", 2), newRow("t1", 2)] })),
    { code: "INTERNAL_ERROR" },
  );
  assert.deepEqual(
    await store.readRows([{ table: 1, rowId: "t2" }]),
    [undefined],
  );
  assert.equal((await store.head()).seq, 1);
});
