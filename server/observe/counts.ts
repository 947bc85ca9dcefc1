/**
 * What a server counts while it works. Counting is adding to a number; text is made of it only when
 * somebody asks.
 *
 * @module
 */

import { ERROR_STATUS, type ErrorCode, REJECTION_CODES } from "@lakesync/core";
import type { CommitCounts, GatewayObserver } from "../gateway/observer.ts";
import { type MetricSet, Tally } from "./metric_set.ts";
import { STATUSES } from "./status.ts";

/** Why live connections end, in the words of their metric. */
export type LiveEnd =
  | "client"
  | "rate"
  | "slow"
  | "failed"
  | "draining"
  | "malformed"
  | "token"
  | "forbidden";

const LIVE_ENDS: readonly LiveEnd[] = [
  "client",
  "rate",
  "slow",
  "failed",
  "draining",
  "malformed",
  "token",
  "forbidden",
];

/** The counts of a server. */
export class Counts implements GatewayObserver {
  readonly pushes: Tally = new Tally(STATUSES);
  readonly pulls: Tally = new Tally(STATUSES);
  readonly flushes: Tally = new Tally(["ok", "failed"]);
  readonly rejected: Tally = new Tally(REJECTION_CODES);
  readonly stopped: Tally = new Tally(["CLOCK_DRIFT", "SCHEMA_AHEAD"]);
  readonly errors: Tally = new Tally(Object.keys(ERROR_STATUS));
  readonly liveEnds: Tally = new Tally(LIVE_ENDS);
  /** Requests by route, and in it by status. */
  readonly requests: Map<string, Tally> = new Map();
  activeRequests = 0;
  liveOpened = 0;
  applied = 0;
  conflicts = 0;
  duplicates = 0;
  resyncs = 0;
  /** Buckets that a client asked for anew. */
  repairs = 0;

  committed({ applied, conflicts, duplicates, rejected, stopped }: CommitCounts): void {
    this.applied += applied;
    this.conflicts += conflicts;
    this.duplicates += duplicates;
    for (const [code, count] of rejected) this.rejected.add(code, count);
    for (const [code, count] of stopped) this.stopped.add(code, count);
  }

  /** A caller was told an error. */
  refused(code: ErrorCode): void {
    this.errors.add(code);
  }

  /** A request was answered. */
  answered(route: string | undefined, status: number): void {
    const name = route ?? "none";
    const tally = this.requests.get(name) ?? new Tally();
    this.requests.set(name, tally);
    tally.add(String(status));
  }

  /**
   * Brings the counts to the metrics.
   *
   * @param set where to
   * @param memoryRefused how often work was turned away for want of memory
   */
  collect(set: MetricSet, memoryRefused: number): void {
    set.setTally("lakesync_push_total", "status", this.pushes);
    set.setTally("lakesync_pull_total", "status", this.pulls);
    set.setTally("lakesync_flush_total", "status", this.flushes);
    set.setTally("lakesync_rejected_total", "code", this.rejected);
    set.setTally("lakesync_stopped_total", "code", this.stopped);
    set.setTally("lakesync_errors_total", "code", this.errors);
    set.setTally("lakesync_ws_closed_total", "reason", this.liveEnds);
    set.setCount("lakesync_ws_opened_total", this.liveOpened);
    set.setCount("lakesync_applied_total", this.applied);
    set.setCount("lakesync_conflict_total", this.conflicts);
    set.setCount("lakesync_duplicate_total", this.duplicates);
    set.setCount("lakesync_resync_total", this.resyncs);
    set.setCounts("lakesync_checksum_mismatch_total", [
      [{ source: "delta" }, this.rejected.get("CHECKSUM_MISMATCH")],
      [{ source: "bucket" }, this.repairs],
    ]);
    set.setCount("lakesync_rate_limited_total", this.errors.get("RATE_LIMITED"));
    set.setCounts("lakesync_shed_total", [
      [{ reason: "memory" }, memoryRefused],
      [
        { reason: "backpressure" },
        Math.max(0, this.errors.get("BACKPRESSURE") - memoryRefused),
      ],
      [{ reason: "draining" }, this.errors.get("DRAINING")],
    ]);
    set.setCounts("lakesync_requests_total", this.#requestCounts());
    set.setGauge("lakesync_active_requests", this.activeRequests);
  }

  *#requestCounts(): Generator<readonly [Readonly<Record<string, string>>, number]> {
    for (const [route, tally] of this.requests) {
      for (const [status, count] of tally.entries()) yield [{ route, status }, count];
    }
  }
}
