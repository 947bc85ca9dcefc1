/**
 * The app's tables: made from the schema when they are not there, checked and completed when
 * they are.
 *
 * @module
 */

import {
  type Column,
  type ColumnType,
  LakeSyncError,
  type Schema,
  type Table,
} from "@lakesync/core";
import type { SqliteConnection, SqlRow } from "./database/driver.ts";
import { quoteName, quoteText } from "./sql.ts";

/** SQLite's rules for a declared type (sqlite.org/datatype3.html, section 3.1). */
type Affinity = "INTEGER" | "TEXT" | "BLOB" | "REAL" | "NUMERIC";

function affinityOf(declared: string): Affinity {
  const type = declared.toUpperCase();
  if (type.includes("INT")) return "INTEGER";
  if (/CHAR|CLOB|TEXT/.test(type)) return "TEXT";
  if (type === "" || type === "ANY" || type.includes("BLOB")) return "BLOB";
  if (/REAL|FLOA|DOUB/.test(type)) return "REAL";
  return "NUMERIC";
}

/** The affinities under which a type's values stay what they are; the first is what is made. */
const AFFINITIES: Readonly<Record<string, readonly Affinity[]>> = {
  string: ["TEXT", "BLOB"],
  integer: ["INTEGER", "NUMERIC", "BLOB"],
  number: ["REAL", "NUMERIC", "INTEGER", "BLOB"],
  boolean: ["INTEGER", "NUMERIC", "BLOB"],
  timestamp: ["TEXT", "NUMERIC", "BLOB"],
  date: ["TEXT", "NUMERIC", "BLOB"],
  uuid: ["TEXT", "NUMERIC", "BLOB"],
  bytes: ["BLOB", "TEXT", "NUMERIC", "INTEGER", "REAL"],
  json: ["TEXT", "NUMERIC", "BLOB"],
  decimal: ["TEXT", "BLOB"],
};

function affinitiesOf(type: ColumnType): readonly Affinity[] {
  const [name = ""] = type.split("(");
  return AFFINITIES[name] ?? ["TEXT"];
}

function fail(table: string, what: string): never {
  throw new LakeSyncError(
    "SCHEMA_ERROR",
    `Table ${table} in this database ${what}`,
  );
}

function declare(column: Column): string {
  return `${quoteName(column.name)} ${affinitiesOf(column.type)[0]}${
    column.key ? " NOT NULL" : ""
  }`;
}

function createTable(table: Table): string {
  const key = table.primaryKey.map(({ name }) => quoteName(name)).join(", ");
  return `CREATE TABLE ${quoteName(table.name)} (\n  ${
    table.columns.map(declare).join(",\n  ")
  },\n  PRIMARY KEY (${key})\n)`;
}

function adoptColumn(
  table: Table,
  column: Column,
  found: SqlRow | undefined,
): string | undefined {
  if (found === undefined) {
    if (column.key) fail(table.name, `has no column ${column.name}, which is part of the key`);
    return `ALTER TABLE ${quoteName(table.name)} ADD COLUMN ${declare(column)}`;
  }
  if (found["hidden"] !== 0) {
    fail(table.name, `generates column ${column.name}, so it cannot be synced`);
  }
  const declared = String(found["type"]);
  const allowed = affinitiesOf(column.type);
  if (!allowed.includes(affinityOf(declared))) {
    fail(
      table.name,
      `declares column ${column.name} as ${declared}, which would change values of type ${column.type}; declare it as ${
        allowed[0]
      }`,
    );
  }
  return undefined;
}

async function checkKeyIndex(
  db: SqliteConnection,
  table: Table,
): Promise<void> {
  const wanted = table.primaryKey.map(({ name }) => name.toLowerCase()).sort();
  const columns = await db.all(
    `SELECT name, pk, type FROM pragma_table_info(${quoteText(table.name)}) WHERE pk > 0`,
  );
  const [only] = columns;
  if (
    columns.length === 1 && wanted.length === 1 &&
    String(only?.["name"]).toLowerCase() === wanted[0] &&
    String(only?.["type"]).toUpperCase() === "INTEGER"
  ) return;
  const indexes = await db.values(
    `SELECT name FROM pragma_index_list(${quoteText(table.name)}) WHERE "unique" AND NOT partial`,
  );
  for (const [index] of indexes) {
    const parts = await db.values(
      `SELECT lower(name), coll FROM pragma_index_xinfo(${quoteText(String(index))}) WHERE key`,
    );
    const names = parts.map(([name]) => String(name)).sort();
    const binary = parts.every(([, collation]) => collation === "BINARY");
    if (binary && names.join() === wanted.join()) return;
  }
  fail(
    table.name,
    `must have exactly (${
      table.primaryKey.map(({ name }) => name).join(", ")
    }) as its primary key, or a unique index over it, compared as BINARY`,
  );
}

async function adoptTable(
  db: SqliteConnection,
  table: Table,
): Promise<boolean> {
  const name = quoteText(table.name);
  const [found] = await db.values(
    `SELECT type, sql FROM sqlite_schema WHERE lower(name) = lower(${name}) AND type IN ('table', 'view')`,
  );
  if (found === undefined) {
    await db.script(createTable(table));
    return false;
  }
  const [type, sql] = found;
  if (type !== "table" || /^CREATE\s+VIRTUAL/i.test(String(sql))) {
    fail(table.name, "is a view or a virtual table, which cannot be synced");
  }
  const columns = new Map<string, SqlRow>();
  for (const row of await db.all(`SELECT * FROM pragma_table_xinfo(${name})`)) {
    columns.set(String(row["name"]).toLowerCase(), row);
  }
  for (const column of table.columns) {
    const missing = adoptColumn(
      table,
      column,
      columns.get(column.name.toLowerCase()),
    );
    if (missing !== undefined) await db.script(missing);
  }
  await checkKeyIndex(db, table);
  return true;
}

/**
 * Makes the app's tables fit the schema. Runs inside a transaction.
 *
 * @param db the writer
 * @param schema the schema
 * @returns the names of the tables that were there before
 * @throws {LakeSyncError} `SCHEMA_ERROR` when a table that is there cannot hold the schema's
 * values as they are
 */
export async function adoptTables(
  db: SqliteConnection,
  schema: Schema,
): Promise<string[]> {
  const adopted: string[] = [];
  for (const table of schema.tables.values()) {
    if (await adoptTable(db, table)) adopted.push(table.name);
  }
  return adopted;
}
