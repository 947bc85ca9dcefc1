/**
 * What can happen to the data of a memory store, and its whole content, as plain data. A store that
 * keeps both elsewhere (a log of changes over a base) has what it needs to be there again.
 *
 * @module
 */

import type { Entry } from "./_entries.ts";
import type { MemoryRow } from "./_memory_reads.ts";
import type {
  BucketRecord,
  ClientRecord,
  CommitBatch,
  Head,
  KeptAnswer,
  LogEntry,
  StagedPart,
  Writes,
} from "./store.ts";

/** A change, whole or not at all. */
export type MemoryChange =
  /** The slices of a large commit, none for another, and the batch, in one step. */
  | { readonly kind: "commit"; readonly batch: CommitBatch; readonly slices: readonly Writes[] }
  | { readonly kind: "stage"; readonly part: StagedPart }
  | { readonly kind: "trimLog"; readonly throughSeq: number; readonly limit: number }
  | {
    readonly kind: "sweepAnswers" | "sweepParts";
    readonly beforeMs: number;
    readonly limit: number;
  };

/** Everything that a store holds. */
export interface MemoryContent {
  readonly head: Head;
  /** The last number that was given to a row. */
  readonly lastRid: number;
  /** Rows, by no order. */
  readonly rows: readonly MemoryRow[];
  /** The entries of each side of a bucket, in order. */
  readonly index: readonly (readonly [side: string, entries: readonly Entry[]])[];
  readonly clients: readonly ClientRecord[];
  readonly buckets: readonly BucketRecord[];
  readonly meta: readonly (readonly [name: string, value: string])[];
  readonly log: readonly LogEntry[];
  readonly parts: readonly StagedPart[];
  readonly answers: readonly KeptAnswer[];
}
