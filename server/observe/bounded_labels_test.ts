import type { LakeStatus } from "@lakesync/adapters/lake/maintain";
import assert from "node:assert/strict";
import type { OpenLake } from "../destinations/lakes.ts";
import type { DestinationStatus } from "../destinations/outflow.ts";
import { BoundedLabels } from "./bounded_labels.ts";
import { DestinationGauges } from "./destination_gauges.ts";
import { MAX_LABELED } from "./metric_table.ts";
import { MetricSet } from "./metric_set.ts";

function statusOf(lagMs: number): DestinationStatus {
  return {
    name: "db",
    destination: "db",
    state: "flushing",
    position: undefined,
    lagCommits: 2,
    lagChanges: 3,
    lagBytes: 50,
    lagMs,
    failures: 1,
    lastError: undefined,
    maxLagMs: undefined,
  };
}

function lakeOf(gatewayId: string, tables: number): OpenLake {
  const status: LakeStatus = {
    mergeLagCommits: 1,
    mergeLagMs: 0,
    mergedChanges: 0,
    compactedBytes: 0,
    deletedObjects: 0,
    tables: Array.from(
      { length: tables },
      (_, i) => ({ table: `t${i}`, rows: 1, snapshots: 1, files: 1, bytes: 10 }),
    ),
    failures: 0,
    lastError: undefined,
  };
  return { name: "lake", gatewayId, status: () => status } as OpenLake;
}

Deno.test("BoundedLabels keeps the first values, whatever comes later", () => {
  const labels = new BoundedLabels(2, "a", "b");
  const told = ["x", "y", "z", "x"].map((value) => labels.of(value, value));
  assert.deepEqual(told, [
    { a: "x", b: "x" },
    { a: "y", b: "y" },
    { a: "other", b: "other" },
    { a: "x", b: "x" },
  ]);
  assert.equal(told[0], told[3]);
});

Deno.test("G11: ten thousand gateways cost as many series as a hundred, and none is overlooked", async () => {
  const gateways = Array.from({ length: 10_000 }, (_, i) => `g${i}`);
  const set = new MetricSet();
  const gauges = new DestinationGauges({
    destinations: {
      all: () => gateways.map((id, i) => [id, [statusOf(i * 1_000), statusOf(i)]] as const),
    },
    lakes: { all: () => gateways.slice(0, 500).map((id) => lakeOf(id, 3)) },
  });
  for (let scrape = 0; scrape < 2; scrape++) {
    gauges.collect(set);
    const text = await set.text();
    const series = (name: string) => text.match(new RegExp(`^${name}\\{.*`, "gm")) ?? [];
    assert.equal(series("lakesync_destination_lag_seconds").length, MAX_LABELED + 1);
    assert.equal(series("lakesync_lake_merge_lag_commits").length, 1);
    assert.equal(series("lakesync_lake_bytes").length, MAX_LABELED + 1);
    const other = 'gateway="other",destination="other"';
    assert.ok(text.includes(`lakesync_destination_lag_seconds{${other}} 9999\n`));
    const rest = 2 * (gateways.length - MAX_LABELED);
    assert.ok(text.includes(`lakesync_destination_lag_commits{${other}} ${2 * rest}\n`));
    assert.ok(text.includes(`lakesync_buffer_deltas ${3 * gateways.length}\n`));
    assert.ok(text.includes(`lakesync_buffer_bytes ${50 * gateways.length}\n`));
  }
});
