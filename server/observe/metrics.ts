/**
 * What a server tells Prometheus, as text.
 *
 * Source: the Prometheus text exposition format, version 0.0.4.
 *
 * @module
 */

import manifest from "../deno.json" with { type: "json" };
import type { Counts } from "./counts.ts";
import { DestinationGauges, type FlushTargets } from "./destination_gauges.ts";
import type { MetricSet } from "./metric_set.ts";
import { setProcessGauges } from "./process_gauges.ts";

/** The metrics of a server. */
export interface Metrics {
  /** The type of the text. */
  readonly contentType: string;
  /** The metrics as they are now. */
  text(): Promise<string>;
}

/** What is looked at when somebody asks. */
export interface MetricSources extends FlushTargets {
  /** What was counted. */
  readonly counts: Counts;
  /** Live connections now, and at most. */
  readonly live: () => { readonly open: number; readonly max: number };
  /** Whether the server takes work. */
  readonly isReady: () => boolean;
  /** The memory that there may be, in bytes, and how often work was turned away for want of it. */
  readonly memory: { readonly maxBytes: number; readonly refused: number };
}

/**
 * Makes the metrics of a server.
 *
 * @param set where they are kept
 * @param sources what they are made of
 */
export function createMetrics(set: MetricSet, sources: MetricSources): Metrics {
  const gauges = new DestinationGauges(sources);
  const { version } = manifest;
  set.setGauges("lakesync_build_info", [[{ version, runtime: `deno ${Deno.version.deno}` }, 1]]);
  return {
    contentType: set.contentType,
    text() {
      const { open, max } = sources.live();
      sources.counts.collect(set, sources.memory.refused);
      gauges.collect(set);
      set.setGauge("lakesync_ws_connections", open);
      set.setGauge("lakesync_ws_connections_max", max);
      set.setGauge("lakesync_ready", sources.isReady() ? 1 : 0);
      set.setGauge("lakesync_memory_max_bytes", sources.memory.maxBytes);
      setProcessGauges(set);
      return set.text();
    },
  };
}
