/**
 * The driver over `bun:sqlite`, for Bun.
 *
 * @module
 */

import type { SqliteDriver, SqlValue } from "./driver.ts";
import { type Prepared, type RawDatabase, SyncConnection } from "./statements.ts";
import type { BoundValue } from "./values.ts";

interface BunStatement {
  readonly columnNames: string[];
  run(...params: BoundValue[]): {
    changes: number;
    lastInsertRowid: number | bigint;
  };
  values(...params: BoundValue[]): SqlValue[][] | undefined;
  get(...params: BoundValue[]): unknown;
  finalize(): void;
}

interface BunDatabase {
  readonly inTransaction: boolean;
  exec(sql: string): unknown;
  prepare(sql: string): BunStatement;
  close(): void;
}

interface BunSqlite {
  readonly Database: new (
    path: string,
    options: { create: boolean; readwrite: boolean; safeIntegers: boolean },
  ) => BunDatabase;
}

/** `values` leaves an EXPLAIN of a write in progress, and COMMIT fails then; `get` ends it. */
const EXPLAIN = /^\s*EXPLAIN\b/i;

function prepared(statement: BunStatement, sql: string): Prepared {
  const endsItself = !EXPLAIN.test(sql);
  return {
    run: (params: BoundValue[]) => statement.run(...params),
    values: (params: BoundValue[]) => {
      const values = statement.values(...params) ?? [];
      if (!endsItself) statement.get(...params);
      return values;
    },
    names: () => statement.columnNames,
    finalize: () => statement.finalize(),
  };
}

function raw(database: BunDatabase): RawDatabase {
  return {
    inTransaction: () => database.inTransaction,
    script: (sql) => void database.exec(sql),
    prepare: (sql) => prepared(database.prepare(sql), sql),
    close: () => database.close(),
  };
}

/** Opens databases by `bun:sqlite`. */
export const bunDriver: SqliteDriver = {
  async open(path) {
    const specifier = "bun:sqlite";
    const { Database }: BunSqlite = await import(specifier);
    const database = new Database(path, {
      create: true,
      readwrite: true,
      safeIntegers: true,
    });
    return new SyncConnection(raw(database));
  },
};
