/**
 * What the adapters of SQL databases need of one: transactions whose statements are as fast as the
 * database can, each for many rows. The flow of a flush is the same for all of them and is not
 * here; what is here knows nothing of batches.
 *
 * @module
 */

import type { Column, Value } from "@lakesync/core";
import type {
  Capabilities,
  Change,
  DestinationKey,
  DestinationSchema,
  DestinationTable,
  FlushPosition,
  Place,
  ProblemKind,
  RowProblem,
  StoredChange,
} from "../adapter.ts";
import type { Refusal } from "./bisect.ts";
import type { StoredRow } from "./images.ts";
import type { Reference } from "./references.ts";
import type { DatabaseFacts, SchemaStep, StoredTable } from "./schema_plan.ts";

/** What is kept of a destination as a whole. */
export interface StoredPosition {
  /** Where it stands; undefined before the first flush. */
  readonly position: FlushPosition | undefined;
  /** How often it began to be filled from rows, or had to; from 0. */
  readonly generation: number;
  /** Up to which commit changes have been forgotten; 0 when all are there. */
  readonly forgottenSeq: number;
}

/** A change with its place in its slice. */
export interface NumberedChange extends Change {
  /** Its place in its slice, from 0. */
  readonly n: number;
}

/** Why a row is not in its table. */
export interface StoredProblem extends Refusal {
  /** What is wrong. */
  readonly kind: ProblemKind;
  /** The row that a parked one waits for. */
  readonly waitsFor: DestinationKey | undefined;
  /** The commit with which it came. */
  readonly seq: number;
  /** When it was found, in milliseconds since 1970. */
  readonly atMs: number;
}

/** A row with what is wrong with it. */
export interface JudgedRow extends StoredRow {
  /** Undefined when it is in its table, or is not to be there. */
  readonly problem: StoredProblem | undefined;
}

/** A column as the database has it. */
export interface LayoutColumn {
  /** Its number. */
  readonly id: number;
  /** The column. */
  readonly column: Column;
  /** Its type in the database, as the backend writes it. */
  readonly native: string;
}

/** A materialised table. */
export interface TableLayout extends DestinationTable {
  /** The columns of the schema, in the table's order. */
  readonly columns: readonly LayoutColumn[];
  /** Those of the key, in the order of the rowId. */
  readonly key: readonly LayoutColumn[];
  /** Which of the extra columns it has: `synced_at`, `props`. */
  readonly extras: ReadonlySet<string>;
}

/** The schema and its tables as the database has them. */
export interface StoredLayouts {
  /** The schema. */
  readonly schema: DestinationSchema;
  /** Its tables by their numbers. */
  readonly tables: ReadonlyMap<number, TableLayout>;
}

/** A row as it is written to its table. */
export interface TableRow {
  /** Its id. */
  readonly rowId: string;
  /** One value for each column of the layout. */
  readonly values: readonly Value[];
}

/** What of earlier flushes a flush has to look after. */
export interface Leftovers {
  /** The numbers of tables that parked rows wait for. */
  readonly waitedFor: ReadonlySet<number>;
  /** The numbers of tables with rows whose `props` are kept aside. */
  readonly keptProps: ReadonlySet<number>;
}

/** Which old rows are to be found. */
export interface OldRows {
  /** Changed last at or before this commit. */
  readonly throughSeq: number;
  /** Whether readers must not see them. */
  readonly hiddenOnly: boolean;
  /** Only rows after this one, in the order in which they are given. */
  readonly after: { readonly seq: number; readonly key: DestinationKey } | undefined;
}

/**
 * A transaction. Nothing of it is there before it ends well. A statement may be begun before the one
 * before it has ended; they run in the order in which they were begun.
 */
export interface SqlTransaction {
  /** Reads what is kept of the destination, and keeps others from moving it until the end. */
  lockPosition(): Promise<StoredPosition>;
  /** Writes what is kept of the destination. */
  putPosition(stored: StoredPosition): Promise<void>;

  /** Adds changes; those that are there already are left out. */
  insertChanges(changes: readonly NumberedChange[]): Promise<void>;
  /**
   * Removes all changes after a commit and unsettles the rows that they touched, known or not, and
   * all other rows that are newer than the commit.
   */
  giveUpChanges(afterSeq: number): Promise<void>;
  /**
   * Removes some of the oldest changes.
   *
   * @returns up to which commit changes were removed, 0 for none; and whether there are more
   */
  forgetChanges(
    committedBeforeMs: number,
    throughSeq: number,
    limit: number,
  ): Promise<{ readonly seq: number; readonly isMore: boolean }>;

  /** Reads rows by their keys, in any order; those that are not there are left out. */
  readRows(keys: readonly DestinationKey[]): Promise<readonly StoredRow[]>;
  /** Reads the rows of a table that readers see, in the order of their ids. */
  readTable(table: number, afterRowId: string, limit: number): Promise<readonly StoredRow[]>;
  /** May do ahead what {@linkcode SqlTransaction.putRows} will need, while the database works. */
  prepareRows?(rows: readonly StoredRow[]): void;
  /** Adds rows or puts them in the place of what was. */
  putRows(rows: readonly JudgedRow[]): Promise<void>;
  /** Removes rows. */
  deleteRows(keys: readonly DestinationKey[]): Promise<void>;
  /** Finds settled rows, in the order of the commits that changed them last, and of their keys. */
  oldRows(which: OldRows, limit: number): Promise<readonly StoredRow[]>;

  /** Tells what there is to look after. */
  leftovers(): Promise<Leftovers>;
  /** Notes what is wrong with rows, or that nothing is any more. */
  putProblems(
    problems: readonly (readonly [key: DestinationKey, problem: StoredProblem | undefined])[],
  ): Promise<void>;
  /** Finds parked rows that wait for one of some rows. */
  waitingFor(parents: readonly DestinationKey[], limit: number): Promise<readonly StoredRow[]>;

  /**
   * Runs statements that rows may make fail, and takes them back then.
   *
   * @returns why the database refused them; undefined when it did not
   * @throws whatever is no row's fault; the transaction cannot go on then
   */
  attempt(run: () => Promise<void>): Promise<Refusal | undefined>;
  /** Lets foreign keys be checked not before {@linkcode SqlTransaction.checkReferences}. */
  deferReferences(): Promise<void>;
  /** Checks the foreign keys of all that was written since they were deferred. */
  checkReferences(): Promise<void>;
  /** Adds rows to a table or overwrites the schema's columns of those that are there. */
  upsert(table: TableLayout, rows: readonly TableRow[]): Promise<void>;
  /** Removes rows from a table; those that are not there do not matter. */
  remove(table: TableLayout, rowIds: readonly string[]): Promise<void>;
  /** Tells which of some keys a table does not have. */
  missing(table: TableLayout, rowIds: readonly string[]): Promise<readonly string[]>;
  /** Finds the rows of a table that reference one of some rows. */
  children(
    reference: Reference,
    child: TableLayout,
    parent: TableLayout,
    parentRowIds: readonly string[],
  ): Promise<readonly { readonly rowId: string; readonly parentRowId: string }[]>;
  /** Puts the `props` of rows aside, since the rows leave their table until they are mended. */
  keepProps(table: TableLayout, rowIds: readonly string[]): Promise<void>;
  /** Gives rows back the `props` that were put aside. */
  restoreProps(table: TableLayout, rowIds: readonly string[]): Promise<void>;
}

/** What is known before tables are changed. */
export interface SchemaFacts {
  /** The schema as it was last made ready; undefined before the first time. */
  readonly schema: DestinationSchema | undefined;
  /** What the database has. */
  readonly facts: DatabaseFacts;
  /**
   * The numbers of tables whose rows are not all there, since a change of tables was cut off; only
   * where that can happen.
   */
  readonly unfilled?: ReadonlySet<number>;
}

/** A transaction that changes tables; where the database cannot, each step is one of its own. */
export interface SchemaTransaction extends SqlTransaction {
  /** The schema as it was last made ready, undefined before the first time, and what is there. */
  facts(): Promise<SchemaFacts>;
  /**
   * Does one step, but for `fillTable`.
   *
   * @throws {DestinationError} `stop` when something would be lost, or is not as it must be
   */
  apply(step: Exclude<SchemaStep, { readonly kind: "fillTable" }>): Promise<void>;
  /**
   * Takes off foreign keys that LakeSync made and that are not wanted any more.
   *
   * @param references those that are wanted
   * @returns those that are not there yet
   */
  lackingReferences(references: readonly Reference[]): Promise<readonly Reference[]>;
  /** Makes foreign keys and indexes for them. The rows that LakeSync wrote are as they must be. */
  makeReferences(layouts: StoredLayouts, references: readonly Reference[]): Promise<void>;
  /** Keeps the schema and its tables. */
  putSchema(schema: DestinationSchema, stored: readonly StoredTable[]): Promise<void>;
  /** The layouts of the schema that was put. */
  layouts(): Promise<StoredLayouts>;
}

/** A database. Whatever it throws is a `DestinationError`. */
export interface SqlBackend {
  /** What it can do. */
  readonly capabilities: Capabilities;
  /** Whether a foreign key can be made between two column types. */
  canReference(child: string, parent: string): boolean;
  /** Why a value cannot be held exactly by a column; undefined when it can. */
  misfit(column: LayoutColumn, value: Value): string | undefined;

  /** Makes LakeSync's own tables, if they are not there. */
  bootstrap(): Promise<void>;
  /**
   * Runs a transaction.
   *
   * @param run what it does
   * @param isLong whether its statements may take as long as they need
   */
  transact<T>(run: (transaction: SqlTransaction) => Promise<T>, isLong?: boolean): Promise<T>;
  /** Runs a transaction that changes tables; one at a time, whichever process begins it. */
  transactSchema<T>(run: (transaction: SchemaTransaction) => Promise<T>): Promise<T>;
  /** Makes ready for changes that were committed at some times; may forget what is too old. */
  prepareTimes(committedMs: readonly number[]): Promise<void>;

  /** What is kept of the destination; undefined before {@linkcode SqlBackend.bootstrap}. */
  position(): Promise<StoredPosition | undefined>;
  /** The schema as it was last made ready; undefined before the first time. */
  layouts(): Promise<StoredLayouts | undefined>;
  /** Rows that are not settled, in any order. */
  unsettled(limit: number): Promise<readonly DestinationKey[]>;
  /** Changes after a place, in the order of the log. */
  changes(
    after: Required<Place> & { readonly n: number },
    limit: number,
  ): Promise<readonly (StoredChange & { readonly n: number })[]>;
  /** Rows by their keys, in any order. */
  rows(keys: readonly DestinationKey[]): Promise<readonly StoredRow[]>;
  /** Rows of which something is known, in the order of their keys. */
  scan(after: DestinationKey | undefined, limit: number): Promise<readonly StoredRow[]>;
  /** Rows with problems, the oldest first. */
  problems(limit: number): Promise<readonly Omit<RowProblem, "table">[]>;
  /** Ends the connections of what is being written, which fails. */
  abandon?(): Promise<void>;
  /** Ends all connections; what is under way fails. */
  close(): Promise<void>;
}
