/**
 * What a flush needs of a destination, be it a database or a lake. A destination keeps the changes
 * of one gateway, each once, and where it stands in the gateway's log; both move in one commit of
 * its own, so a crash at any instant loses and doubles nothing. A {@linkcode DatabaseAdapter} can be
 * read as well, so that another one can follow it.
 *
 * @module
 */

import type { Hlc, Op, Stamp, Table, Value } from "@lakesync/core";
import type { FlushSettings } from "./flush/settings.ts";
import type { FlushStatus } from "./flush/status.ts";

/** A life of a gateway's data, from the commit after `fromSeq` to the beginning of the next one. */
export interface PositionLife {
  /** Random. */
  readonly id: string;
  /** The head when it began. */
  readonly fromSeq: number;
}

/** A place in a gateway's history: after a transaction, or after a slice of a large one. */
export interface Place {
  /** The commit number; 0 is before every transaction. */
  readonly seq: number;
  /** The slice, from 0; not there: after all of them. */
  readonly slice?: number;
}

/**
 * A place in a gateway's history: everything at or before it has arrived. A destination keeps it as
 * JSON and does not look into it but for `seq` and `slice`.
 */
export interface FlushPosition extends Place {
  /**
   * The last lives of the history, oldest first, that of `seq` at the end. After the gateway was
   * restored from an older copy they tell where the two histories parted.
   */
  readonly lives: readonly PositionLife[];
  /**
   * Which flusher moved it here. Each begins by putting its name here, so that a write which one
   * before it sent, and which arrives late, fails.
   */
  readonly writer: string;
  /**
   * Only while a destination is filled from rows, since the log no longer held what it lacked: where
   * the source's walk over all rows stands; "" before the first.
   */
  readonly filled?: string;
  /** Changes at or before this commit may be missing, since it was filled from rows there. */
  readonly floor?: number;
  /**
   * Only of a destination that is composed: how far parts of it have come that are ahead, and in which
   * history. It is told and not kept, and is nothing by which positions differ.
   */
  readonly ahead?: readonly Pick<FlushPosition, "seq" | "lives">[];
}

/** A table, with the numbers that it and its columns keep when they are renamed. */
export interface DestinationTable {
  /** Its number, from 1. */
  readonly id: number;
  /** The table as the newest schema has it. */
  readonly table: Table;
  /** The numbers of its columns, in the table's order. */
  readonly columnIds: readonly number[];
}

/** The tables that rows are kept for. */
export interface DestinationSchema {
  /** The version of the gateway's newest schema. */
  readonly version: number;
  /** Its tables. */
  readonly tables: readonly DestinationTable[];
}

/** Names a row. Ordered by the table's number, then by the bytes of the rowId in UTF-8. */
export interface DestinationKey {
  /** The table's number. */
  readonly table: number;
  /** The row's id. */
  readonly rowId: string;
}

/**
 * A cell: its column's number, which it keeps whatever it is called, its value, and the stamp of the
 * write that gave it, where that is known.
 */
export type Cell = readonly [column: number, value: Value, stamp?: Stamp | undefined];

/** What a row is to become. Nothing is to be merged: the values are as the gateway merged them. */
export interface RowEffect {
  /** The row. */
  readonly key: DestinationKey;
  /**
   * Whether the row is there for readers. The cells of one that is not are kept aside, since a
   * change to come may show it with them.
   */
  readonly isVisible: boolean;
  /** Whether the row has no other cells than these; else all others stay as they are. */
  readonly replaces: boolean;
  /**
   * Cells, the key's columns left out. One whose stamp is not known keeps the stamp that the
   * destination has for it.
   */
  readonly cells: readonly Cell[];
}

/** A change as it was committed. */
export interface Change {
  /** Its identity: SHA-256 in lower-case hex. */
  readonly deltaId: string;
  /** What was done. */
  readonly op: Op;
  /** The table, by the name it has in `schemaVersion`. */
  readonly table: string;
  /** The row. */
  readonly rowId: string;
  /** What was written, by the names that columns have in `schemaVersion`. */
  readonly columns: Readonly<Record<string, Value>>;
  /** The numbers of those columns, in the order of their names, where they are known. */
  readonly columnIds?: readonly number[];
  /** When it was written. */
  readonly hlc: Hlc;
  /** Who wrote it. */
  readonly clientId: string;
  /** In which of the client's transactions. */
  readonly mutationId: number;
  /** The commit number of the transaction. */
  readonly seq: number;
  /** Its slice, when it is a large one. */
  readonly slice: number;
  /** When it was committed, in milliseconds since 1970. */
  readonly committedMs: number;
  /** The schema version whose names it uses. */
  readonly schemaVersion: number;
  /** What its row became; undefined when that is not known. */
  readonly effect: RowEffect | undefined;
  /**
   * Its row, when only that is known of what it did: from then on the row is unsettled, until it is
   * set. Never beside an effect; without both the gateway no longer knows the schema version.
   */
  readonly unsettles?: DestinationKey;
}

/** A change as it is read back: its effect is not kept. */
export interface StoredChange extends Omit<Change, "effect" | "unsettles" | "columnIds"> {
  /** The row by its table's number, which a rename does not change; undefined when not known. */
  readonly key: DestinationKey | undefined;
}

/** A move of a destination's position. */
export interface Move {
  /** Where the destination must stand for this to be written. */
  readonly from: FlushPosition | undefined;
  /** Where it stands then. */
  readonly to: FlushPosition;
}

/** Changes that are committed together with the position. */
export interface FlushBatch extends Move {
  /**
   * Rows that were unsettled, each with all its cells. They are set before the changes have their
   * effects, and are settled then.
   */
  readonly rows: readonly RowEffect[];
  /** The changes in the order of the log. */
  readonly changes: readonly Change[];
  /**
   * Whether the batch ends where a transaction ends. Only a transaction that is larger than a batch
   * is cut.
   */
  readonly isWhole: boolean;
}

/** Where changes are flushed to. */
export interface Destination {
  /** Its name, for status and log. */
  readonly name: string;
  /** How it wants to be flushed to, where nothing else is configured. */
  readonly flushSettings?: Partial<FlushSettings>;
  /** Where it stands; undefined before the first flush. */
  position(): Promise<FlushPosition | undefined>;
  /** Makes ready for rows of a schema; doing it again changes nothing. */
  ensureSchema(schema: DestinationSchema): Promise<void>;
  /**
   * Writes changes, rows and position in one commit, if it stands at `from`; else it fails and
   * nothing is written. A change that is there already is not written again; when a rewind gave it
   * up it counts again, at its new place. Its effect on the row is always applied; one that replaces
   * all cells settles the row.
   *
   * Whoever gets an error knows nothing, and asks for the position.
   *
   * @throws {DestinationError} which tells whether and when to try again
   */
  insertDeltas(batch: FlushBatch): Promise<void>;
  /**
   * Goes back, after the gateway lost the end of its history: gives up every change after the seq of
   * `to` and moves the position, in one commit, if it stands at `from`. What was given up is no longer
   * counted among the changes; whether it is removed or marked is the destination's matter. The rows
   * that it touched are unsettled from then on: they hold what is lost, until they are set.
   *
   * Where a part of a destination is ahead, `to` may be after `from`; then only such parts go back.
   */
  rewind(move: Move): Promise<void>;
  /**
   * Rows that are unsettled, in any order.
   *
   * @param limit so many at most
   * @returns none when all rows are settled
   */
  unsettled(limit: number): Promise<readonly DestinationKey[]>;
  /**
   * Begins to be filled from rows, after the log lost what it lacks: keeps its changes, moves the
   * position and makes every row that it has unsettled, in one commit, if it stands at `from`. The
   * rows it does not have follow in batches.
   */
  refill(move: Move): Promise<void>;
  /**
   * Up to which commit changes, and rows that were gone, have been forgotten; 0 when all are there.
   * One that goes back to before it no longer knows which rows the lost changes touched, and has
   * forgotten nothing after where it stands then.
   */
  forgottenSeq?(): Promise<number>;
  /**
   * Ends what is under way, since it takes too long: calls fail soon, and what they did is either
   * committed or not at all. Whoever has no such way bounds its calls by itself.
   */
  abandon?(): Promise<void>;
  /** Gives back connections, timers and files; calls that are under way fail. */
  close(): Promise<void>;
}

/** What an adapter can do; callers ask these and never which database it is. */
export interface Capabilities {
  /** Whether changes and rows can be read back ({@linkcode DatabaseAdapter}). */
  readonly readable: boolean;
  /** Whether it keeps tables that people query, with native types. */
  readonly materialised: boolean;
  /** Whether it makes foreign keys of columns that reference a table. */
  readonly foreignKeys: boolean;
  /** Whether a schema change is part of a transaction, so that one that fails leaves nothing. */
  readonly transactionalDdl: boolean;
  /** Whether a text may hold NUL. */
  readonly nulInText: boolean;
  /**
   * Whether rows become what changes make of them in the same commit. Else they are made of the
   * changes some time later: a rewind leaves nothing of what was lost in them, a refill names none,
   * and only changes are forgotten, by whole days.
   */
  readonly mergesRows: boolean;
  /**
   * Whether a change that was written before is known by its identity, wherever it comes again. Else
   * it is known by its place in the log.
   */
  readonly knowsChanges: boolean;
}

/** Changes that were read back. */
export interface DeltaPage {
  /** The changes in the order of the log. */
  readonly changes: readonly StoredChange[];
  /** Whether there are no more up to the position. */
  readonly isComplete: boolean;
  /** Whether the adapter no longer keeps everything after the place. */
  readonly isTrimmed: boolean;
}

/** A row as an adapter keeps it. One that is deleted is known until it is forgotten. */
export interface LatestState {
  /** The row. */
  readonly key: DestinationKey;
  /** Whether readers see it. */
  readonly isVisible: boolean;
  /** All its cells, seen or not, the key's columns left out; ascending by column. */
  readonly cells: readonly Cell[];
  /**
   * The last commit that may have changed it: that of the last change, or the position's with which
   * it was set.
   */
  readonly seq: number;
  /** When its last change was committed, in milliseconds since 1970; 0 when that is not known. */
  readonly committedMs: number;
}

/**
 * Why a row is not in its table: `parked` waits for a row that it references, `dead` was refused by
 * the database. Its cells are kept, and it is tried again when it changes or when what it waits for
 * arrives.
 */
export type ProblemKind = "parked" | "dead";

/** A row that the database did not take. */
export interface RowProblem {
  /** The row. */
  readonly key: DestinationKey;
  /** The table's name. */
  readonly table: string;
  /** What is wrong. */
  readonly kind: ProblemKind;
  /** For people: what the database said, or which row is missing. */
  readonly reason: string;
  /** The database's own code, where there is one. */
  readonly code: string | undefined;
  /** The commit with which it came. */
  readonly seq: number;
  /** When it was found, in milliseconds since 1970. */
  readonly atMs: number;
}

/** What an adapter is to forget of what is old. */
export interface Forget {
  /** Changes and rows that were committed before this time, in milliseconds since 1970 … */
  readonly committedBeforeMs: number;
  /** … and at or before this commit. */
  readonly throughSeq: number;
  /** Whether rows are forgotten too; else only changes, and what is left of deleted rows. */
  readonly rows: boolean;
}

/** A destination that can be read: a database, or several that are composed. */
export interface DatabaseAdapter extends Destination {
  /** What it can do. */
  readonly capabilities: Capabilities;
  /** How those stand that follow it or a part of it; not there when none can. */
  readonly followers?: readonly FlushStatus[];
  /** The tables as they were last made ready; undefined before the first time. */
  schema(): Promise<DestinationSchema | undefined>;
  /**
   * Reads changes back.
   *
   * @param after those after this place
   * @param limit so many at most; whole slices, so that a page may hold more by one slice
   */
  queryDeltasSince(after: Place, limit: number): Promise<DeltaPage>;
  /**
   * Reads rows as they are now.
   *
   * @param keys which
   * @returns in the order of the keys; undefined for rows of which nothing is known
   */
  getLatestState(keys: readonly DestinationKey[]): Promise<readonly (LatestState | undefined)[]>;
  /**
   * Reads all rows, a page at a time, in the order of their keys.
   *
   * @param after rows after this one; all when undefined
   * @param limit so many at most
   * @returns fewer than the limit at the end
   */
  scanState(after: DestinationKey | undefined, limit: number): Promise<readonly LatestState[]>;
  /**
   * Forgets what is old, a bounded piece at a time; doing it again changes nothing. Rows that other
   * rows reference stay until those have gone.
   *
   * @returns whether there is more to forget
   */
  forget(what: Forget): Promise<boolean>;
  /** Up to which commit something has been forgotten; 0 when all is there. */
  forgottenSeq(): Promise<number>;
  /**
   * Rows that the database did not take, the oldest first.
   *
   * @param limit so many at most
   */
  problems(limit: number): Promise<readonly RowProblem[]>;
}

/**
 * When to try again: at once, since another transaction was in the way (`now`); after a while, since
 * the database is not to be reached or overloaded (`later`); not before somebody has mended what it
 * names, since no retry will (`stop`).
 */
export type RetryKind = "now" | "later" | "stop";

/** A destination failed. */
export class DestinationError extends Error {
  /** Always `DestinationError`. */
  override readonly name: string = "DestinationError";
  /** When to try again. */
  readonly retry: RetryKind;
  /** The database's own code, where there is one. */
  readonly code: string | undefined;

  /**
   * Makes the error.
   *
   * @param retry when to try again
   * @param message what went wrong, and for `stop` what to do about it
   * @param options the cause, and the database's own code
   */
  constructor(
    retry: RetryKind,
    message: string,
    options: { readonly cause?: unknown; readonly code?: string } = {},
  ) {
    super(message, { cause: options.cause });
    this.retry = retry;
    this.code = options.code;
  }
}
