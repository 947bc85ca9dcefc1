/**
 * The rows of a table as SQL: what its changes make of the rows that were there before. Each change
 * has its effect as `changes.ts` and `effects.ts` of the flush write it; most say it themselves, the
 * others have it as JSON. Pure functions.
 *
 * @module
 */

import type { ColumnField, LakeColumn, LakeTable } from "../flush/layout.ts";
import { fromJsonSql } from "./json_values.ts";
import { FILE_ROW } from "./relation.ts";
import { nameSql, typeSql } from "./sql.ts";

/** What rows are made of; all are queries. */
export interface FoldSources {
  /** Rows as they were, with the table's fields; undefined when there were none. */
  readonly rows: string | undefined;
  /** Rows that readers did not see, with their cells; undefined when there were none. */
  readonly hidden: string | undefined;
  /** Whether so many rows have changed that the others need no road of their own; else they have. */
  readonly isMostlyChanged?: boolean;
  /** Changes since, with the fields of a table of changes and their place in the file. */
  readonly changes: string;
}

/** Whether a change says itself what it did. */
const PLAIN = "_effect IS NULL";

/** A change after which its row is as it was: nobody knows its effect, it is to be set later. */
const NO_EFFECT = `(_effect IS NOT NULL AND _op <> 'SET' AND
  (json_extract(_effect, '$.unsettles') IS NOT NULL OR
   json_extract(_effect, '$.unknown') IS NOT NULL))`;

/** The order of changes: commit, slice (null is after all of them), place in the file. */
export const PLACE: string = `(_seq::HUGEINT * 18446744073709551616 +
  (COALESCE(_slice, 2147483647)::BIGINT * 4294967296 + ${FILE_ROW}))`;

/** What a change's JSON says, read once for all columns; null where there is none. */
const READ: readonly string[] = [
  `from_json(json_extract(_effect, '$.numbers'), '["INTEGER"]') AS lakesync_numbers`,
  `from_json(json_extract(_effect, '$.lost'), '["INTEGER"]') AS lakesync_lost`,
  "json_extract(_effect, '$.cells') AS lakesync_cells",
  "(_effect ->> '$.replaces')::BOOLEAN AS lakesync_replaces",
  "(_effect ->> '$.visible')::BOOLEAN AS lakesync_visible",
];

const REPLACES = "COALESCE(lakesync_replaces, _op <> 'UPDATE')";
const VISIBLE = "COALESCE(lakesync_visible, _op <> 'DELETE')";

/** A column on its way through the fold. */
interface FoldColumn {
  /** SQL of its value in a row. */
  readonly value: string;
  /** SQL of the value that a change gives it. */
  readonly given: string;
  /** SQL of whether a change gives it one, be it null. */
  readonly isSet: string;
  /** Its names in the fold. */
  readonly as: string;
  readonly set: string;
  /** Its name in the end. */
  readonly name: string;
}

/**
 * Writes a query for the rows of a table.
 *
 * @param table the table
 * @param sources what they are made of
 * @returns a query with the table's columns, one for each column of the schema
 */
export function foldSql(table: LakeTable, sources: FoldSources): string {
  const { rows, isMostlyChanged = false } = sources;
  const columns = table.columns.filter(({ isKey }) => !isKey)
    .map((column, i) => foldColumn(table, column, i));
  const shown = table.columns.map((column) =>
    columns.find(({ name }) => name === column.field.name)?.as ?? nameSql(column.field.name)
  );
  const made = `SELECT ${named(table, shown)} FROM (${
    foldedSql(table, columns, sources)
  }) WHERE lakesync_v`;
  if (rows === undefined || isMostlyChanged) return made;
  const same = `SELECT ${named(table, table.columns.map(valueSql))} FROM (${rows})`;
  return `${same} ANTI JOIN ${changedSql(table, sources)} UNION ALL ${made}`;
}

/** The final image of each row that has changed, and whether readers see it: `lakesync_v`. */
function foldedSql(
  table: LakeTable,
  columns: readonly FoldColumn[],
  sources: FoldSources,
): string {
  const { rows, hidden, changes, isMostlyChanged = false } = sources;
  const keys = keysSql(table);
  const given = columns.map(({ given, isSet, as, set }) => `${given} AS ${as}, ${isSet} AS ${set}`);
  const kept = columns.map(({ value, as, set }) => `${value} AS ${as}, true AS ${set}`);
  const visible = `CASE WHEN ${PLAIN} THEN _op <> 'DELETE' ELSE ${VISIBLE} END AS lakesync_v`;
  const parts = [
    `SELECT ${[keys, `${PLACE} AS lakesync_place`, visible, ...given].join(", ")}
      FROM (SELECT *, ${READ.join(", ")} FROM (${changes}) WHERE NOT ${NO_EFFECT})`,
  ];
  for (const [before, isVisible] of [[rows, true], [hidden, false]] as const) {
    if (before === undefined) continue;
    const only = isMostlyChanged ? "" : `SEMI JOIN ${changedSql(table, sources)}`;
    parts.push(`SELECT ${[keys, "-1::HUGEINT", `${isVisible}`, ...kept].join(", ")}
      FROM (${before}) ${only}`);
  }
  const last = columns.map(({ as, set }) =>
    `arg_max_null(${as}, lakesync_place) FILTER (${set}) AS ${as}`
  );
  return `SELECT ${[keys, "arg_max(lakesync_v, lakesync_place) AS lakesync_v", ...last].join(", ")}
    FROM (${parts.join(" UNION ALL ")}) GROUP BY ${keys}`;
}

/** What to join with to tell the rows that have changed from the others. */
function changedSql(table: LakeTable, { changes }: FoldSources): string {
  const keys = keysSql(table);
  return `(SELECT DISTINCT ${keys} FROM (${changes}) WHERE NOT ${NO_EFFECT}) AS changed
    USING (${keys})`;
}

function keysSql({ columns }: LakeTable): string {
  return columns.filter(({ isKey }) => isKey).map(({ field }) => nameSql(field.name)).join(", ");
}

/** Expressions under the names of a table's columns. */
function named({ columns }: LakeTable, list: readonly string[]): string {
  return list.map((sql, i) => `${sql} AS ${nameSql(columns[i]?.field.name ?? "")}`).join(", ");
}

/**
 * A column's value: that of its field, or of the one that it had before it was widened.
 *
 * @param column the column
 * @returns SQL of its type of now
 */
export function valueSql({ field, former }: LakeColumn): string {
  const name = nameSql(field.name);
  if (former.length === 0) return name;
  return `COALESCE(${
    [name, ...former.toReversed().map((old) => widenedSql(old, field))].join(", ")
  })`;
}

function widenedSql(old: ColumnField, { type }: ColumnField): string {
  const name = nameSql(old.name);
  if (type !== "string") return `CAST(${name} AS ${typeSql(type)})`;
  if (old.type === "date") return dateTextSql(name);
  if (old.type !== "timestamptz") return name;
  const utc = `timezone('UTC', ${name})`;
  const digits = `CASE WHEN epoch_us(${name}) % 1000 = 0 THEN strftime(${utc}, '.%gZ')
    ELSE strftime(${utc}, '.%fZ') END`;
  return `${dateTextSql(utc)} || strftime(${utc}, 'T%H:%M:%S') || ${digits}`;
}

/** The year 0000 is the year 1 BC to DuckDB, and has no text of four digits there. */
function dateTextSql(sql: string): string {
  return `printf('%04d-%02d-%02d', year(${sql}), month(${sql}), day(${sql}))`;
}

function foldColumn(table: LakeTable, column: LakeColumn, i: number): FoldColumn {
  const { number, field } = column;
  const names = [...table.names].filter(([, other]) => other === number).map(([name]) => name);
  const named = names.map((name) => `contains(_changed, '"${name}"')`);
  const isNamed = (op: string) => `(${[op, ...named].join(" OR ")})`;
  const isWritten = `CASE WHEN lakesync_numbers IS NULL THEN ${isNamed("_op = 'SET'")}
    ELSE list_contains(lakesync_numbers, ${number}) END
    AND COALESCE(NOT list_contains(lakesync_lost, ${number}), true)`;
  const found = `json_extract(lakesync_cells, '$[*][2]."${number}"')`;
  const hasCell = `(lakesync_cells IS NOT NULL AND len(${found}) > 0)`;
  const value = valueSql(column);
  const json = fromJsonSql(`${found}[1]`, field.type, field.from);
  const isSet = `CASE WHEN ${PLAIN} THEN ${isNamed("_op <> 'UPDATE'")}
    ELSE ${REPLACES} OR ${hasCell} OR (${isWritten}) END`;
  const given = `CASE WHEN ${PLAIN} THEN ${value} WHEN ${hasCell} THEN ${json}
    WHEN ${isWritten} THEN ${value} ELSE NULL::${typeSql(field.type)} END`;
  return { value, given, isSet, as: `lakesync_c${i}`, set: `lakesync_s${i}`, name: field.name };
}
