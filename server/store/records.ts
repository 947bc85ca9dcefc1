/**
 * Small records of a whole server beside its gateways: the audit log, lists of who is kept out,
 * rates that several processes share, answers of admin requests. Keys are texts in the order of
 * their UTF-8 bytes, with `/` between the parts by custom.
 *
 * Every implementation passes `_conformance_server_records.ts`.
 *
 * @module
 */

/** The longest key, in UTF-8 bytes. */
export const MAX_RECORD_KEY_BYTES = 512;

/** The longest value, in UTF-16 code units; Deno KV takes no more. */
export const MAX_RECORD_VALUE_CHARS = 30_000;

/** The most that one batch may hold, keys and values together, in UTF-16 code units. */
export const MAX_RECORD_BATCH_CHARS = 300_000;

/** The most checks, writes and removals of one batch. */
export const MAX_RECORD_BATCH_ITEMS = 100;

/** A record as it is stored. */
export interface ServerRecord {
  /** Its key. */
  readonly key: string;
  /** Its value, a text that only its owner reads. */
  readonly value: string;
  /** Another one whenever it is written. */
  readonly version: string;
}

/** Which records to list. */
export interface RecordRange {
  /** The first key. */
  readonly from: string;
  /** The key before which the range ends. */
  readonly to: string;
  /** At most so many, at least 1. */
  readonly limit: number;
  /** Whether the last ones come first. */
  readonly reverse?: boolean;
}

/** A record to write. */
export interface RecordWrite {
  /** Its key. */
  readonly key: string;
  /** Its value. */
  readonly value: string;
  /** When it may be forgotten, in milliseconds since 1970; until then it is there. */
  readonly expiresMs?: number;
}

/** What is written together. */
export interface RecordBatch {
  /** What must be so: the record has this version, or null: is not there. */
  readonly checks?: readonly { readonly key: string; readonly version: string | null }[];
  /** What is written, each key once. */
  readonly set?: readonly RecordWrite[];
  /** Keys that are removed. */
  readonly remove?: readonly string[];
}

/** The records of a server. */
export interface RecordStore {
  /** Whether other processes may write them too. */
  readonly shared: boolean;
  /** Reads one; one that has expired is not there. */
  get(key: string): Promise<ServerRecord | undefined>;
  /** Lists records by key. */
  list(range: RecordRange): Promise<readonly ServerRecord[]>;
  /**
   * Writes durably, whole or not at all.
   *
   * @returns false when a check does not hold; nothing is written then
   * @throws {RangeError} for keys and values that are too long, that are not well-formed or have a
   * NUL, for a key that is written twice, and for too large a batch
   * @throws {LakeSyncError} `BACKPRESSURE` when the disk is full, `INTERNAL_ERROR` when the store
   * fails otherwise or is closed
   */
  commit(batch: RecordBatch): Promise<boolean>;
}
