/**
 * The local database as the sync loop sees it. What the app sees of it is in `client.ts`.
 *
 * @module
 */

import type {
  Hlc,
  Origin,
  PullResult,
  PushResult,
  RejectionCode,
  Transaction,
} from "@lakesync/core";
import type { StreamPart, StreamPlace } from "./chunks.ts";
import type { Verified } from "./verify.ts";

/** Where a replica stands. */
export interface ReplicaState {
  /** This database's name at the gateway. */
  readonly clientId: string;
  /**
   * Where the next pull goes on from: the last complete checkpoint, the last stored page, or the end
   * of the stored chunks.
   */
  readonly cursor: string | undefined;
  /** The chunks that are here of a checkpoint that is not complete. */
  readonly stream: StreamPlace | undefined;
  /** The mutationId through which the base contains this client's own transactions. */
  readonly lastMutationId: number;
  /** The mutationId through which the outcome (accepted or refused) is known. */
  readonly settledMutationId: number;
  /** The highest mutationId that was sealed. */
  readonly highestMutationId: number;
  /** The highest mutationId whose refusal is stored here. */
  readonly refusalsSeen: number;
  /** Where the clientId comes from, when it is one of a fork. */
  readonly origin: Origin | undefined;
  /**
   * How often checkpoints gave reason to ask whether the gateway has what it accepted from here;
   * 0: none has since it was asked.
   */
  readonly doubts: number;
  /** The schema version of this database. */
  readonly schemaVersion: number;
  /**
   * Ids of buckets that the next pull is to ask for again, at most 100; none between the pages of
   * a checkpoint.
   */
  readonly repair: readonly string[];
}

/** How much one push may hold. */
export interface BatchLimits {
  /** Transactions. */
  readonly transactions: number;
  /** Deltas; a transaction with more is given in parts. */
  readonly deltas: number;
  /** About how many encoded bytes; a transaction with more is given in parts. */
  readonly bytes: number;
}

/** Where the next batch begins: after this transaction, or after this part of the next one. */
export interface BatchPosition {
  /** The last whole transaction that was sent. */
  readonly mutationId: number;
  /** How many parts of the next transaction were sent. */
  readonly part: number;
}

/** What to push next. */
export interface Batch {
  /** Whole transactions, or one part of one. */
  readonly transactions: readonly Transaction[];
  /** Where the batch after it begins, once this one was answered. */
  readonly next: BatchPosition;
}

/** What an applied checkpoint changed. */
export interface Applied {
  /** Whether it was the last page and is visible now. */
  readonly complete: boolean;
  /** Rows of the page. */
  readonly rows: number;
  /** The checkpoint's seq, on the last page. */
  readonly seq: number | undefined;
  /** Whether the page was dropped, because it does not go on from where the replica stands. */
  readonly dropped?: true;
  /** Whether buckets are to be asked for again. */
  readonly repair?: true;
  /** Whether the base is to be compared with what was told: at once, or when there is time. */
  readonly verify?: "now" | "later";
}

/** What a page was asked for with. */
export interface PageOrigin {
  /** The database that asked. */
  readonly clientId: string;
  /** Where it was to go on from; undefined: from the beginning. */
  readonly cursor: string | undefined;
  /**
   * The mutationId through which outcomes were known when it was asked for. A page that says less
   * is of a gateway that went back to an older copy of its data.
   */
  readonly settledMutationId?: number;
}

/** A refused transaction in the dead-letter table. */
export interface DeadLetter {
  /** Names it in this database. */
  readonly id: number;
  /** Which transaction was refused. */
  readonly mutationId: number;
  /** Why, for a program. */
  readonly code: RejectionCode;
  /** Why, for a person. */
  readonly message: string;
  /** The 0-based index of the delta that was refused. */
  readonly delta: number;
  /** What the transaction had written. */
  readonly changes: readonly {
    readonly op: "INSERT" | "UPDATE" | "DELETE";
    readonly table: string;
    readonly rowId: string;
    readonly columns: { readonly [column: string]: unknown };
  }[];
  /** When it was refused, in milliseconds since 1970. */
  readonly refusedMs: number;
}

/** The local database as the sync loop sees it. Each call is one step that a crash cannot halve. */
export interface Replica {
  /** Where it stands. */
  state(): Promise<ReplicaState>;
  /** Seals what was committed locally; gives the highest mutationId there is. */
  seal(): Promise<number>;
  /**
   * Reads what to push after a position, in order, refused ones left out of the content but not
   * of the numbering. Accepted transactions that are still kept are given again when the position
   * lies before them (a gateway restored from an older backup asks for that).
   *
   * @returns the batch, or undefined when there is nothing after the position
   * @throws {LakeSyncError} `MUTATION_GAP` when what is asked for is no longer kept
   */
  nextBatch(
    after: BatchPosition,
    limits: BatchLimits,
  ): Promise<Batch | undefined>;
  /**
   * Stores what a push was answered: outcomes are known through its lastMutationId; refusals are
   * undone.
   *
   * @param result the answer
   * @param through the transaction through which it can be about this database's
   */
  pushed(result: PushResult, through?: number): Promise<void>;
  /**
   * Stores a part of a stream of chunks.
   *
   * @param part the part
   * @param clientId the database that asked for the stream
   * @returns whether it was taken: it is not when the database has gone on without it
   */
  storePart(part: StreamPart, clientId: string): Promise<boolean>;
  /**
   * Stores a page; the last one applies the checkpoint whole.
   *
   * @param page the page
   * @param origin what it was asked for with; when the replica stands elsewhere meanwhile (another
   * process with the same file has gone on) the page is dropped, since it would turn rows back
   * @param onApplied told, while a checkpoint is applied, how many rows were since it was told last
   */
  receive(
    page: PullResult,
    origin?: PageOrigin,
    onApplied?: (rows: number) => void,
  ): Promise<Applied>;
  /**
   * Compares the base with the checksums that the gateway told, in slices and on a connection of
   * its own, and marks what differs to be asked for again.
   *
   * @returns what was found; undefined where there is no checkpoint to compare with
   */
  verify(): Promise<Verified | undefined>;
  /** Forgets the cursor and stored pages: the next checkpoint replaces the base. Pending writes stay. */
  resync(): Promise<void>;
  /** Gives new stamps to every transaction from this one on, which the gateway has not consumed. */
  restamp(fromMutationId: number): Promise<void>;
  /**
   * Goes on under a new clientId: transactions after the last common one are numbered anew from 1,
   * those through it count as the old client's.
   */
  fork(lastCommonMutationId: number): Promise<void>;
  /**
   * Goes back to the clientId before the last fork, since the gateway lacks what the fork went on
   * from, or has under that name what was sent under this one. Where that is not kept, it goes on
   * under a new one with all that is.
   */
  goBack(clientId: string): Promise<void>;
  /** The chains of own transactions from one through another, those that were ever read for sending. */
  chains(from: number, through: number): Promise<ReadonlyMap<number, string>>;
  /** Notes that the gateway has forgotten what it had accepted after a transaction. */
  forgotten(lastMutationId: number): Promise<void>;
  /** Notes that the gateway has what it had accepted, as far as so many doubts go. */
  trust(doubts: number): Promise<void>;
  /** Sets how far the gateway's clock is ahead of this device's, in milliseconds. */
  setClockOffset(offsetMs: number): Promise<void>;
  /** Makes the next local stamp greater than this one. */
  receiveHlc(hlc: Hlc): Promise<void>;
  /** Called after each local commit that was captured. Gives what ends it. */
  onLocalCommit(listener: () => void): () => void;
}
