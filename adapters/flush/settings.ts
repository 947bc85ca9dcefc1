/**
 * How changes are flushed, and what a flusher needs of the world.
 *
 * @module
 */

/** How changes are flushed to a destination. */
export interface FlushSettings {
  /** A batch holds about so many changes. */
  readonly maxChanges: number;
  /** A batch holds about so many bytes, as the log has them. */
  readonly maxBytes: number;
  /** After a commit changes wait so long for others, in milliseconds. */
  readonly everyMs: number;
  /** After a failure it is tried again within so long, in milliseconds; each failure doubles it. */
  readonly retryMs: number;
  /** It is tried again within so long at the latest, in milliseconds. */
  readonly maxRetryMs: number;
  /** A destination that does not answer for so long, in milliseconds, is taken to have failed. */
  readonly answerMs: number;
  /** After so many failures in a row the circuit is open: it is only asked where it stands. */
  readonly openAfter: number;
  /**
   * Whether a destination is filled from rows when the log no longer holds what it lacks; else the
   * flush stops in the state `gap`.
   */
  readonly fillGaps: boolean;
}

/** The settings that hold unless configured otherwise. */
export const DEFAULT_FLUSH: FlushSettings = {
  maxChanges: 2_000,
  maxBytes: 8 * 1024 * 1024,
  everyMs: 10_000,
  retryMs: 500,
  maxRetryMs: 60_000,
  answerMs: 120_000,
  openAfter: 8,
  fillGaps: true,
};

/** A call of a destination. */
export type DestinationCall =
  | "position"
  | "schema"
  | "write"
  | "rewind"
  | "refill"
  | "unsettled"
  | "forgotten";

/** Watches one flush. */
export interface FlushObserver {
  /** The destination has answered, or failed to within its time. */
  called(call: DestinationCall, ms: number, ok: boolean): void;
  /** A batch of changes or rows has arrived. */
  flushed(batch: { readonly changes: number; readonly rows: number; readonly ms: number }): void;
  /** A step failed, of which the error was told already. */
  failed(): void;
  /** A step went well after failures; so many there were in a row. */
  recovered(failures: number): void;
}

/** What a flusher needs of the world. */
export interface FlushEnvironment {
  /** The physical clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** Calls back once after a time in milliseconds; gives what cancels it. */
  readonly setTimer: (ms: number, callback: () => void) => () => void;
  /** A number from 0 to below 1. */
  readonly random: () => number;
  /** Told of each failure. */
  readonly onError?: (what: string, error: unknown) => void;
  /** Watches. */
  readonly observer?: FlushObserver;
}

/**
 * How long to wait after failures: anything up to a bound that doubles, so that many flushers do
 * not come back at once.
 *
 * @param failures how many there were in a row, at least 1
 * @param settings the bounds
 * @param random a number from 0 to below 1
 * @returns milliseconds
 */
export function backoffMs(
  failures: number,
  { retryMs, maxRetryMs }: Pick<FlushSettings, "retryMs" | "maxRetryMs">,
  random: number,
): number {
  const bound = Math.min(maxRetryMs, retryMs * 2 ** Math.min(failures - 1, 30));
  return Math.ceil(bound * (0.1 + 0.9 * random));
}
