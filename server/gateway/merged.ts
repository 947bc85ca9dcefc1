/**
 * The values that the merge made of counters, greatest and least values and sets, for the log.
 *
 * @module
 */

import { forEachCell, type RowState, type Value } from "@lakesync/core";
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
