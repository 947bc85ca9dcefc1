/**
 * What is known of a simulated day, hour by hour.
 *
 * @module
 */

import type { DeviceSize, ServerSize } from "./day_measure.ts";

/** What was there at the end of an hour. */
export interface HourEnd {
  /** The hour, from 1. */
  readonly hour: number;
  /** Whether the server was restarted in it; what a process has left is still there then. */
  readonly restarted: boolean;
  /** Transactions so far. */
  readonly transactions: number;
  /** Those that were refused, as far as apps know. */
  readonly refused: number;
  /** Deletions so far. */
  readonly deletions: number;
  /** Keys whose rows are deleted, by what devices did. */
  readonly deletedKeys: number;
  /** Tombstones that are there and should not be, and those that lack. */
  readonly wrongTombstones: number;
  readonly server: ServerSize;
  readonly devices: readonly DeviceSize[];
  /** All memory but that of the stored data and of the keys known to be deleted, in bytes. */
  readonly heapBytes: number;
  /** What the process has of the machine's memory, SQLite's too; noisy, so nothing is judged by it. */
  readonly rssBytes: number;
  /** How long it took until all agreed, in milliseconds. */
  readonly agreedMs: number;
  /** What differed when they had not agreed in time. */
  readonly differs: string | undefined;
  /** How long the hour really took, in milliseconds. */
  readonly realMs: number;
}

/** What came of a day. */
export interface DayResult {
  readonly hours: readonly HourEnd[];
  /** What nobody had expected to go wrong. */
  readonly errors: readonly string[];
}
