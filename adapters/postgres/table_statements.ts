/**
 * The statements of a materialised table. Columns are matched by number of their place, so that the
 * text is the same for as long as the table is.
 *
 * @module
 */

import { keyOf, type Value } from "@lakesync/core";
import type { TableLayout } from "../database/backend.ts";
import { type OwnTables, quoteName } from "./names.ts";
import { arrayText, elementType, encoderOf } from "./values.ts";

/** The statements of a table. */
export interface TableStatements {
  /** Takes one array for each column. */
  readonly upsert: string;
  /** Takes one array for each column of the key. */
  readonly remove: string;
  /** Takes one array for each column of the key, and the rowIds. */
  readonly missing: string;
  /** Likewise; undefined for a table without `props`. */
  readonly keepProps: string | undefined;
  /** Likewise. */
  readonly restoreProps: string | undefined;
}

const known = new WeakMap<TableLayout, TableStatements>();

/**
 * The statements of a table.
 *
 * @param own the schema they are in
 * @param layout the table
 */
export function tableStatements(own: OwnTables, layout: TableLayout): TableStatements {
  let statements = known.get(layout);
  if (statements === undefined) known.set(layout, statements = compose(own, layout));
  return statements;
}

/**
 * The keys of rows, one array for each column of the key. A rowId that is none of the table is null.
 *
 * @param layout the table
 * @param rowIds the rows
 */
export function keyArrays({ table, key }: TableLayout, rowIds: readonly string[]): string[] {
  const keys = rowIds.map((rowId) => keyOf(table, rowId));
  return key.map(({ column }, i) => {
    const values = keys.map((values): Value =>
      typeof values === "string" ? null : values[i] ?? null
    );
    return arrayText(values, encoderOf(column.type));
  });
}

function compose(
  own: OwnTables,
  { id, table, columns, key, extras }: TableLayout,
): TableStatements {
  const name = own.table(table.name);
  const nameOf = (each: TableLayout["columns"][number]) => quoteName(each.column.name);
  const array = (each: TableLayout["columns"][number], i: number) =>
    `$${i + 1}::${elementType(each.native)}[]`;
  const keyNames = key.map(nameOf);
  const keyList = key.map((_, i) => `k${i}`);
  const rowIds = `$${key.length + 1}::text[]`;
  const keyed = `unnest(${[...key.map(array), rowIds].join(", ")}) ` +
    `AS u (${[...keyList, "row_id"].join(", ")})`;
  const isRow = key.map((each, i) => `t.${nameOf(each)} = u.k${i}`).join(" AND ");
  const others = columns.filter(({ column }) => !column.key).map(nameOf);
  const stamped = extras.has("synced_at") ? ["synced_at"] : [];
  const updates = [...others, ...stamped].map((each) => `${each} = excluded.${each}`);
  const isKept = `s.table_id = ${id} AND s.row_id = u.row_id`;
  const hasProps = extras.has("props");
  return {
    upsert: `INSERT INTO ${name} (${[...columns.map(nameOf), ...stamped].join(", ")}) ` +
      `SELECT ${[...columns.map((_, i) => `c${i}`), ...stamped.map(() => "now()")].join(", ")} ` +
      `FROM unnest(${columns.map(array).join(", ")}) ` +
      `AS u (${columns.map((_, i) => `c${i}`).join(", ")}) ` +
      `ON CONFLICT (${keyNames.join(", ")}) DO ` +
      (updates.length === 0 ? "NOTHING" : `UPDATE SET ${updates.join(", ")}`),
    remove: `DELETE FROM ${name} t USING unnest(${key.map(array).join(", ")}) ` +
      `AS u (${keyList.join(", ")}) WHERE ${isRow}`,
    missing: `SELECT u.row_id FROM ${keyed} ` +
      `WHERE NOT EXISTS (SELECT 1 FROM ${name} t WHERE ${isRow})`,
    keepProps: hasProps
      ? `UPDATE ${own.state} s SET kept_props = t.props FROM ${keyed} JOIN ${name} t ON ${isRow} ` +
        `WHERE ${isKept} AND t.props <> '{}'`
      : undefined,
    restoreProps: hasProps
      ? `UPDATE ${name} t SET props = s.kept_props FROM ${keyed} JOIN ${own.state} s ` +
        `ON ${isKept} WHERE ${isRow} AND s.kept_props IS NOT NULL`
      : undefined,
  };
}
