/**
 * Every commit of a run: when it was due, when it was answered, and when the last of the others had
 * seen it. All times count from the instant at which a commit was due, so that a stall counts for
 * each commit that it kept waiting.
 *
 * @module
 */

import { percentile } from "./support.ts";

/** How a commit travels. */
export type Road = "ws" | "http";

/** A commit. */
export interface Commit {
  /** The row that it puts. */
  readonly rowId: string;
  /** The client that commits. */
  readonly author: string;
  /** The bucket that it is for. */
  readonly team: string;
  readonly road: Road;
  /** When it is due, in ms of `performance.now()`. */
  readonly due: number;
  /** Whether it counts; not while warming up. */
  readonly measured: boolean;
  /** When it was acknowledged. */
  acked?: number;
  /** How many clients have yet to see it. */
  unseen: number;
  /** When the last one saw it. */
  seen?: number;
}

/** Percentiles of some times, in ms. */
export interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Sums up times. */
export function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    count: sorted.length,
    p50: percentile(sorted, 0.5),
    p95: percentile(sorted, 0.95),
    p99: percentile(sorted, 0.99),
    max: sorted.at(-1) ?? NaN,
  };
}

/** All commits of a run. */
export class Tally {
  readonly #commits = new Map<string, Commit>();
  readonly #failures = new Map<string, number>();
  readonly #late: number[] = [];
  #open = 0;
  /** Pages that live clients were sent. */
  pages = 0;

  /** Notes a commit that begins now, which was due before. */
  add(commit: Commit, nowMs: number): void {
    this.#commits.set(commit.rowId, commit);
    if (commit.measured) this.#late.push(nowMs - commit.due);
    this.#open++;
  }

  /** A commit was acknowledged. */
  acked(commit: Commit): void {
    if (commit.acked !== undefined) return;
    commit.acked = performance.now();
    this.#closeIfDone(commit);
  }

  /** A client sees a row. */
  seen(rowId: string, reader: string): void {
    const commit = this.#commits.get(rowId);
    if (commit === undefined || commit.author === reader) return;
    if (--commit.unseen > 0) return;
    commit.seen = performance.now();
    this.#closeIfDone(commit);
  }

  /** Something went wrong. */
  failed(what: string): void {
    const brief = what.split("\r\n")[0]?.slice(0, 200) ?? "";
    this.#failures.set(brief, (this.#failures.get(brief) ?? 0) + 1);
  }

  #closeIfDone(commit: Commit): void {
    if (commit.acked !== undefined && commit.unseen <= 0) this.#open--;
  }

  /** Commits that are not acknowledged or not seen by all. */
  get open(): number {
    return this.#open;
  }

  /** What went wrong, and how often. */
  get failures(): ReadonlyMap<string, number> {
    return this.#failures;
  }

  /** All commits. */
  commits(): readonly Commit[] {
    return [...this.#commits.values()];
  }

  /** How long answers took. */
  answers(road: Road): Quantiles {
    return quantiles(
      this.commits().flatMap((commit) =>
        commit.measured && commit.road === road && commit.acked !== undefined
          ? [commit.acked - commit.due]
          : []
      ),
    );
  }

  /** How long it took until the last of the others saw a commit, in the order they were due. */
  lags(): readonly number[] {
    return this.commits()
      .filter(({ measured, unseen, seen }) => measured && unseen <= 0 && seen !== undefined)
      .sort((a, b) => a.due - b.due)
      .map(({ due, seen }) => (seen ?? NaN) - due);
  }

  /** How late the script itself was with a commit. */
  lateness(): Quantiles {
    return quantiles(this.#late);
  }
}
