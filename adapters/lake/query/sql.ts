/**
 * Pieces of SQL for DuckDB. Pure functions.
 *
 * @module
 */

import type { LakeType } from "../iceberg/schema.ts";

/** Writes a text. */
export function textSql(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Writes a name. */
export function nameSql(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Writes a list of texts. */
export function listSql(texts: readonly string[]): string {
  return `[${texts.map(textSql).join(", ")}]`;
}

const TYPES: Readonly<Record<string, string>> = {
  boolean: "BOOLEAN",
  int: "INTEGER",
  long: "BIGINT",
  double: "DOUBLE",
  date: "DATE",
  timestamptz: "TIMESTAMP WITH TIME ZONE",
  string: "VARCHAR",
  binary: "BLOB",
};

/**
 * The type that DuckDB has for a type of the lake.
 *
 * @param type the type
 */
export function typeSql(type: LakeType): string {
  return TYPES[type] ?? type.toUpperCase();
}
