/**
 * The rules of `node:sqlite` under Deno, in one place: how values go in and come out, how a
 * transaction ends, and the counting of statements. Nothing else imports `node:sqlite` here.
 *
 * What it holds back from the rest:
 *
 * - JavaScript numbers are bound as REAL. A column or a `LIMIT` with integer affinity turns them
 *   into integers again, so every number column of the layout is INTEGER in a STRICT table.
 * - TEXT with a NUL is stored whole but read only up to it, and a lone surrogate comes back as
 *   another character, so {@linkcode text} refuses both.
 * - Booleans and undefined throw, so {@linkcode SqlValue} has neither.
 * - Rows as arrays are read about three times faster than rows as objects.
 *
 * @module
 */

import { backup, DatabaseSync, type StatementSync } from "node:sqlite";
import { LakeSyncError } from "@lakesync/core";

/** A value as SQLite takes and gives it. */
export type SqlValue = string | number | bigint | null | Uint8Array;

/** A row as an array of its columns. */
export type SqlRow = readonly SqlValue[];

/** Counts of what connections have done, shared by those of one store. */
export interface SqlCounters {
  /** Statements executed. */
  statements: number;
  /** Rows they returned. */
  rowsRead: number;
}

/** More pages than a database has. */
const ALL_PAGES = 2 ** 31 - 1;

function isRow(row: unknown): row is SqlRow {
  return Array.isArray(row);
}

function isRows(rows: unknown): rows is readonly SqlRow[] {
  return Array.isArray(rows);
}

/** The type declarations of `node:sqlite` do not know this method yet. */
function returnArrays(statement: StatementSync): void {
  const method: unknown = Reflect.get(statement, "setReturnArrays");
  if (typeof method !== "function") {
    throw new LakeSyncError(
      "INTERNAL_ERROR",
      "This version of Deno is too old for the SQLite store, upgrade it",
    );
  }
  method.call(statement, true);
}

/** A prepared statement. */
export class Statement {
  readonly #statement: StatementSync;
  readonly #counters: SqlCounters;

  /**
   * @param statement the statement of the driver
   * @param counters where its executions are counted
   */
  constructor(statement: StatementSync, counters: SqlCounters) {
    returnArrays(statement);
    this.#statement = statement;
    this.#counters = counters;
  }

  /**
   * Runs it for its effect.
   *
   * @param values what is bound, in order
   * @returns how many rows it changed
   */
  run(...values: SqlValue[]): number {
    this.#counters.statements++;
    return Number(this.#statement.run(...values).changes);
  }

  /**
   * Reads at most one row.
   *
   * @param values what is bound, in order
   * @returns the first row, if there is one
   */
  get(...values: SqlValue[]): SqlRow | undefined {
    this.#counters.statements++;
    const row: unknown = this.#statement.get(...values);
    if (!isRow(row)) return undefined;
    this.#counters.rowsRead++;
    return row;
  }

  /**
   * Reads all rows.
   *
   * @param values what is bound, in order
   * @returns the rows
   */
  all(...values: SqlValue[]): readonly SqlRow[] {
    this.#counters.statements++;
    const rows: unknown = this.#statement.all(...values);
    if (!isRows(rows)) return [];
    this.#counters.rowsRead += rows.length;
    return rows;
  }
}

/** A connection to one database file. */
export class Connection {
  readonly #db: DatabaseSync;
  readonly #counters: SqlCounters;

  /**
   * @param file the path of the database
   * @param counters where executions are counted
   * @param readOnly whether it may only read; then closing it leaves the file as it is
   */
  constructor(file: string, counters: SqlCounters, readOnly = false) {
    this.#db = new DatabaseSync(file, { readOnly });
    this.#counters = counters;
  }

  /** Whether a transaction is open. */
  get inTransaction(): boolean {
    return this.#db.isTransaction;
  }

  /** Runs statements that take no values. */
  exec(sql: string): void {
    this.#counters.statements++;
    this.#db.exec(sql);
  }

  /** Runs what keeps the file in order and no request asked for; it is not counted. */
  upkeep(sql: string): void {
    this.#db.exec(sql);
  }

  /** Prepares a statement. */
  prepare(sql: string): Statement {
    return new Statement(this.#db.prepare(sql), this.#counters);
  }

  /**
   * Runs a function in one transaction; what it throws undoes the transaction. A failing COMMIT
   * does too.
   *
   * @param kind `IMMEDIATE` to write, `DEFERRED` to read one snapshot
   * @param work what to do
   * @returns what it returned
   */
  transaction<T>(kind: "IMMEDIATE" | "DEFERRED", work: () => T): T {
    this.exec(`BEGIN ${kind}`);
    try {
      const result = work();
      this.exec("COMMIT");
      return result;
    } catch (error) {
      this.rollback();
      throw error;
    }
  }

  /**
   * Copies the database as it is at this moment, in one step, so that no commit comes between.
   *
   * @param file the copy, which must not be there
   */
  async copyTo(file: string): Promise<void> {
    await backup(this.#db, file, { rate: ALL_PAGES });
  }

  /** Undoes the open transaction; SQLite may have done so itself, for instance on a full disk. */
  rollback(): void {
    if (this.#db.isTransaction) this.exec("ROLLBACK");
  }

  /** Closes it. */
  close(): void {
    this.#db.close();
  }
}

function unexpected(kind: string): LakeSyncError {
  return new LakeSyncError(
    "INTERNAL_ERROR",
    `A column of the store does not hold ${kind}, the file is damaged or of another program`,
  );
}

/** Reads a column as an integer. */
export function asNumber(value: SqlValue | undefined): number {
  if (typeof value !== "number") throw unexpected("a number");
  return value;
}

/** Reads a column as text. */
export function asText(value: SqlValue | undefined): string {
  if (typeof value !== "string") throw unexpected("text");
  return value;
}

/** Reads a column as bytes. */
export function asBytes(value: SqlValue | undefined): Uint8Array {
  if (!(value instanceof Uint8Array)) throw unexpected("bytes");
  return value;
}

/**
 * Passes a text on that comes back from SQLite as it went in.
 *
 * @param value a text
 * @returns the same
 * @throws {LakeSyncError} `INTERNAL_ERROR` for one with a NUL or a lone surrogate
 */
export function text(value: string): string {
  if (value.includes("\0") || !value.isWellFormed()) {
    throw new LakeSyncError(
      "INTERNAL_ERROR",
      "A text with a NUL or a lone surrogate cannot be stored, refuse it before",
    );
  }
  return value;
}
