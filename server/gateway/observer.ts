/**
 * What a gateway's commits did, in counts, for whoever watches them. Nothing in a gateway depends
 * on who that is, or on whether there is one.
 *
 * @module
 */

import type { RejectionCode, StopCode } from "@lakesync/core";
import type { JudgedDelta } from "./judge.ts";
import type { Outcome } from "./log.ts";

/** What one commit did. */
export interface CommitCounts {
  /** Deltas that it applied. */
  readonly applied: number;
  /** Those among them that lost at least one column to a newer write. */
  readonly conflicts: number;
  /** Transactions that had been consumed before. */
  readonly duplicates: number;
  /** Transactions that it refused, by the reason. */
  readonly rejected: ReadonlyMap<RejectionCode, number>;
  /** Pushes that it stopped at what their clients must mend first, by the reason. */
  readonly stopped: ReadonlyMap<StopCode, number>;
}

/** Is told what happens in gateways. */
export interface GatewayObserver {
  /** A commit is durable, or pushes were answered that needed none. */
  committed(counts: CommitCounts): void;
}

/** Counts while a commit is put together. */
export class CommitTally implements CommitCounts {
  applied = 0;
  conflicts = 0;
  duplicates = 0;
  readonly rejected: Map<RejectionCode, number> = new Map();
  readonly stopped: Map<StopCode, number> = new Map();

  /** Counts deltas that were applied, and what the merge made of them. */
  apply(deltas: readonly JudgedDelta[], outcomes: readonly Outcome[]): void {
    this.applied += deltas.length;
    for (const [i, { compiled }] of deltas.entries()) {
      if (isConflict(compiled, outcomes[i]?.won)) this.conflicts++;
    }
  }

  /** Counts a transaction that was refused. */
  reject(code: RejectionCode): void {
    this.rejected.set(code, (this.rejected.get(code) ?? 0) + 1);
  }

  /** Counts a push that was stopped. */
  stop(code: StopCode): void {
    this.stopped.set(code, (this.stopped.get(code) ?? 0) + 1);
  }
}

/** Whether a delta lost a column. */
function isConflict(
  { columns, places }: JudgedDelta["compiled"],
  won: Outcome["won"] | undefined,
): boolean {
  if (won === undefined || won === "all" || columns.length === 0) return false;
  return won === "none" || columns.some((_, i) => won[places[i] ?? 0] !== true);
}
