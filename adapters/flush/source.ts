/**
 * Where a flush takes changes from: the log of a gateway, or an adapter that has them already.
 *
 * @module
 */

import type {
  Change,
  DestinationKey,
  DestinationSchema,
  Place,
  PositionLife,
  RowEffect,
} from "../adapter.ts";

/** A transaction, or a slice of a large one. */
export interface SourceEntry extends Required<Place> {
  /** Whether no slice of the transaction comes after it. */
  readonly last: boolean;
  /** Its size as the source keeps it, in bytes. */
  readonly bytes: number;
  /** When it was committed, in milliseconds since 1970. */
  readonly committedMs: number;
  /** Its changes in order. */
  readonly changes: readonly Change[];
}

/** How much to read. */
export interface SourceLimit {
  /** Stop when so many changes are read. */
  readonly changes: number;
  /** Stop when so many bytes are read. */
  readonly bytes: number;
}

/** A part of a source's history. */
export interface SourcePage {
  /** Entries in order; none when there are no more, or when `trimmed`. */
  readonly entries: readonly SourceEntry[];
  /** Whether the source no longer has everything after the place. */
  readonly trimmed: boolean;
  /** Whatever was committed up to this seq and is not before the place is among the entries. */
  readonly throughSeq: number;
  /** When `trimmed`: the commit after which the source has everything, where that is known. */
  readonly keptAfter?: number;
}

/** Rows as they are now. */
export interface SourceRows {
  /** The rows, each with all its cells. */
  readonly rows: readonly RowEffect[];
  /** No commit after this one has touched them. */
  readonly seq: number;
}

/** Rows of a walk over all rows. */
export interface SourceWalk extends SourceRows {
  /** Where the walk stands then; undefined when it has seen all rows. */
  readonly place: string | undefined;
}

/** Where a history stands. */
export interface SourceHead {
  /** The last commit number. */
  readonly seq: number;
  /** The lives of the history, oldest first. */
  readonly lives: readonly PositionLife[];
}

/** What is known of new changes when it is told of them. */
export interface SourceNews {
  /** The head's seq. */
  readonly seq: number;
  /** Their size as the source keeps it, in bytes, where that is known. */
  readonly bytes?: number;
  /** How many there are, where that is known. */
  readonly changes?: number;
}

/** A history that destinations follow. */
export interface ChangeSource {
  /** The tables, those of everything that was read before. */
  readonly schema: DestinationSchema;
  /** Where it stands. */
  head(): Promise<SourceHead>;
  /**
   * Reads changes. An entry is read whole, so a page may be over the limit by one entry.
   *
   * @param after those after this place
   * @param limit how much to read
   */
  read(after: Place, limit: SourceLimit): Promise<SourcePage>;
  /** Reads rows as they are now; rows that are not there have no cells. */
  rows(keys: readonly DestinationKey[]): Promise<SourceRows>;
  /**
   * Walks over all rows, in an order in which rows that are added later come with the log or later
   * in the walk.
   *
   * @param after where the walk stands, "" for the start
   * @param limit so many rows at most
   */
  walk(after: string, limit: number): Promise<SourceWalk>;
  /**
   * Keeps the history after a place that may move.
   *
   * @param seq tells the last seq that is no longer needed
   * @returns ends the keeping
   */
  keepAfter(seq: () => number): () => void;
  /**
   * Tells of new changes.
   *
   * @returns ends the telling
   */
  onCommit(listener: (news: SourceNews) => void): () => void;
}
