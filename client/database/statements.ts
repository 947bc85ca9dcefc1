/**
 * A cache of prepared statements, and what every binding does with them in the same way.
 *
 * @module
 */

import type { RunResult, SqliteConnection, SqlParam, SqlRow, SqlValue } from "./driver.ts";
import { bindAll, type BoundValue, readRow } from "./values.ts";

/** A prepared statement of a binding. */
export interface Prepared {
  /** Runs it to its end. */
  run(params: BoundValue[]): {
    changes: number | bigint;
    lastInsertRowid: number | bigint;
  };
  /** Runs it and gives rows by position, all integers as bigints. */
  values(params: BoundValue[]): SqlValue[][];
  /** The names of its columns, as of the last time it ran. */
  names(): string[];
  /** Frees it. */
  finalize(): void;
}

/** An open database of a binding. */
export interface RawDatabase {
  /** Whether a transaction is open. */
  inTransaction(): boolean;
  /** Runs all statements of a text. */
  script(sql: string): void;
  /** Prepares the first statement of a text. */
  prepare(sql: string): Prepared;
  /** Closes it. */
  close(): void;
}

const MAX_STATEMENTS = 256;

/** A connection over a synchronous binding: each call is done when it returns. */
export class SyncConnection implements SqliteConnection {
  readonly #database: RawDatabase;
  readonly #statements = new Map<string, Prepared>();
  #askVersion: Prepared | undefined;
  #schemaVersion: unknown;

  /** @param database the open database; the connection closes it */
  constructor(database: RawDatabase) {
    this.#database = database;
  }

  get inTransaction(): boolean {
    return this.#database.inTransaction();
  }

  #prepare(sql: string): Prepared {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      if (this.#statements.size >= MAX_STATEMENTS) this.#dropOldest();
    } else this.#statements.delete(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  /**
   * Node and Deno read as many columns as a statement had when it was prepared, so statements are
   * prepared anew after anyone changed the schema.
   */
  #dropStale(): void {
    this.#askVersion ??= this.#database.prepare("PRAGMA schema_version");
    const version = this.#askVersion.values([])[0]?.[0];
    if (version === this.#schemaVersion) return;
    this.#schemaVersion = version;
    this.#clear();
  }

  #clear(): void {
    for (const statement of this.#statements.values()) statement.finalize();
    this.#statements.clear();
  }

  #dropOldest(): void {
    for (const [sql, statement] of this.#statements) {
      this.#statements.delete(sql);
      statement.finalize();
      return;
    }
  }

  // deno-lint-ignore require-await -- an error is a rejection, never thrown at once
  async script(sql: string): Promise<void> {
    this.#database.script(sql);
  }

  // deno-lint-ignore require-await -- see script
  async run(sql: string, params: readonly SqlParam[] = []): Promise<RunResult> {
    const result = this.#prepare(sql).run(bindAll(params));
    const rowid = BigInt(result.lastInsertRowid);
    return {
      changes: Number(result.changes),
      lastInsertRowid: Number.isSafeInteger(Number(rowid)) ? Number(rowid) : rowid,
    };
  }

  // deno-lint-ignore require-await -- see script
  async runMany(
    sql: string,
    rows: readonly (readonly SqlParam[])[],
  ): Promise<void> {
    const statement = this.#prepare(sql);
    for (const row of rows) statement.run(bindAll(row));
  }

  // deno-lint-ignore require-await -- see script
  async values(
    sql: string,
    params: readonly SqlParam[] = [],
  ): Promise<SqlValue[][]> {
    const rows = this.#prepare(sql).values(bindAll(params));
    for (const row of rows) readRow(row);
    return rows;
  }

  // deno-lint-ignore require-await -- see script
  async all(sql: string, params: readonly SqlParam[] = []): Promise<SqlRow[]> {
    this.#dropStale();
    const statement = this.#prepare(sql);
    const rows = statement.values(bindAll(params));
    if (rows.length === 0) return [];
    const names = statement.names();
    return rows.map((cells) => {
      readRow(cells);
      const row: SqlRow = {};
      for (let i = 0; i < names.length; i++) {
        row[names[i] ?? ""] = cells[i] ?? null;
      }
      return row;
    });
  }

  // deno-lint-ignore require-await -- see script
  async close(): Promise<void> {
    this.#clear();
    this.#askVersion?.finalize();
    this.#database.close();
  }
}
