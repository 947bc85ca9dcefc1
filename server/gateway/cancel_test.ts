import { LakeSyncError, type PushRequest } from "@lakesync/core";
import assert from "node:assert/strict";
import { ALICE, at, delta, openFixture, tx } from "./testing_fixture.ts";

const OVER = new LakeSyncError("TIMEOUT", "The time is over");

function pushOf(clientId: string): PushRequest {
  return { clientId, schemaVersion: 1, transactions: [tx(1, delta("INSERT", clientId, at(1)))] };
}

/** Turns of the event loop that wait until they are let go on. */
function turns() {
  let held: PromiseWithResolvers<void> | undefined;
  return {
    nextTurn: async () => {
      await (held?.promise ?? new Promise<void>((resolve) => setTimeout(resolve)));
    },
    hold: () => void (held = Promise.withResolvers()),
    release: () => {
      held?.resolve();
      held = undefined;
    },
  };
}

Deno.test("a push that is given up before its commit is taken back, those beside it are not", async () => {
  const { nextTurn, hold, release } = turns();
  await using fixture = await openFixture(undefined, { nextTurn });
  const { gateway } = fixture;
  const caller = new AbortController();
  hold();
  const given = gateway.push(ALICE, pushOf("gone"), undefined, caller.signal);
  const beside = gateway.push(ALICE, pushOf("here"), undefined, new AbortController().signal);
  const refused = assert.rejects(given, { code: "TIMEOUT" });
  caller.abort(OVER);
  release();
  await refused;
  assert.equal((await beside).result?.lastMutationId, 1);
  const { changes } = await gateway.pull(ALICE, { clientId: "reader", schemaVersion: 1 });
  assert.deepEqual(changes.map(({ rowId }) => rowId), ["here"]);
  const again = await gateway.push(ALICE, pushOf("gone"));
  assert.deepEqual([again.result?.lastMutationId, again.result?.rejected], [1, []]);
});

Deno.test("a group of pushes that were all given up is no commit", async () => {
  const { nextTurn, hold, release } = turns();
  await using fixture = await openFixture(undefined, { nextTurn });
  const { gateway } = fixture;
  const before = (await gateway.stats()).seq;
  hold();
  const given = ["a", "b"].map((clientId) =>
    assert.rejects(gateway.push(ALICE, pushOf(clientId), undefined, AbortSignal.abort(OVER)), {
      code: "TIMEOUT",
    })
  );
  release();
  await Promise.all(given);
  assert.equal((await gateway.stats()).seq, before);
});

Deno.test("a pull that is given up ends, also while it waits", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await gateway.push(ALICE, pushOf("a"));
  const request = { clientId: "reader", schemaVersion: 1 };
  const never = new AbortController().signal;
  const pull = gateway.pull(ALICE, request, never, AbortSignal.abort(OVER));
  await assert.rejects(pull, { code: "TIMEOUT" });
  const { cursor } = await gateway.pull(ALICE, request);
  const caller = new AbortController();
  const waits = gateway.pull(ALICE, { ...request, cursor, wait: 30 }, never, caller.signal);
  const ended = assert.rejects(waits, { code: "TIMEOUT" });
  setTimeout(() => caller.abort(OVER));
  await ended;
});
