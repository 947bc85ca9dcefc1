/**
 * Writing the app's tables: rows by rowId, many at once, and what to do when a constraint of the
 * app forbids one.
 *
 * @module
 */

import { fromPlainJson, type JsonValue, keyOf, LakeSyncError, type Value } from "@lakesync/core";
import { isConstraint, type SqliteConnection, type SqlValue } from "./database/driver.ts";
import type { PlacedColumn, SyncedTable } from "./layout.ts";
import { TableFact } from "./schema_facts.ts";
import { quoteName } from "./sql.ts";

/** A row to write: its id, and one cell for each column of the statement. */
export interface RowCells {
  /** The row. */
  readonly rowId: string;
  /** One cell for each column. */
  readonly cells: readonly SqlValue[];
}

/** A row that a constraint of the app forbids as it is. */
export interface Failed<R> {
  /** The row. */
  readonly row: R;
  /** What SQLite said; null: the row was written with the app's defaults where it takes no null. */
  readonly reason: string | null;
  /** Whether it is in the table only now. */
  readonly isNew?: boolean;
}

/** The key of a rowId that capture wrote for values that only the gateway judges to the end. */
function capturedKey({ table }: SyncedTable, rowId: string): readonly Value[] | undefined {
  let parts: JsonValue;
  try {
    parts = JSON.parse(rowId);
  } catch {
    return undefined;
  }
  if (!Array.isArray(parts) || parts.length !== table.primaryKey.length) return undefined;
  const key = parts.map((part, i) => fromPlainJson(part, table.primaryKey[i]?.type ?? "string"));
  const fits = key.every((value, i) =>
    typeof value === "string" ? table.primaryKey[i]?.type !== "integer" : typeof value !== "object"
  );
  return fits ? key : undefined;
}

/**
 * Reads the key's cells out of a rowId.
 *
 * @param table the table
 * @param rowId a rowId that the gateway gave or the outbox holds, of a row it refused too
 * @returns the cells in the order of the primary key
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it cannot be one
 */
export function keyCells(table: SyncedTable, rowId: string): SqlValue[] {
  const [only, ...more] = table.table.primaryKey;
  if (more.length === 0 && only?.type !== "integer") return [rowId];
  const read: readonly Value[] | string = keyOf(table.table, rowId);
  const key = typeof read === "string" ? capturedKey(table, rowId) : read;
  if (key === undefined) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      `A row of ${table.name}: ${read}`,
    );
  }
  return key.map((value) =>
    typeof value === "number" || typeof value === "bigint" ? value : String(value)
  );
}

/** `a = ? AND b = ?` for the key. */
export function keyWhere(table: SyncedTable): string {
  return table.table.primaryKey.map(({ name }) => `${quoteName(name)} = ?`)
    .join(" AND ");
}

type OrClause = "" | "OR ABORT ";

const DECLARED_CONFLICT = /\bON\s+CONFLICT\s+(?!ABORT|FAIL)/i;

/**
 * A table may declare that a row which a constraint forbids is left out, replaces others or rolls
 * everything back. What the gateway sent is refused then, so that it is known to be blocked. Only
 * such tables get the clause, since it holds for the statements of the app's triggers too.
 */
const OR_CLAUSE = new TableFact(async (db, { name }): Promise<OrClause> => {
  const [row] = await db.values(
    "SELECT sql FROM sqlite_schema WHERE type = 'table' AND lower(name) = lower(?)",
    [name],
  );
  return DECLARED_CONFLICT.test(String(row?.[0])) ? "OR ABORT " : "";
});

/** How rows of one shape are put. */
interface Put {
  readonly db: SqliteConnection;
  readonly table: SyncedTable;
  readonly columns: readonly PlacedColumn[];
  readonly nulls: readonly PlacedColumn[];
  readonly or: OrClause;
}

/**
 * Writes an upsert of some columns; its parameters are the key's cells and the columns'.
 *
 * @param table the table
 * @param columns the columns that are written
 * @param nulls columns that are NULL where the row is new, whatever the app's defaults are
 * @param or what to do where constraints forbid the row; else what the table declares
 */
export function upsertSql(
  table: SyncedTable,
  columns: readonly PlacedColumn[],
  nulls: readonly PlacedColumn[] = [],
  or: OrClause = "",
): string {
  const keys = table.table.primaryKey.map(({ name }) => quoteName(name));
  const names = columns.map(({ name }) => quoteName(name));
  const all = [...keys, ...names, ...nulls.map(({ name }) => quoteName(name))];
  const values = [...keys.map(() => "?"), ...names.map(() => "?"), ...nulls.map(() => "NULL")];
  const set = names.map((name) => `${name} = excluded.${name}`).join(", ");
  return `INSERT ${or}INTO ${quoteName(table.name)} (${all.join(", ")}) VALUES (${
    values.join(", ")
  }) ON CONFLICT (${keys.join(", ")}) DO ${names.length === 0 ? "NOTHING" : `UPDATE SET ${set}`}`;
}

/** Writes a removal by key. */
export function deleteSql(table: SyncedTable): string {
  return `DELETE FROM ${quoteName(table.name)} WHERE ${keyWhere(table)}`;
}

/** An upsert checks NOT NULL before it sees that the row is there, so such a row is updated. */
async function upsertOne(
  { db, table, columns, nulls, or }: Put,
  key: readonly SqlValue[],
  cells: readonly SqlValue[],
): Promise<void> {
  if (columns.length > 0) {
    const set = columns.map(({ name }) => `${quoteName(name)} = ?`).join(", ");
    const { changes } = await db.run(
      `UPDATE ${or}${quoteName(table.name)} SET ${set} WHERE ${keyWhere(table)}`,
      [...cells, ...key],
    );
    if (changes > 0) return;
  }
  await db.run(upsertSql(table, columns, nulls, or), [...key, ...cells]);
}

/** The defaults of a table's columns that have one. */
export interface ColumnDefault {
  /** The default as SQL. */
  readonly sql: string;
  /** Whether the column takes no null. */
  readonly notNull: boolean;
}

/** The defaults that the app gave a table's columns, by name in lower case. */
export const DEFAULTS: TableFact<ReadonlyMap<string, ColumnDefault>> = new TableFact(async (
  db,
  { name },
) => {
  const columns = await db.values(
    `SELECT lower(name), dflt_value, "notnull" FROM pragma_table_info(?)
     WHERE dflt_value IS NOT NULL AND upper(dflt_value) <> 'NULL'`,
    [name],
  );
  return new Map(
    columns.map(([name, sql, notNull]) => [String(name), {
      sql: String(sql),
      notNull: notNull === 1,
    }]),
  );
});

/**
 * Writes a row with the app's defaults in place of nulls that it does not take.
 *
 * @returns whether it was written, and is new; undefined when it was not
 */
async function putWithDefaults(
  { db, table, columns, nulls, or }: Put,
  key: readonly SqlValue[],
  cells: readonly SqlValue[],
): Promise<{ readonly isNew: boolean } | undefined> {
  const defaults = await DEFAULTS.of(db, table);
  const defaultOf = ({ name }: PlacedColumn) => {
    const found = defaults.get(name.toLowerCase());
    return found?.notNull ? found.sql : undefined;
  };
  const filled: string[] = [];
  const rest: PlacedColumn[] = [];
  const given: SqlValue[] = [];
  for (const [i, column] of columns.entries()) {
    const cell = cells[i] ?? null;
    const sql = cell === null ? defaultOf(column) : undefined;
    if (sql !== undefined) filled.push(`${quoteName(column.name)} = (${sql})`);
    else {
      rest.push(column);
      given.push(cell);
    }
  }
  const stays = nulls.filter((column) => defaultOf(column) === undefined);
  if (filled.length === 0 && stays.length === nulls.length) return undefined;
  try {
    if (filled.length > 0) {
      const set = [...rest.map(({ name }) => `${quoteName(name)} = ?`), ...filled].join(", ");
      const { changes } = await db.run(
        `UPDATE ${or}${quoteName(table.name)} SET ${set} WHERE ${keyWhere(table)}`,
        [...given, ...key],
      );
      if (changes > 0) return { isNew: false };
    }
    await db.run(upsertSql(table, rest, stays, or), [...key, ...given]);
    return { isNew: true };
  } catch {
    return undefined;
  }
}

/** Runs each alone and collects what constraints forbid. */
async function oneByOne<R>(
  rows: readonly R[],
  run: (row: R) => Promise<void>,
  adapt: (row: R) => Promise<{ readonly isNew: boolean } | undefined> = () =>
    Promise.resolve(undefined),
): Promise<Failed<R>[]> {
  const failed: Failed<R>[] = [];
  for (const row of rows) {
    try {
      await run(row);
    } catch (error) {
      if (!(error instanceof Error) || !isConstraint(error)) throw error;
      const isNull = error.message.includes("NOT NULL constraint failed");
      const adapted = isNull ? await adapt(row) : undefined;
      failed.push({ row, reason: error.message, ...(adapted && { ...adapted, reason: null }) });
    }
  }
  return failed;
}

/**
 * Upserts some columns of many rows.
 *
 * @param db the writer, in a transaction
 * @param table the table
 * @param columns the columns that are written
 * @param rows the rows
 * @param nulls columns that are NULL where a row is new
 * @returns the rows that constraints forbid as they are; all others are written
 */
export async function putRows<R extends RowCells>(
  db: SqliteConnection,
  table: SyncedTable,
  columns: readonly PlacedColumn[],
  rows: readonly R[],
  nulls: readonly PlacedColumn[] = [],
): Promise<Failed<R>[]> {
  if (rows.length === 0) return [];
  const or = await OR_CLAUSE.of(db, table);
  try {
    await db.runMany(
      upsertSql(table, columns, nulls, or),
      rows.map(({ rowId, cells }) => [...keyCells(table, rowId), ...cells]),
    );
    return [];
  } catch (error) {
    if (!isConstraint(error)) throw error;
  }
  const put = { db, table, columns, nulls, or };
  return await oneByOne(
    rows,
    ({ rowId, cells }) => upsertOne(put, keyCells(table, rowId), cells),
    ({ rowId, cells }) => putWithDefaults(put, keyCells(table, rowId), cells),
  );
}

/**
 * Deletes many rows.
 *
 * @param db the writer, in a transaction
 * @param table the table
 * @param rows the rows; those that are not there are passed over
 * @returns the rows that constraints (triggers that raise) keep
 */
export async function deleteRows<R extends { readonly rowId: string }>(
  db: SqliteConnection,
  table: SyncedTable,
  rows: readonly R[],
): Promise<Failed<R>[]> {
  if (rows.length === 0) return [];
  const sql = deleteSql(table);
  try {
    await db.runMany(sql, rows.map(({ rowId }) => keyCells(table, rowId)));
    return [];
  } catch (error) {
    if (!isConstraint(error)) throw error;
  }
  return await oneByOne(rows, async ({ rowId }) => {
    await db.run(sql, keyCells(table, rowId));
  });
}
