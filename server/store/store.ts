/**
 * The one port between the gateway and what keeps its data. A store keeps one gateway: rows, the
 * bucket index that pulls read, the log that flushes read, clients, and small records. It knows
 * nothing of schemas, merges or rules.
 *
 * Every store passes the conformance suite in `conformance.ts`.
 *
 * @module
 */

import type { Rejection, RejectionCode } from "@lakesync/core";
import type { RecordStore } from "./records.ts";

/** The head of a gateway's history. Everything at or before `seq` is committed. */
export interface Head {
  /** One unbroken life of the data; random. */
  readonly epoch: string;
  /** The last commit number, 0 before the first. */
  readonly seq: number;
  /** The greatest stamp ever accepted, as decimal text. */
  readonly hlc: string;
}

/** Names a row: the table's number in this gateway, and the rowId. */
export interface RowKey {
  /** The table's number, from 1. */
  readonly table: number;
  /** The row's id. */
  readonly rowId: string;
}

/** A row as it is stored. */
export interface StoredRow extends RowKey {
  /** The row's record, a text that only the gateway reads. */
  readonly data: string;
  /** The store's own handle of the row, to be given back when it is written again. */
  readonly ref: unknown;
}

/** A place in the bucket index: the row changed in this bucket at this seq and is in it or gone. */
export interface BucketEntry {
  /** The bucket's number, from 1. */
  readonly bucket: number;
  /** Whether the row has left the bucket. */
  readonly gone: boolean;
  /** The commit at which the row last changed in this bucket. */
  readonly seq: number;
}

/** A row to be written, with what it changes in the bucket index. */
export interface RowWrite extends RowKey {
  /** The row's new record; undefined removes the row. */
  readonly data: string | undefined;
  /** The handle from {@linkcode Store.readRows}; undefined when the row was not there. */
  readonly ref: unknown;
  /** Entries of the row that are no longer true. */
  readonly drop: readonly BucketEntry[];
  /** Entries that are true from now on. */
  readonly add: readonly BucketEntry[];
}

/** A link of a client's chain. */
export interface StoredLink {
  /** The transaction. */
  readonly mutationId: number;
  /** Its chain; of all but the last one, and those of refusals, the first digits. */
  readonly hash: string;
  /** Why it was refused, if it was. */
  readonly refused?: RejectionCode;
  /** When it was refused, in milliseconds since 1970; 0 where that is not known. */
  readonly refusedMs?: number;
}

/** A client as the gateway knows it. */
export interface ClientRecord {
  /** Its name. */
  readonly clientId: string;
  /** The user it belongs to for ever. */
  readonly sub: string;
  /** The last mutationId that was consumed. */
  readonly lastMutationId: number;
  /** Refusals that it has not said it has seen. */
  readonly refusals: readonly Rejection[];
  /** The recent links of its chain, oldest first. */
  readonly chain: readonly StoredLink[];
  /** Whether a copy of its database may go on from it under a forked name. */
  readonly forked?: true;
  /** Rows it updated whose INSERT has not arrived. */
  readonly orphans: number;
  /** When it last pushed, in milliseconds since 1970. */
  readonly seenMs: number;
}

/** What is known of a bucket. */
export interface BucketRecord {
  /** Its number, from 1. */
  readonly bucket: number;
  /** Its name; no two buckets have the same. */
  readonly id: string;
  /** The commit at which a row last changed in it. */
  readonly seq: number;
  /** Rows in it. */
  readonly rows: number;
  /** Its sums, a text that only the gateway reads. */
  readonly data: string;
}

/** An entry of the log: one transaction as it was committed. */
export interface LogEntry {
  /** The transaction's commit number. A large transaction has several entries of one seq. */
  readonly seq: number;
  /** Which slice of a large transaction this is, from 0. */
  readonly slice: number;
  /** Who sent it. */
  readonly clientId: string;
  /** Which of its transactions this is. */
  readonly mutationId: number;
  /** When it was committed, in milliseconds since 1970. */
  readonly committedMs: number;
  /** The deltas and the outcome of the merge, bytes that only the gateway reads. */
  readonly payload: Uint8Array;
}

/** A place in the log: after this slice of this seq. */
export type LogPosition = Pick<LogEntry, "seq" | "slice">;

/** The place before every entry of the log. */
export const LOG_START: LogPosition = { seq: 0, slice: 0 };

/** A part of a large transaction that waits for the others. */
export interface StagedPart {
  /** Who sent it. */
  readonly clientId: string;
  /** Which of its transactions this is a part of. */
  readonly mutationId: number;
  /** Which part, from 1. */
  readonly part: number;
  /** How many parts there will be. */
  readonly parts: number;
  /** How many deltas it holds. */
  readonly deltas: number;
  /** When it came, in milliseconds since 1970. */
  readonly stagedMs: number;
  /** The part, bytes that only the gateway reads. */
  readonly payload: Uint8Array;
}

/** What is known of the parts of a transaction without reading them. */
export interface StagedSummary {
  /** Which parts are there, ascending. */
  readonly present: readonly number[];
  /** How many parts there will be. */
  readonly parts: number;
  /** Deltas in the parts that are there. */
  readonly deltas: number;
  /** Bytes of the parts that are there. */
  readonly bytes: number;
}

/** The kept answer of a request that was sent with an Idempotency-Key. */
export interface KeptAnswer {
  /** Sub, gateway, path and key in one text. */
  readonly key: string;
  /** A hash of the request's body. */
  readonly bodyHash: string;
  /** HTTP status, content type and body of the answer, a text that only the gateway reads. */
  readonly answer: string;
  /** When it may be forgotten, in milliseconds since 1970. */
  readonly expiresMs: number;
}

/** Changes that are written together. */
export interface Writes {
  /** Rows, each at most once. */
  readonly rows?: readonly RowWrite[];
  /** Log entries in ascending order. */
  readonly log?: readonly LogEntry[];
  /** Clients, replaced whole. */
  readonly clients?: readonly ClientRecord[];
  /** Buckets, replaced whole. */
  readonly buckets?: readonly BucketRecord[];
  /**
   * Buckets to forget, by number, before `buckets` are written. Their entries in the index are not
   * removed with them: rows drop those.
   */
  readonly dropBuckets?: readonly number[];
  /** Small records by name, replaced whole; null removes one. */
  readonly meta?: readonly (readonly [name: string, value: string | null])[];
  /** Transactions whose staged parts are no longer needed. */
  readonly dropParts?: readonly {
    readonly clientId: string;
    readonly mutationId: number;
  }[];
  /** Answers to keep. */
  readonly answers?: readonly KeptAnswer[];
}

/** Changes that are committed together, as a compare-and-set on the head. */
export interface CommitBatch extends Writes {
  /** The seq the gateway believes to be the head's. */
  readonly expectedSeq: number;
  /** The new head's seq and hlc; seq is at least `expectedSeq`. */
  readonly head: { readonly seq: number; readonly hlc: string };
}

/** Where a scan of a bucket stands: after this entry. */
export interface ScanPosition {
  /** The entry's seq. */
  readonly seq: number;
  /** The store's own order among entries of one seq; "" is before all of them. */
  readonly tie: string;
}

/** What to read of one side of the bucket index. */
export interface IndexScan {
  /** The bucket's number. */
  readonly bucket: number;
  /** Whether to read the rows that have left the bucket, or those that are in it. */
  readonly gone: boolean;
  /** Read entries after this one. */
  readonly after: ScanPosition;
  /** At most so many entries, at least 1. */
  readonly limit: number;
}

/** Rows of one side of a bucket. */
export interface IndexPage {
  /** The rows, ordered by position. */
  readonly rows: readonly ScannedRow[];
  /** Whether there are no more after these; if false, there is at least one row. */
  readonly complete: boolean;
}

/**
 * One snapshot for several reads: none of them sees a commit that came after the view was opened,
 * and no commit waits for a view to end. `readSnapshot` in `snapshot.ts` opens a view, ends it and
 * reads anew where that is needed.
 *
 * A view holds memory, a connection or a lock, so whoever opens one ends it, whatever happens. A
 * store may take back what a view holds when that takes seconds, and says so in its log. Reads of
 * such a view, and of one whose snapshot is lost, throw `BACKPRESSURE`.
 */
export interface ReadView {
  /** The head of the snapshot. */
  readonly head: Head;
  /** Reads clients; the answer has one element for each id. */
  clients(
    ids: readonly string[],
  ): Promise<readonly (ClientRecord | undefined)[]>;
  /** Reads buckets by name or number; the answer has one element for each. */
  buckets(
    names: readonly (string | number)[],
  ): Promise<readonly (BucketRecord | undefined)[]>;
  /** Reads rows; the answer has one element for each key. */
  rows(keys: readonly RowKey[]): Promise<readonly (StoredRow | undefined)[]>;
  /** Reads a small record. */
  meta(name: string): Promise<string | undefined>;
  /** Reads one side of a bucket. */
  scan(scan: IndexScan): Promise<IndexPage>;
  /**
   * Gives back what the view holds; it cannot be read afterwards. Calling it again does nothing.
   *
   * @returns false when what was read was not one snapshot, so that it must be read anew; only a
   * store that keeps no versions (Deno KV) says so
   */
  end(): Promise<boolean>;
}

/** What to read of all rows. */
export interface RowScan {
  /** Read rows after this position, "" for the start. */
  readonly after: string;
  /** At most so many rows, at least 1. */
  readonly limit: number;
}

/** Rows in the store's own order. */
export interface RowPage {
  /** The rows, each with the place where the scan stands after it. */
  readonly rows: readonly (StoredRow & { readonly position: string })[];
  /** Whether there are no more after these; if false, there is at least one row. */
  readonly complete: boolean;
}

/** A row found by a scan. */
export interface ScannedRow extends RowKey {
  /** The row's record. */
  readonly data: string;
  /** Where the scan stands after this row. */
  readonly position: ScanPosition;
  /** Whether the entry says that the row has left the bucket. */
  readonly gone: boolean;
}

/** A large commit in slices that no reader sees before it is published whole. */
export interface LargeCommit {
  /** Reads rows as this commit has left them so far. */
  readRows(
    keys: readonly RowKey[],
  ): Promise<readonly (StoredRow | undefined)[]>;
  /** Adds a slice. */
  write(writes: Writes): Promise<void>;
  /**
   * Publishes all slices and the last writes in one durable step.
   *
   * @throws {LakeSyncError} `BACKPRESSURE` when the head has moved; nothing is published then
   */
  commit(last: CommitBatch): Promise<void>;
  /** Forgets all slices. */
  abort(): Promise<void>;
}

/** How much a store holds. */
export interface StoreStats {
  /** Entries in the log. */
  readonly logEntries: number;
  /** Bytes of their payloads. */
  readonly logBytes: number;
  /** Clients known. */
  readonly clients: number;
}

/** Counts of what a store has done since it was opened; tests hold cost claims by them. */
export interface StoreCounters {
  /** Statements (or key-value operations) executed. */
  readonly statements: number;
  /** Rows (or entries) they returned. */
  readonly rowsRead: number;
}

/** What a store can do. */
export interface StoreCapabilities {
  /** Whether data survives the end of the process. */
  readonly durable: boolean;
  /** Whether several processes may have it open at once. */
  readonly shared: boolean;
  /** How many rows one {@linkcode Store.commit} should at most hold. */
  readonly commitRows: number;
}

/** Keeps one gateway. A commit is durable when its promise resolves. */
export interface Store {
  /** What this store can do. */
  readonly capabilities: StoreCapabilities;
  /** What this store has done. */
  readonly counters: StoreCounters;
  /** Reads the head. */
  head(): Promise<Head>;
  /** Reads rows; the answer has one element for each key. */
  readRows(
    keys: readonly RowKey[],
  ): Promise<readonly (StoredRow | undefined)[]>;
  /** Reads clients; the answer has one element for each id. */
  readClients(
    clientIds: readonly string[],
  ): Promise<readonly (ClientRecord | undefined)[]>;
  /** Reads buckets by name or number; the answer has one element for each. */
  readBuckets(
    names: readonly (string | number)[],
  ): Promise<readonly (BucketRecord | undefined)[]>;
  /** Reads a small record. */
  readMeta(name: string): Promise<string | undefined>;
  /** Reads a kept answer, also one that has expired and was not swept yet. */
  readAnswer(key: string): Promise<KeptAnswer | undefined>;
  /**
   * Opens a view, with every commit that was made before. It may have to wait for another view to
   * end.
   */
  view(): Promise<ReadView>;
  /**
   * Reads all rows, page by page, in the store's own order: every row that is there all the while,
   * once. A row that comes meanwhile may be among them or not.
   */
  scanRows(scan: RowScan): Promise<RowPage>;
  /** Reads log entries after a place in the log, in order, at most `limit`. */
  readLog(after: LogPosition, limit: number): Promise<readonly LogEntry[]>;
  /**
   * Commits a batch durably, whole or not at all.
   *
   * @throws {LakeSyncError} `BACKPRESSURE` when the head is not at `expectedSeq`
   */
  commit(batch: CommitBatch): Promise<void>;
  /** Begins a large commit; only one at a time, and no {@linkcode commit} until it ends. */
  beginLarge(): Promise<LargeCommit>;
  /** Keeps a part durably; a part that is there already is replaced. */
  stagePart(part: StagedPart): Promise<void>;
  /** What parts of a transaction are there. */
  stagedSummary(
    clientId: string,
    mutationId: number,
  ): Promise<StagedSummary | undefined>;
  /** Reads one part. */
  readPart(
    clientId: string,
    mutationId: number,
    part: number,
  ): Promise<StagedPart | undefined>;
  /** Removes log entries through a seq, at most `limit`; gives how many. */
  trimLog(throughSeq: number, limit: number): Promise<number>;
  /** Removes kept answers that expired before a time, at most `limit`; gives how many. */
  sweepAnswers(beforeMs: number, limit: number): Promise<number>;
  /** Removes staged parts that came before a time, at most `limit`; gives how many. */
  sweepParts(beforeMs: number, limit: number): Promise<number>;
  /** How much it holds; costs the same whatever it holds. */
  stats(): Promise<StoreStats>;
  /** Closes it; whatever is committed is there at the next opening. */
  close(): Promise<void>;
}

/** Keeps the stores of all gateways of one server. */
export interface StoreFactory {
  /** Which kind it is, for logs and `/ready`. */
  readonly kind: "memory" | "sqlite" | "kv";
  /** The ids of all gateways there are, ascending. */
  list(): Promise<readonly string[]>;
  /**
   * Opens a gateway's store, at most once at a time.
   *
   * @param gatewayId a valid gateway id
   * @param create whether to make it when it is not there
   * @returns the store, or undefined when it is not there
   */
  open(gatewayId: string, create: boolean): Promise<Store | undefined>;
  /** Gives back what the factory itself holds, the lock too. Stores are closed first. */
  close(): Promise<void>;
}

/** All that one server keeps. */
export interface ServerStores extends StoreFactory {
  /** Records of the whole server, beside its gateways. */
  readonly records: RecordStore;
}
