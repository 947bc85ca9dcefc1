/**
 * How a flush stands, for those who watch it.
 *
 * @module
 */

import type { FlushPosition } from "../adapter.ts";

/**
 * What a flusher is doing: nothing, since all has arrived or waits for more (`idle`); writing
 * (`flushing`); writing all rows, since the log no longer held what the destination lacked
 * (`filling`); waiting after a failure (`retrying`), or after many (`open`: a circuit that is closed
 * by the first success); waiting for somebody to mend what the last error names, which is looked at
 * every now and then (`stopped`). `gap`: as `filling`, where that is not wanted.
 */
export type FlushState =
  | "idle"
  | "flushing"
  | "filling"
  | "retrying"
  | "open"
  | "stopped"
  | "gap"
  | "closed";

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
  /** How many changes it lacks; an estimate while it lacks more than was read at once. */
  readonly lagChanges: number;
  /** Their size as the source keeps them, in bytes; an estimate likewise. */
  readonly lagBytes: number;
  /** Since when the oldest change it lacks waits, in milliseconds; 0 when it lacks none. */
  readonly lagMs: number;
  /** Failures in a row. */
  readonly failures: number;
  /** The last failure; undefined after a success. */
  readonly lastError: FlushError | undefined;
}

/** A failure of a flush. */
export interface FlushError {
  /** What went wrong. */
  readonly message: string;
  /** When, in milliseconds since 1970. */
  readonly atMs: number;
}
