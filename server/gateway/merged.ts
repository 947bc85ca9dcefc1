/**
 * What the merge made of a row beside the values that a delta carries, for the log: counters,
 * greatest and least values and sets, and what is left of a row that lost cells.
 *
 * @module
 */

import { forEachCell, type RowState, type Stamp, type Value } from "@lakesync/core";
import type { JudgedDelta } from "./judge.ts";
import type { Outcome } from "./log.ts";

/**
 * Reads the merged values of a delta's columns that are not `lww`.
 *
 * @param judged the delta
 * @param state the row after it
 * @returns the field of an outcome; empty where all columns are `lww`
 */
export function mergedOf({ compiled }: JudgedDelta, state: RowState): Pick<Outcome, "merged"> {
  const { kinds, columns, places } = compiled;
  if (kinds === undefined) return {};
  const values = new Map<number, Value>();
  forEachCell(state, (column, value) => values.set(column, value));
  const merged: (readonly [number, Value])[] = [];
  for (const [i, column] of columns.entries()) {
    if (kinds[i] === "lww") continue;
    merged.push([places[i] ?? 0, values.get(column) ?? null]);
  }
  return { merged };
}

/**
 * Tells what is left of a row where a delta took away cells that it does not name, or found none.
 *
 * @param judged the delta
 * @param before the row before it
 * @param after the row after it
 * @param waited whether cells waited in the row for its INSERT, and may have been dropped by it
 * @returns the field of an outcome; empty where all cells that the delta does not name are as before
 */
export function leftOf(
  { compiled }: JudgedDelta,
  before: RowState,
  after: RowState,
  waited: boolean,
): Pick<Outcome, "left"> {
  const wasBare = before.cells.length === 0 && (before.merged?.length ?? 0) === 0;
  if (compiled.op !== "DELETE") {
    if (wasBare) return { left: "own" };
    return waited && compiled.op === "INSERT" ? { left: cellsOf(after) } : {};
  }
  const left = cellsOf(after);
  return { left: left.length === 0 ? "own" : left };
}

/**
 * Every cell of a row, seen or not.
 *
 * @param state the row
 * @returns column numbers and values, ascending by column
 */
export function cellsOf(state: RowState): readonly (readonly [column: number, value: Value])[] {
  const cells: (readonly [number, Value])[] = [];
  forEachCell(state, (column, value) => cells.push([column, value]));
  return cells.sort(([a], [b]) => a - b);
}

/**
 * Every cell of a row, seen or not, with the stamp of the write that gave it; cells that many writes
 * gave together have none.
 *
 * @param state the row
 * @returns column numbers, values and stamps, ascending by column
 */
export function stampedCells(
  state: RowState,
): readonly (readonly [column: number, value: Value, stamp: Stamp | undefined])[] {
  const stamps = new Map<number, Stamp>();
  for (const { hlc, clientId, columns } of state.cells) {
    for (const column of columns) stamps.set(column, { hlc, clientId });
  }
  return cellsOf(state).map(([column, value]) => [column, value, stamps.get(column)]);
}
