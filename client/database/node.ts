/**
 * The driver over `node:sqlite`, for Deno and Node 22 and later.
 *
 * @module
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { LakeSyncError } from "@lakesync/core";
import type { SqliteDriver, SqlValue } from "./driver.ts";
import { type Prepared, type RawDatabase, SyncConnection } from "./statements.ts";
import type { BoundValue } from "./values.ts";

/** What Node 22.16 and Deno have and their types may lack. */
interface ArrayStatement extends StatementSync {
  setReturnArrays(enabled: boolean): void;
}

function returnsArrays(statement: StatementSync): statement is ArrayStatement {
  return "setReturnArrays" in statement;
}

function isCells(row: unknown): row is SqlValue[] {
  return Array.isArray(row);
}

function prepared(statement: StatementSync): Prepared {
  if (!returnsArrays(statement)) {
    throw new LakeSyncError(
      "INTERNAL_ERROR",
      "This runtime's node:sqlite is too old, use Node 22.16 or later",
    );
  }
  statement.setReadBigInts(true);
  statement.setReturnArrays(true);
  return {
    run: (params: BoundValue[]) => statement.run(...params),
    values(params: BoundValue[]): SqlValue[][] {
      const rows: unknown[] = statement.all(...params);
      return rows.filter(isCells);
    },
    names: () => statement.columns().map(({ name }) => name),
    finalize() {},
  };
}

function database(path: string): RawDatabase {
  const database = new DatabaseSync(path);
  return {
    inTransaction: () => database.isTransaction,
    script: (sql) => database.exec(sql),
    prepare: (sql) => prepared(database.prepare(sql)),
    close: () => database.close(),
  };
}

/** Opens databases by `node:sqlite`. */
export const nodeDriver: SqliteDriver = {
  // deno-lint-ignore require-await -- an error is a rejection, never thrown at once
  async open(path) {
    return new SyncConnection(database(path));
  },
};
