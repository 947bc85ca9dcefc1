import assert from "node:assert/strict";
import type { PushResult } from "@lakesync/core";
import { memoryStores } from "../store/memory.ts";
import type { CommitBatch, StoreFactory } from "../store/store.ts";
import { ALICE, at, delta, openFixture, tx } from "./testing_fixture.ts";

/** A factory whose stores tell what is committed. */
function watched(batches: CommitBatch[]): StoreFactory {
  const factory = memoryStores();
  return {
    kind: factory.kind,
    list: () => factory.list(),
    open: async (gatewayId, create) => {
      const store = await factory.open(gatewayId, create);
      if (store === undefined) return undefined;
      const commit = store.commit.bind(store);
      store.commit = (batch) => (batches.push(batch), commit(batch));
      return store;
    },
    close: () => factory.close(),
  };
}

Deno.test("G4: the answer of a push in steps is kept by the commit of its last step", async () => {
  const batches: CommitBatch[] = [];
  await using fixture = await openFixture(watched(batches));
  const { gateway } = fixture;
  batches.length = 0;
  const inserts = (from: number) =>
    Array.from({ length: 1_500 }, (_, i) => delta("INSERT", `r${from + i}`, at(i), { n: i }));
  const bad = delta("INSERT", "bad", at(1), { n: "no" });
  const transactions = [tx(1, bad), tx(2, ...inserts(0)), tx(3, ...inserts(1_500))];
  const request = { clientId: "a", schemaVersion: 1, transactions };
  const idempotency = {
    key: "k",
    bodyHash: "h",
    render: ({ rejected, lastMutationId, seq }: PushResult) =>
      JSON.stringify([rejected.map(({ mutationId }) => mutationId), lastMutationId, seq]),
  };
  const { result } = await gateway.push(ALICE, request, idempotency);
  assert.deepEqual(result?.rejected.map(({ mutationId }) => mutationId), [1]);
  assert.deepEqual(batches.map(({ answers = [], log = [] }) => [log.length, answers.length]), [
    [1, 0],
    [1, 1],
  ]);
  const { replayed } = await gateway.push(ALICE, request, idempotency);
  assert.equal(replayed, `[[1],3,${result?.seq}]`);
});
