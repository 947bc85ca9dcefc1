/**
 * Counts and logs what flushes do. Failures are logged as they come, a recovery once.
 *
 * @module
 */

import type { FlushEnvironment } from "@lakesync/adapters/flush";
import { getLogger } from "@logtape/logtape";
import { BoundedLabels } from "./bounded_labels.ts";
import type { Counts } from "./counts.ts";
import { outsideRequests } from "./log_context.ts";
import type { MetricSet } from "./metric_set.ts";
import type { Tracing } from "./tracing.ts";

const logger = getLogger(["lakesync", "flush"]);

/** So many destinations have a duration of their own. */
const MAX_TIMED = 20;

/** What a flusher is given to be watched by. */
export type FlushWatch = Required<Pick<FlushEnvironment, "onError" | "observer">>;

/** Watches all flushes of a server. */
export class FlushWatcher {
  readonly #counts: Counts;
  readonly #durationMs: (ms: number) => void;
  readonly #querySeconds: (labels: Readonly<Record<string, string>>, seconds: number) => void;
  readonly #timed = new BoundedLabels(MAX_TIMED, "destination");
  readonly #tracing: Tracing | undefined;

  /**
   * @param counts where to count
   * @param set where to time
   * @param tracing makes spans; none unless given
   */
  constructor(counts: Counts, set: MetricSet, tracing?: Tracing) {
    this.#tracing = tracing;
    this.#counts = counts;
    this.#durationMs = set.histogram("lakesync_flush_duration_ms");
    this.#querySeconds = set.labeledHistogram("lakesync_destination_query_duration_seconds");
  }

  /** Watches the flush of a gateway to one of its destinations. */
  watch(gateway: string, destination: string): FlushWatch {
    const facts = { gateway, destination };
    const label = this.#timed.of(destination);
    return {
      onError: (what, cause) =>
        outsideRequests(() => {
          logger.error("{what} (gateway {gateway}): {cause}", { what, cause, ...facts });
        }),
      observer: {
        called: (_, ms) => this.#querySeconds(label, ms / 1000),
        flushed: ({ changes, rows, ms }) => {
          this.#counts.flushes.add("ok");
          this.#durationMs(ms);
          this.#tracing?.flushed({ ...facts, changes, ms });
          outsideRequests(() => {
            logger.debug("{changes} changes and {rows} rows arrived in {destination}", {
              ...facts,
              changes,
              rows,
              ms,
            });
          });
        },
        failed: () => this.#counts.flushes.add("failed"),
        recovered: (failures) =>
          outsideRequests(() => {
            logger.info(
              "Flushing to {destination} works again after {failures} failures (gateway {gateway})",
              { ...facts, failures },
            );
          }),
      },
    };
  }
}
