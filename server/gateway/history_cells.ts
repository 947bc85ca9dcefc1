/**
 * What a change of the log made of its row, by the numbers of table and columns. Pure functions.
 *
 * @module
 */

import type { Delta, Hlc } from "@lakesync/core";
import type { CatalogVersion } from "./catalog.ts";
import type { HistoryEffect, NumberedCell } from "./history.ts";
import type { Outcome } from "./log.ts";

/**
 * Tells what a change made of its row.
 *
 * @param version the schema version whose names the delta uses
 * @param delta the change, stamped
 * @param clientId who made it
 * @param outcome what the merge made of it
 * @returns undefined when the version has no such table or column, which no delta of the log has
 */
export function changedCells(
  version: CatalogVersion,
  delta: Delta & { readonly hlc: Hlc },
  clientId: string,
  outcome: Outcome,
): HistoryEffect | undefined {
  const compiled = version.compile(delta.shape);
  if (typeof compiled === "string") return undefined;
  const { wasVisible, isVisible, won, merged, left } = outcome;
  const key = { table: compiled.table.id, rowId: delta.rowId };
  const after = { key, wasVisible, isVisible, replaces: left !== undefined };
  const stamp = { hlc: delta.hlc, clientId };
  if (left !== undefined && left !== "own") return { ...after, cells: left };
  const values = new Map(merged);
  const cells: NumberedCell[] = [];
  for (const [i, column] of compiled.columns.entries()) {
    const place = compiled.places[i] ?? 0;
    const wins = won === "all" || (won !== "none" && won[place] === true);
    if (!wins) continue;
    const value = values.has(place) ? values.get(place) : delta.values[place];
    cells.push([column, value ?? null, stamp]);
  }
  return { ...after, cells };
}

/**
 * The numbers of the columns that a shape names, the key's included.
 *
 * @param version the schema version whose names it uses
 * @param shape the shape
 * @returns undefined when the version has no such table or column
 */
export function numbersOf(
  version: CatalogVersion,
  { table, columns }: Delta["shape"],
): readonly number[] | undefined {
  const byName = version.table(table)?.byName;
  const numbers = columns.flatMap((name) => byName?.get(name)?.id ?? []);
  return numbers.length === columns.length ? numbers : undefined;
}
