/**
 * How a flush stands, for those who watch it.
 *
 * @module
 */

import type { FlushPosition } from "@lakesync/adapters";

/**
 * What a flusher is doing: nothing, since all has arrived or waits for more (`idle`); writing
 * (`flushing`); waiting after a failure (`retrying`). `gap`: the log no longer holds what the
 * destination lacks, which no retry mends; it must be filled anew.
 */
export type FlushState = "idle" | "flushing" | "retrying" | "gap" | "closed";

/** How a flush stands. */
export interface FlushStatus {
  /** The destination's name. */
  readonly destination: string;
  /** What the flusher is doing. */
  readonly state: FlushState;
  /** Where the destination stands, as far as known. */
  readonly position: FlushPosition | undefined;
  /** By how many commits it is behind, as far as known. */
  readonly lagCommits: number;
  /** Since when the oldest change it lacks waits, in milliseconds; 0 when it lacks none. */
  readonly lagMs: number;
  /** Failures in a row. */
  readonly failures: number;
  /** The last failure; undefined after a success. */
  readonly lastError: { readonly message: string; readonly atMs: number } | undefined;
}
