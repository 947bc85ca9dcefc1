import { LakeSyncError, type PushResult } from "@lakesync/core";
import assert from "node:assert/strict";
import { ALICE, at, delta, openFixture, tx } from "../gateway/testing_fixture.ts";
import { Counts } from "./counts.ts";
import { measureGateways } from "./gateways.ts";

async function withMeasured(
  test: (
    measured: Awaited<ReturnType<ReturnType<typeof measureGateways>["create"]>>,
    counts: Counts,
    times: { pushes: number; pulls: number; pages: number[] },
  ) => Promise<void>,
): Promise<void> {
  await using fixture = await openFixture();
  const counts = new Counts();
  const times = { pushes: 0, pulls: 0, pages: [] as number[] };
  const gateways = measureGateways(fixture.gateways, {
    counts,
    pushMs: () => times.pushes++,
    pullSeconds: () => times.pulls++,
    pullPages: (pages) => times.pages.push(pages),
  });
  await test(await gateways.create("default"), counts, times);
}

const FIRST = {
  clientId: "a",
  schemaVersion: 1,
  transactions: [
    tx(1, delta("INSERT", "t1", at(1), { title: "a" })),
    tx(2, delta("INSERT", "t2", at(1))),
  ],
};

Deno.test("measureGateways gives the same gateway each time, which does all that the one behind it does", async () => {
  await using fixture = await openFixture();
  const gateways = measureGateways(fixture.gateways, {
    counts: new Counts(),
    pushMs: () => {},
    pullSeconds: () => {},
    pullPages: () => {},
  });
  const gateway = await gateways.get("default");
  assert.equal(gateway, await gateways.create("default"));
  assert.equal(gateway?.id, "default");
  assert.equal(gateway?.schema?.version, 1);
  assert.equal((await gateway?.stats())?.schemaVersion, 1);
  assert.equal(await gateways.get("nowhere"), undefined);
  const seqs: number[] = [];
  const stop = gateway?.onCommit(({ seq }) => void seqs.push(seq));
  const { result } = await gateway?.push(ALICE, FIRST) ?? {};
  stop?.();
  assert.equal((result as PushResult | undefined)?.lastMutationId, 2);
  assert.deepEqual(seqs, [2]);
});

Deno.test("measureGateways counts and times pushes and pages, failed ones apart and untimed", async () => {
  await withMeasured(async (gateway, counts, times) => {
    await gateway.push(ALICE, FIRST);
    await assert.rejects(
      gateway.push(ALICE, { ...FIRST, transactions: [tx(9)] }),
      (error) => error instanceof LakeSyncError && error.code === "MUTATION_GAP",
    );
    assert.deepEqual([counts.pushes.get("ok"), counts.pushes.get("refused")], [1, 1]);
    assert.equal(times.pushes, 1);

    const { result } = await gateway.pullScoped(ALICE, { clientId: "b", limit: 1 });
    assert.equal(result.complete, false);
    await gateway.pull(ALICE, { clientId: "b", limit: 1, cursor: result.cursor });
    await assert.rejects(gateway.pull(ALICE, { clientId: "b", cursor: "none" }));
    assert.deepEqual([counts.pulls.get("ok"), counts.pulls.get("refused")], [2, 1]);
    assert.equal(times.pulls, 2);
    await gateway.close();
    await assert.rejects(gateway.push(ALICE, FIRST));
    assert.equal(counts.pushes.get("shed"), 1);
  });
});
