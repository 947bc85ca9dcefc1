/**
 * Which columns get a dictionary. Where few values repeat, a dictionary makes files smaller and
 * readers faster; where most differ, making one only costs time before it is given up. Other
 * encodings are not used: readers of Iceberg that read many values at once know plain values and
 * dictionaries only.
 *
 * @module
 */

import type { Column } from "../columns/column.ts";
import { isNull } from "../columns/layout.ts";
import { singleValue } from "./bounds.ts";

const SAMPLES = 256;
/** A dictionary is made when each value comes so often in the samples, or more. */
const MIN_REPEATS = 4;

const decoder = new TextDecoder("latin1");

/**
 * Judges by samples whether values of a column repeat.
 *
 * @param column the column
 * @returns whether a dictionary pays
 */
export function repeats(column: Column): boolean {
  const seen = new Set<string>();
  let taken = 0;
  const step = Math.max(1, column.length / SAMPLES);
  for (let at = 0; at < column.length; at += step) {
    const row = Math.floor(at);
    if (isNull(column, row)) continue;
    taken++;
    seen.add(decoder.decode(singleValue(column, row)));
  }
  return seen.size * MIN_REPEATS <= taken;
}
