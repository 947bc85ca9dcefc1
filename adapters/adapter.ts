/**
 * What a flush needs of a destination, be it a database or a lake. A destination keeps the changes
 * of one gateway, each once, and where it stands in the gateway's log; both move in one commit of
 * its own, so a crash at any instant loses and doubles nothing.
 *
 * @module
 */

import type { Hlc, Op, Table, Value } from "@lakesync/core";

/** A life of a gateway's data, from the commit after `fromSeq` to the beginning of the next one. */
export interface PositionLife {
  /** Random. */
  readonly id: string;
  /** The head when it began. */
  readonly fromSeq: number;
}

/**
 * A place in a gateway's history: everything at or before it has arrived. A destination keeps it as
 * JSON and does not look into it but for `seq`.
 */
export interface FlushPosition {
  /** The commit number. */
  readonly seq: number;
  /** The last slice of it that has arrived, from 0; not there when all of it has. */
  readonly slice?: number;
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

/** Names a row: the table's number, and the rowId. */
export interface DestinationKey {
  /** The table's number. */
  readonly table: number;
  /** The row's id. */
  readonly rowId: string;
}

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
  /** Cells by the column's number, the key's columns left out. */
  readonly cells: readonly (readonly [column: number, value: Value])[];
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
  /** What its row became; undefined when the gateway no longer knows the schema version. */
  readonly effect: RowEffect | undefined;
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
   */
  write(batch: FlushBatch): Promise<void>;
  /**
   * Goes back, after the gateway lost the end of its history: gives up every change after the seq of
   * `to` and moves the position, in one commit, if it stands at `from`. What was given up is no longer
   * counted among the changes; whether it is removed or marked is the destination's matter. The rows
   * that it touched are unsettled from then on: they hold what is lost, until they are set.
   */
  rewind(move: Move): Promise<void>;
  /**
   * Rows that are unsettled, in any order.
   *
   * @param limit so many at most
   * @returns none when all rows are settled
   */
  unsettled(limit: number): Promise<readonly DestinationKey[]>;
}
