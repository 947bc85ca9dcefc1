/**
 * How destinations and lakes stand, as gauges with a bounded number of labels. Those beyond the
 * bound are told together as `other`: the greatest lag, the sum of what waits.
 *
 * @module
 */

import type { LakeStatus } from "@lakesync/adapters/lake/maintain";
import type { Destinations } from "../destinations/destinations.ts";
import type { Lakes } from "../destinations/lakes.ts";
import type { DestinationStatus } from "../destinations/outflow.ts";
import { BoundedLabels, LabeledValues, type LabelSet, type Merge } from "./bounded_labels.ts";
import { MAX_LABELED } from "./metric_table.ts";
import type { MetricSet } from "./metric_set.ts";

const sum: Merge = (a, b) => a + b;

type Field<T> = readonly [name: string, valueOf: (status: T) => number, merge: Merge];

const DESTINATION: readonly Field<DestinationStatus>[] = [
  ["lakesync_destination_lag_seconds", ({ lagMs }) => lagMs / 1000, Math.max],
  ["lakesync_destination_lag_changes", ({ lagChanges }) => lagChanges, sum],
  ["lakesync_destination_lag_commits", ({ lagCommits }) => lagCommits, sum],
  ["lakesync_destination_failures", ({ failures }) => failures, Math.max],
  ["lakesync_destination_seq", ({ position }) => position?.seq ?? 0, Math.min],
];

const LAKE: readonly Field<LakeStatus>[] = [
  ["lakesync_lake_merge_lag_seconds", ({ mergeLagMs }) => mergeLagMs / 1000, Math.max],
  ["lakesync_lake_merge_lag_commits", ({ mergeLagCommits }) => mergeLagCommits, sum],
  ["lakesync_lake_failures", ({ failures }) => failures, Math.max],
];

const TABLE: readonly Field<LakeStatus["tables"][number]>[] = [
  ["lakesync_lake_files", ({ files }) => files, sum],
  ["lakesync_lake_bytes", ({ bytes }) => bytes, sum],
];

/** What flushes go to. */
export interface FlushTargets {
  /** The destinations of all gateways. */
  readonly destinations: Pick<Destinations, "all">;
  /** The lakes among them. */
  readonly lakes: Pick<Lakes, "all">;
}

/** Brings the gauges of destinations up to date. */
export class DestinationGauges {
  readonly #targets: FlushTargets;
  readonly #labels = new BoundedLabels(MAX_LABELED, "gateway", "destination");
  readonly #tables = new BoundedLabels(MAX_LABELED, "gateway", "destination", "table");

  /** @param targets what they tell of */
  constructor(targets: FlushTargets) {
    this.#targets = targets;
  }

  /** Sets them. */
  collect(set: MetricSet): void {
    this.#collectDestinations(set);
    this.#collectLakes(set);
  }

  #collectDestinations(set: MetricSet): void {
    const values = fields(DESTINATION);
    let bytes = 0;
    let changes = 0;
    for (const [gateway, statuses] of this.#targets.destinations.all()) {
      for (const status of statuses) {
        fill(values, DESTINATION, this.#labels.of(gateway, status.name), status);
      }
      bytes += Math.max(0, ...statuses.map(({ lagBytes }) => lagBytes));
      changes += Math.max(0, ...statuses.map(({ lagChanges }) => lagChanges));
    }
    setAll(set, values);
    set.setGauge("lakesync_buffer_bytes", bytes);
    set.setGauge("lakesync_buffer_deltas", changes);
  }

  #collectLakes(set: MetricSet): void {
    const values = fields(LAKE);
    const tables = fields(TABLE);
    for (const { gatewayId, name, status } of this.#targets.lakes.all()) {
      const lake = status();
      fill(values, LAKE, this.#labels.of(gatewayId, name), lake);
      for (const table of lake.tables) {
        fill(tables, TABLE, this.#tables.of(gatewayId, name, table.table), table);
      }
    }
    setAll(set, values);
    setAll(set, tables);
  }
}

function fields<T>(all: readonly Field<T>[]): ReadonlyMap<string, LabeledValues> {
  return new Map(all.map(([name]) => [name, new LabeledValues()]));
}

function fill<T>(
  values: ReadonlyMap<string, LabeledValues>,
  all: readonly Field<T>[],
  labels: LabelSet,
  status: T,
): void {
  for (const [name, valueOf, merge] of all) values.get(name)?.add(labels, valueOf(status), merge);
}

function setAll(set: MetricSet, values: ReadonlyMap<string, LabeledValues>): void {
  for (const [name, labeled] of values) set.setGauges(name, labeled);
}
