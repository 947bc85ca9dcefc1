/**
 * Which rows are referenced by others. Pure functions.
 *
 * @module
 */

import { keyOf, rowIdOf } from "@lakesync/core";
import type { DestinationSchema, DestinationTable, LatestState } from "./adapter.ts";
import { nameOfKey } from "./place.ts";

interface Reference {
  readonly column: number;
  /** The place in the key; -1 when the column is not of the key. */
  readonly place: number;
  readonly target: DestinationTable;
}

/**
 * Finds the rows that other rows reference which readers see. A row that references itself does not
 * count.
 *
 * @param schema the tables
 * @param rows all rows
 * @returns the names of the referenced rows, there or not
 */
export function referencesOf(
  schema: DestinationSchema | undefined,
  rows: Iterable<LatestState>,
): ReadonlySet<string> {
  const names = new Set<string>();
  const tables = new Map(schema?.tables.map((table) => [table.id, table]));
  const references = new Map(
    [...tables.values()].map((table) => [table.id, outgoing(table, [...tables.values()])]),
  );
  for (const { key, isVisible, cells } of rows) {
    const table = tables.get(key.table)?.table;
    if (!isVisible || table === undefined) continue;
    for (const { column, place, target } of references.get(key.table) ?? []) {
      const value = place < 0
        ? cells.find(([each]) => each === column)?.[1]
        : keyOf(table, key.rowId)[place];
      if (value === undefined || value === null) continue;
      const name = nameOfKey({ table: target.id, rowId: rowIdOf(target.table, [value]) });
      if (name !== nameOfKey(key)) names.add(name);
    }
  }
  return names;
}

/** The columns of a table that hold the key of another; keys of several columns are left out. */
function outgoing(
  { table, columnIds }: DestinationTable,
  all: readonly DestinationTable[],
): readonly Reference[] {
  return table.columns.flatMap((column, i): readonly Reference[] => {
    const target = all.find(({ table: { name } }) => name === column.references);
    if (target === undefined || target.table.primaryKey.length !== 1) return [];
    return [{ column: columnIds[i] ?? 0, place: table.primaryKey.indexOf(column), target }];
  });
}
