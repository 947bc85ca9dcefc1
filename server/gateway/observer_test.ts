import assert from "node:assert/strict";
import { at, delta, openFixture, push, tx } from "./testing_fixture.ts";
import type { CommitCounts } from "./observer.ts";
import { GROUP_WEIGHT } from "./weight.ts";

/** Adds up what is told. */
function watcher() {
  const sum = {
    applied: 0,
    conflicts: 0,
    duplicates: 0,
    rejected: {} as Record<string, number>,
    stopped: [] as string[],
  };
  const committed = (counts: CommitCounts) => {
    sum.applied += counts.applied;
    sum.conflicts += counts.conflicts;
    sum.duplicates += counts.duplicates;
    sum.stopped.push(...counts.stopped.keys());
    for (const [code, n] of counts.rejected) sum.rejected[code] = (sum.rejected[code] ?? 0) + n;
  };
  return { sum, observer: { committed } };
}

Deno.test("GatewayObserver is told what was applied, refused, lost to newer writes and sent again", async () => {
  const { sum, observer } = watcher();
  await using fixture = await openFixture(undefined, { observer });
  const { gateway } = fixture;
  const insert = tx(1, delta("INSERT", "t1", at(5), { title: "a", done: false }));
  await push(gateway, "a", [insert]);
  assert.deepEqual(sum, { applied: 1, conflicts: 0, duplicates: 0, rejected: {}, stopped: [] });

  await push(gateway, "a", [insert]);
  assert.equal(sum.duplicates, 1);
  assert.equal(sum.applied, 1);

  await push(gateway, "b", [tx(1, delta("UPDATE", "t1", at(4), { title: "older" }))]);
  assert.deepEqual([sum.applied, sum.conflicts], [2, 1]);
  await push(gateway, "b", [tx(2, delta("UPDATE", "t1", at(6), { title: "newer" }))]);
  assert.deepEqual([sum.applied, sum.conflicts], [3, 1]);

  await push(gateway, "b", [
    tx(3, delta("UPDATE", "t1", at(7), { nowhere: 1 })),
    tx(4, delta("UPDATE", "t1", at(7), { n: "text" })),
    tx(5, delta("DELETE", "t1", at(8))),
  ]);
  assert.equal(sum.applied, 4);
  assert.equal(sum.conflicts, 1);
  const minutes = 60_000;
  await push(gateway, "b", [tx(6, delta("DELETE", "t1", at(10 * minutes)))]);
  assert.deepEqual(sum.stopped, ["CLOCK_DRIFT"]);
  assert.equal(Object.keys(sum.rejected).length, 2);
});

Deno.test("GatewayObserver counts a column that lost beside one that won, once for the delta", async () => {
  const { sum, observer } = watcher();
  await using fixture = await openFixture(undefined, { observer });
  const { gateway } = fixture;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(1), { title: "a", done: false }))]);
  await push(gateway, "a", [tx(2, delta("UPDATE", "t1", at(9), { title: "late" }))]);
  await push(gateway, "b", [tx(1, delta("UPDATE", "t1", at(5), { title: "b", done: true }))]);
  assert.deepEqual([sum.applied, sum.conflicts], [3, 1]);
});

Deno.test("GatewayObserver counts a transaction that is committed in slices as any other", async () => {
  const { sum, observer } = watcher();
  await using fixture = await openFixture(undefined, { observer });
  const { gateway } = fixture;
  const title = "x";
  const count = GROUP_WEIGHT + 10;
  const deltas = Array.from(
    { length: count },
    (_, i) => delta("INSERT", `t${i}`, at(1), { title }),
  );
  await push(gateway, "a", [tx(1, ...deltas)]);
  assert.equal(sum.applied, count);
  await push(gateway, "a", [tx(1, ...deltas)]);
  assert.deepEqual([sum.applied, sum.duplicates], [count, 1]);
  const bad = [...deltas, delta("INSERT", "bad", at(1), { nowhere: 1 })];
  await push(gateway, "a", [tx(2, ...bad)]);
  assert.deepEqual([sum.applied, sum.rejected], [count, { SCHEMA_ERROR: 1 }]);
});
