/**
 * The port between the local engine and a binding of SQLite. It is asynchronous, because in a
 * browser the database lives in another tab's worker, and takes many rows in one call, because
 * there each call is a round trip.
 *
 * It says nothing of LakeSync: no tables, no capture, no transactions of its own.
 *
 * @module
 */

/** A value as it is read: integers are numbers within ±(2^53−1) and bigints beyond. */
export type SqlValue = null | number | bigint | string | Uint8Array;

/** A value that may be bound: a boolean is stored as 0 or 1, a Date as RFC 3339 text in UTC. */
export type SqlParam = SqlValue | boolean | Date;

/** A row by column names; of two columns with one name the last counts. */
export interface SqlRow {
  /** The cell of a column. */
  [column: string]: SqlValue;
}

/** What a statement did. */
export interface RunResult {
  /** How many rows it wrote itself, without what triggers and cascades wrote. */
  readonly changes: number;
  /** The rowid of the last row that this connection inserted. */
  readonly lastInsertRowid: number | bigint;
}

/** One connection. Calls run in the order they are made. */
export interface SqliteConnection {
  /** Whether a transaction was open after the last call. */
  readonly inTransaction: boolean;
  /** Runs all statements of a text, which takes no parameters. */
  script(sql: string): Promise<void>;
  /** Runs one statement. */
  run(sql: string, params?: readonly SqlParam[]): Promise<RunResult>;
  /** Runs one statement for each row of parameters, until one fails. */
  runMany(
    sql: string,
    rows: readonly (readonly SqlParam[])[],
  ): Promise<void>;
  /** Runs one statement and gives its rows by position. */
  values(sql: string, params?: readonly SqlParam[]): Promise<SqlValue[][]>;
  /** Runs one statement and gives its rows by name. */
  all(sql: string, params?: readonly SqlParam[]): Promise<SqlRow[]>;
  /** Frees everything. Later calls fail. */
  close(): Promise<void>;
}

/** Opens databases. */
export interface SqliteDriver {
  /**
   * Opens a connection with SQLite's own defaults.
   *
   * @param path a file, made when it is not there, or `:memory:`
   */
  open(path: string): Promise<SqliteConnection>;
}

/**
 * Tells whether a statement failed because another connection holds a lock, so that it may
 * succeed when it is tried again.
 *
 * @param error what the statement threw
 * @returns whether SQLite said busy or locked
 */
export function isBusy(error: unknown): boolean {
  return error instanceof Error &&
    /\bdatabase (table |schema )?is locked\b/.test(error.message);
}

/**
 * Tells whether a statement failed because a constraint of its tables forbids the row.
 *
 * @param error what the statement threw
 * @returns whether it was NOT NULL, UNIQUE, CHECK, a foreign key, a STRICT table's type or RAISE
 */
export function isConstraint(error: unknown): boolean {
  return failedBy(error, /\bconstraint failed\b|^cannot store /, [SQLITE_CONSTRAINT]);
}

/**
 * Tells whether a statement failed because the disk has no space, or the database may not grow.
 * Nothing of its transaction is there; it may succeed when there is space again.
 *
 * @param error what a write or the opening of a database threw
 * @returns whether SQLite said full
 *
 * @example
 * ```ts
 * import { createClient, isDiskFull } from "@lakesync/client";
 *
 * async function save(client: Awaited<ReturnType<typeof createClient>>): Promise<string> {
 *   try {
 *     await client.exec("INSERT INTO todos VALUES ('t1', 'Buy milk')");
 *     return "saved";
 *   } catch (error) {
 *     if (isDiskFull(error)) return "Make some space on this device, then save again";
 *     throw error;
 *   }
 * }
 * console.assert(typeof save === "function");
 * ```
 */
export function isDiskFull(error: unknown): boolean {
  return failedBy(error, /\bdatabase or disk is full\b/, [SQLITE_FULL]);
}

/**
 * Tells whether a statement failed because the database cannot be written here: its file system is
 * read-only, its folder is not there, or the process may write neither.
 *
 * @param error what a write or the opening of a database threw
 * @returns whether SQLite said that it is read-only or cannot be opened
 */
export function isUnwritable(error: unknown): boolean {
  return failedBy(error, /\breadonly database\b|\bunable to open database file\b/, [
    SQLITE_READONLY,
    SQLITE_CANTOPEN,
  ]);
}

/** Not every binding gives SQLite's code; all give its message, or one of their own. */
function failedBy(error: unknown, message: RegExp, codes: readonly number[]): boolean {
  if (!(error instanceof Error)) return false;
  if (message.test(error.message)) return true;
  const code = "errcode" in error ? error.errcode : "errno" in error ? error.errno : undefined;
  return typeof code === "number" && codes.includes(code & 0xff);
}

const SQLITE_READONLY = 8;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_CONSTRAINT = 19;
