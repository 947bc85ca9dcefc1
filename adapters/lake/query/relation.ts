/**
 * Files of a snapshot as one relation of DuckDB: columns are found by their field ids, so those that
 * were renamed, added or widened are as the schema of now has them, and rows that position deletes
 * name are left out. Pure functions.
 *
 * @module
 */

import type { LakeField } from "../iceberg/schema.ts";
import { listSql, nameSql, textSql, typeSql } from "./sql.ts";

/** A file of data that DuckDB can open. */
export interface ReadableFile {
  /** Where it is, for DuckDB. */
  readonly path: string;
  /** Its location, by which delete files name it. */
  readonly location: string;
  /** Where the files of position deletes are that may name it, for DuckDB. */
  readonly deletes: readonly string[];
}

/** The name of the column with a row's place in its file. No column of a schema is called so. */
export const FILE_ROW = "lakesync_file_row";

/** DuckDB's name of it, as a virtual column: the option of that name fails where a file has one. */
const ROW_NUMBER = "file_row_number";

const DELETED_PATH = 2_147_483_546;
const DELETED_ROW = 2_147_483_545;

/** The columns of position deletes. */
const DELETE_FIELDS: readonly LakeField[] = [
  { id: DELETED_PATH, name: "file_path", type: "string", required: true },
  { id: DELETED_ROW, name: "pos", type: "long", required: true },
];

/** What a column is called while it is read: a user's may be called like one of DuckDB's own. */
function readName(id: number): string {
  return `lakesync_${id}`;
}

function mapSql(fields: readonly LakeField[]): string {
  const entries = fields.map(({ id, type }) =>
    `${id}: {name: '${readName(id)}', type: ${textSql(typeSql(type))}, default_value: NULL}`
  );
  return `MAP {${entries.join(", ")}}`;
}

function readSql(
  fields: readonly LakeField[],
  paths: readonly string[],
  more: string = "",
): string {
  return `read_parquet(${listSql(paths)}, schema = ${mapSql(fields)}${more})`;
}

/**
 * Writes a query over files.
 *
 * @param fields the columns of now; at least one
 * @param files the files; when there are none the query has no rows
 * @returns a query with these columns, and {@linkcode FILE_ROW}
 */
export function relationSql(fields: readonly LakeField[], files: readonly ReadableFile[]): string {
  const read = fields.map(({ id, name }) => `${readName(id)} AS ${nameSql(name)}`);
  const columns = [...read, `${ROW_NUMBER} AS ${FILE_ROW}`].join(", ");
  const whole = files.filter(({ deletes }) => deletes.length === 0);
  const parts: string[] = [];
  if (whole.length > 0) {
    const files = readSql(fields, whole.map(({ path }) => path));
    parts.push(`SELECT ${columns} FROM ${files}`);
  }
  const torn = files.filter(({ deletes }) => deletes.length > 0);
  if (torn.length > 0) parts.push(tornSql(fields, columns, torn));
  if (parts.length > 0) return parts.join(" UNION ALL ");
  const nulls = fields.map(({ name, type }) => `NULL::${typeSql(type)} AS ${nameSql(name)}`);
  return `SELECT ${nulls.join(", ")}, NULL::BIGINT AS ${FILE_ROW} WHERE false`;
}

/** Files of which rows are gone: delete files name them by their locations. */
function tornSql(
  fields: readonly LakeField[],
  columns: string,
  files: readonly ReadableFile[],
): string {
  const more = ", filename = 'lakesync_file'";
  const read = readSql(fields, files.map(({ path }) => path), more);
  const places = files.map(({ path, location }) => `(${textSql(path)}, ${textSql(location)})`);
  const deletes = readSql(DELETE_FIELDS, [...new Set(files.flatMap(({ deletes }) => deletes))]);
  return `SELECT ${columns} FROM ${read} AS kept WHERE NOT EXISTS (
    SELECT 1 FROM ${deletes} AS gone
    JOIN (VALUES ${places.join(", ")}) AS named(path, location) ON gone.${
    readName(DELETED_PATH)
  } = named.location
    WHERE named.path = kept.lakesync_file AND gone.${readName(DELETED_ROW)} = kept.${ROW_NUMBER})`;
}
