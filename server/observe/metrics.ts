/**
 * What a server tells Prometheus, as text.
 *
 * Source: the Prometheus text exposition format, version 0.0.4.
 *
 * @module
 */

import { Gauge, Registry } from "prom-client";
import type { LakeStatus, LakeTableStatus } from "@lakesync/adapters/lake/maintain";
import type { Destinations } from "../destinations/destinations.ts";
import type { Lakes } from "../destinations/lakes.ts";
import type { DestinationStatus } from "../destinations/outflow.ts";

/** The metrics of a server. */
export interface Metrics {
  /** The type of the text. */
  readonly contentType: string;
  /** The metrics as they are now. */
  text(): Promise<string>;
}

const LABELS = ["gateway", "destination"] as const;

const DESTINATION_GAUGES: readonly (readonly [
  name: string,
  help: string,
  valueOf: (status: DestinationStatus) => number,
])[] = [
  [
    "lakesync_destination_lag_seconds",
    "For how many seconds the oldest change that the destination lacks has waited",
    ({ lagMs }) => lagMs / 1000,
  ],
  [
    "lakesync_destination_lag_changes",
    "Changes that the destination lacks; more when it is behind by more than a page of the log",
    ({ lagChanges }) => lagChanges,
  ],
  [
    "lakesync_destination_lag_commits",
    "Commits by which the destination is behind",
    ({ lagCommits }) => lagCommits,
  ],
  [
    "lakesync_destination_failures",
    "Failures of the destination in a row",
    ({ failures }) => failures,
  ],
  [
    "lakesync_destination_seq",
    "The commit up to which everything has arrived",
    ({ position }) => position?.seq ?? 0,
  ],
];

const LAKE_GAUGES: readonly (readonly [
  name: string,
  help: string,
  valueOf: (status: LakeStatus) => number,
])[] = [
  [
    "lakesync_lake_merge_lag_seconds",
    "For how many seconds the tables of rows have been behind those of changes",
    ({ mergeLagMs }) => mergeLagMs / 1000,
  ],
  [
    "lakesync_lake_merge_lag_commits",
    "Commits by which the tables of rows were behind when that was looked at last",
    ({ mergeLagCommits }) => mergeLagCommits,
  ],
  [
    "lakesync_lake_failures",
    "Failures in a row to merge the lake or to keep it in shape",
    ({ failures }) => failures,
  ],
];

const TABLE_GAUGES: readonly (readonly [
  name: string,
  help: string,
  valueOf: (status: LakeTableStatus) => number,
])[] = [
  ["lakesync_lake_files", "Files that a table of the lake has", ({ files }) => files],
  ["lakesync_lake_bytes", "Bytes that they have", ({ bytes }) => bytes],
];

/**
 * Makes the metrics of a server.
 *
 * @param destinations where changes are flushed to
 * @param lakes the lakes among them
 */
export function createMetrics(
  destinations: Pick<Destinations, "all">,
  lakes: Pick<Lakes, "all">,
): Metrics {
  const registry = new Registry();
  addLakeGauges(registry, lakes);
  for (const [name, help, valueOf] of DESTINATION_GAUGES) {
    new Gauge({
      name,
      help,
      labelNames: LABELS,
      registers: [registry],
      collect() {
        this.reset();
        for (const [gateway, statuses] of destinations.all()) {
          for (const status of statuses) {
            this.set({ gateway, destination: status.name }, valueOf(status));
          }
        }
      },
    });
  }
  return { contentType: registry.contentType, text: () => registry.metrics() };
}

function addLakeGauges(registry: Registry, lakes: Pick<Lakes, "all">): void {
  for (const [name, help, valueOf] of LAKE_GAUGES) {
    new Gauge({
      name,
      help,
      labelNames: LABELS,
      registers: [registry],
      collect() {
        this.reset();
        for (const { gatewayId, name, status } of lakes.all()) {
          this.set({ gateway: gatewayId, destination: name }, valueOf(status()));
        }
      },
    });
  }
  for (const [name, help, valueOf] of TABLE_GAUGES) {
    new Gauge({
      name,
      help,
      labelNames: [...LABELS, "table"],
      registers: [registry],
      collect() {
        this.reset();
        for (const { gatewayId, name, status } of lakes.all()) {
          for (const table of status().tables) {
            const labels = { gateway: gatewayId, destination: name, table: table.table };
            this.set(labels, valueOf(table));
          }
        }
      },
    });
  }
}
