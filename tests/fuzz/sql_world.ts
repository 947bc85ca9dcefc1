/**
 * A random app: what it syncs, and everything else that it keeps in the same database.
 *
 * @module
 */

import type { ColumnSpec, ColumnType, MergeKind, SchemaSpec, TableSpec } from "@lakesync/core";
import type { Choices } from "./choices.ts";
import { writeTable } from "./sql_tables.ts";
import { goodValue } from "./sql_values.ts";
import { writeTriggers, writeViews } from "./sql_triggers.ts";

/** A column that the app writes. */
export interface AppColumn {
  /** Its name. */
  readonly name: string;
  /** The type of its values. */
  readonly type: ColumnType;
  /** How it is merged, when it is synced. */
  readonly merge: MergeKind;
  /** Whether it is synced. */
  readonly synced: boolean;
  /** Whether it is part of the key. */
  readonly key: boolean;
}

/** A table, or a view with triggers in place of writing. */
export interface AppTable {
  /** Its name. */
  readonly name: string;
  /** What the app writes; no generated columns. */
  readonly columns: readonly AppColumn[];
  /** Whether it is a table that is synced. */
  readonly synced: boolean;
  /** Whether its rows have a rowid. */
  readonly hasRowid: boolean;
}

/** An app. */
export interface World {
  /** What is synced. */
  readonly schema: SchemaSpec;
  /** The tables and views that statements name. */
  readonly tables: readonly AppTable[];
  /** What made them before the database was opened. */
  readonly ddl: readonly string[];
  /** Triggers and views, made by the app while it runs. */
  readonly lateDdl: readonly string[];
  /** Rows that were there before; each statement adds one, which fits. */
  readonly rows: readonly string[];
  /** Whether the database is a file, and not in memory. */
  readonly onDisk: boolean;
}

const TYPES: readonly ColumnType[] = [
  "string",
  "integer",
  "number",
  "boolean",
  "timestamp",
  "date",
  "uuid",
  "decimal(10,2)",
  "bytes",
  "json",
];
const KEY_TYPES: readonly ColumnType[] = [
  "string",
  "integer",
  "uuid",
  "date",
  "timestamp",
  "decimal(10,2)",
];
const TABLE_NAMES = ["notes", "Order", "select", "_x"] as const;
const KEY_NAMES = ["id", "Group", "k2"] as const;
const COLUMN_NAMES = ["a", "B", "from", "n", "index", "new"] as const;

function mergeOf(c: Choices, type: ColumnType): MergeKind {
  if (type === "json") return c.pick(["lww", "set"]);
  if (type === "integer") return c.pick(["lww", "counter", "max", "min"]);
  return ["number", "string", "timestamp", "date"].includes(type)
    ? c.weighted([[4, "lww"], [1, "max"], [1, "min"]])
    : "lww";
}

/** A type, often that of another table's key, so that the column may refer to it. */
function columnType(c: Choices, others: readonly AppTable[]): ColumnType {
  const keys = others.flatMap(({ columns }) => columns.filter(({ key }) => key));
  return keys.length > 0 && c.oneIn(3) ? c.pick(keys).type : c.pick(TYPES);
}

function makeColumns(c: Choices, others: readonly AppTable[]): AppColumn[] {
  const keys = c.weighted([[3, 1], [1, 2]]);
  const columns: AppColumn[] = [];
  for (let i = 0; i < keys; i++) {
    const name = KEY_NAMES[i] ?? "k3";
    columns.push({ name, type: c.pick(KEY_TYPES), merge: "lww", synced: true, key: true });
  }
  for (const name of COLUMN_NAMES.slice(0, c.below(COLUMN_NAMES.length + 1))) {
    const type = columnType(c, others);
    columns.push({ name, type, merge: mergeOf(c, type), synced: true, key: false });
  }
  return columns;
}

function specOf(columns: readonly AppColumn[]): TableSpec {
  const written = columns.map(({ name, type, merge }): [string, ColumnType | ColumnSpec] => [
    name,
    merge === "lww" ? type : { type, merge },
  ]);
  return {
    primaryKey: columns.filter(({ key }) => key).map(({ name }) => name),
    columns: Object.fromEntries(written),
  };
}

/** A row of a table that the app has made itself. */
function oldRow(c: Choices, { name, columns }: AppTable, ddl: readonly string[]): string[] {
  if (!ddl.some((sql) => sql.startsWith(`CREATE TABLE "${name}"`))) return [];
  const names = columns.map((column) => `"${column.name}"`).join(", ");
  const values = columns.map(({ type, merge }) => goodValue(c, type, merge === "set")).join(", ");
  return [`INSERT OR IGNORE INTO "${name}" (${names}) VALUES (${values})`];
}

/**
 * Makes an app.
 *
 * @param c what chooses
 */
export function makeWorld(c: Choices): World {
  const onDisk = c.oneIn(6);
  const tables: AppTable[] = [];
  const specs: [string, TableSpec][] = [];
  const ddl = ["CREATE TABLE own (k INTEGER PRIMARY KEY AUTOINCREMENT, v, w TEXT DEFAULT 'd')"];
  for (const name of TABLE_NAMES.slice(0, 1 + c.below(TABLE_NAMES.length))) {
    const columns = makeColumns(c, tables);
    specs.push([name, specOf(columns)]);
    const written = writeTable(c, name, columns, tables);
    ddl.push(...written.ddl);
    const { more, hasRowid } = written;
    tables.push({ name, columns: [...columns, ...more], synced: true, hasRowid });
  }
  const own = (name: string): AppColumn => ({
    name,
    type: "string",
    merge: "lww",
    synced: false,
    key: false,
  });
  const rows = c.oneIn(4) ? tables.flatMap((table) => oldRow(c, table, ddl)) : [];
  const synced = [...tables];
  tables.push({ name: "own", columns: [own("v"), own("w")], synced: false, hasRowid: true });
  const views = writeViews(c, synced);
  const lateDdl = [...writeTriggers(c, synced), ...views.ddl];
  return {
    schema: { version: 1, tables: Object.fromEntries(specs) },
    tables: [...tables, ...views.tables],
    ddl,
    lateDdl,
    rows,
    onDisk,
  };
}
