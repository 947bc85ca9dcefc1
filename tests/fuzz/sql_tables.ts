/**
 * How a random app declares the tables that it syncs: every way that the client adopts.
 *
 * @module
 */

import type { ColumnType } from "@lakesync/core";
import type { Choices } from "./choices.ts";
import { goodValue } from "./sql_values.ts";
import type { AppColumn, AppTable } from "./sql_world.ts";

/** Declared types under which a type's values stay what they are, the strict ones first. */
const DECLARED: Readonly<Record<string, readonly string[]>> = {
  string: ["TEXT", "BLOB", "ANY", "VARCHAR(9)", ""],
  integer: ["INTEGER", "INT", "ANY", "BIGINT", "NUMERIC"],
  number: ["REAL", "INTEGER", "ANY", "DOUBLE", "NUMERIC"],
  boolean: ["INTEGER", "INT", "ANY", "BOOLEAN", "NUMERIC"],
  timestamp: ["TEXT", "BLOB", "ANY", "DATETIME", "NCHAR(30)"],
  date: ["TEXT", "ANY", "ANY", "DATE", ""],
  uuid: ["TEXT", "BLOB", "ANY", "UUID", "CHAR(36)"],
  bytes: ["BLOB", "TEXT", "ANY", "", "REAL"],
  json: ["TEXT", "ANY", "ANY", "JSON", "CLOB"],
  decimal: ["TEXT", "BLOB", "ANY", "VARCHAR", ""],
};
const STRICT_TYPES = 3;
const ACTIONS = ["", "CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"] as const;

/** A table's declaration. */
export interface Written {
  /** The statements that make it; none when the client is to make it. */
  readonly ddl: readonly string[];
  /** Columns of the app beside those that are synced. */
  readonly more: readonly AppColumn[];
  /** Whether its rows have a rowid. */
  readonly hasRowid: boolean;
}

/** Quotes a name. */
export function quoted(name: string): string {
  return `"${name}"`;
}

function declared(c: Choices, type: ColumnType, strict: boolean): string {
  const [name = ""] = type.split("(");
  const types = DECLARED[name] ?? ["TEXT"];
  return c.pick(strict ? types.slice(0, STRICT_TYPES) : types);
}

/** A foreign key of a column to a table whose key is one column of the same type. */
function reference(c: Choices, column: AppColumn, others: readonly AppTable[]): string {
  const parents = others.flatMap(({ name, columns }) => {
    const keys = columns.filter(({ key }) => key);
    const [only] = keys;
    return keys.length === 1 && only?.type === column.type ? [{ name, key: only.name }] : [];
  });
  if (parents.length === 0 || c.oneIn(3)) return "";
  const { name, key } = c.pick(parents);
  const onDelete = c.pick(ACTIONS);
  const onUpdate = c.pick(ACTIONS);
  return ` REFERENCES ${quoted(name)} (${quoted(key)})` +
    (onDelete === "" ? "" : ` ON DELETE ${onDelete}`) +
    (onUpdate === "" ? "" : ` ON UPDATE ${onUpdate}`) +
    (c.oneIn(3) ? " DEFERRABLE INITIALLY DEFERRED" : "");
}

function constraints(c: Choices, column: AppColumn, others: readonly AppTable[]): string {
  const value = goodValue(c, column.type, column.merge === "set");
  const kind = c.below(12);
  if (kind === 1) return ` DEFAULT (${value})`;
  if (kind === 2) return ` NOT NULL DEFAULT (${value})`;
  if (kind === 3) return " UNIQUE";
  if (kind === 4) return " COLLATE NOCASE";
  if (kind === 5) return " UNIQUE ON CONFLICT REPLACE";
  if (kind === 6) return ` CHECK (${quoted(column.name)} IS NOT ${value})`;
  if (kind === 7) return " COLLATE NOCASE UNIQUE";
  return kind > 7 ? reference(c, column, others) : "";
}

function moreColumns(c: Choices, first: string): { sql: string[]; more: AppColumn[] } {
  const sql: string[] = [];
  const more: AppColumn[] = [];
  if (c.oneIn(3)) {
    sql.push("note TEXT DEFAULT 'n'");
    more.push({ name: "note", type: "string", merge: "lww", synced: false, key: false });
  }
  if (c.oneIn(4)) {
    sql.push(`gen TEXT AS (${quoted(first)} || 'g') ${c.pick(["VIRTUAL", "STORED"])}`);
  }
  return { sql, more };
}

function indexes(c: Choices, table: string, columns: readonly AppColumn[]): string[] {
  const others = columns.filter(({ key }) => !key);
  if (others.length === 0 || !c.oneIn(3)) return [];
  const name = quoted(c.pick(others).name);
  const on = `ON ${quoted(table)}`;
  return [c.pick([
    `CREATE INDEX ${quoted(`${table}_i`)} ${on} (${name} DESC)`,
    `CREATE INDEX ${quoted(`${table}_i`)} ${on} (lower(${name})) WHERE ${name} IS NOT NULL`,
    `CREATE UNIQUE INDEX ${quoted(`${table}_u`)} ${on} (${name}) WHERE ${name} IS NOT NULL`,
  ])];
}

/**
 * Writes the declaration of a table.
 *
 * @param c what chooses
 * @param table its name
 * @param columns the columns that are synced
 * @param others the tables before it, to which it may refer
 */
export function writeTable(
  c: Choices,
  table: string,
  columns: readonly AppColumn[],
  others: readonly AppTable[],
): Written {
  if (c.oneIn(5)) return { ddl: [], more: [], hasRowid: true };
  const keys = columns.filter(({ key }) => key);
  const [only] = keys;
  const alias = keys.length === 1 && only?.type === "integer" && c.oneIn(2);
  const strict = c.oneIn(4);
  const hasRowid = alias || !c.oneIn(4);
  const unique = !alias && hasRowid && c.oneIn(4);
  const sql = columns.map((column) => {
    const name = quoted(column.name);
    if (column.key) {
      if (alias) return `${name} INTEGER PRIMARY KEY${c.oneIn(2) ? " AUTOINCREMENT" : ""}`;
      return `${name} ${declared(c, column.type, strict)}`;
    }
    return `${name} ${declared(c, column.type, strict)}${constraints(c, column, others)}`;
  });
  const { sql: moreSql, more } = moreColumns(c, only?.name ?? "id");
  sql.push(...moreSql);
  const names = keys.map(({ name }) => quoted(name)).join(", ");
  if (!alias) sql.push(`${unique ? "UNIQUE" : "PRIMARY KEY"} (${names})`);
  const options = [...(strict ? ["STRICT"] : []), ...(hasRowid ? [] : ["WITHOUT ROWID"])];
  return {
    ddl: [
      `CREATE TABLE ${quoted(table)} (${sql.join(", ")}) ${options.join(", ")}`,
      ...indexes(c, table, columns),
    ],
    more,
    hasRowid,
  };
}
