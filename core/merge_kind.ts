/**
 * Merge kinds as the merge needs them: how concurrent writes of one column become one value, and
 * by which order `max` and `min` choose.
 *
 * Every order is total: values that are equal as numbers or times but are not written alike
 * (`1.0` and `1.00`) are ordered by how they are written, so all replicas choose the same one.
 *
 * @module
 */

import type { Column } from "./schema.ts";
import { decimalParts, type Value } from "./value.ts";

/**
 * How the writes of one column merge. `max` and `min` alone compare numbers by value and text by
 * Unicode code points (as SQLite and UTF-8 do); texts that stand for a time or a number are
 * compared as what they stand for.
 */
export type CellKind =
  | "lww"
  | "counter"
  | "set"
  | ExtremeKind;

/** A {@linkcode CellKind} that keeps the greatest or the least value. */
export type ExtremeKind =
  | "max"
  | "min"
  | "max:timestamp"
  | "min:timestamp"
  | "max:decimal"
  | "min:decimal";

/** Orders two values of one column: negative, zero only for the same value, or positive. */
export type ValueOrder = (a: Value, b: Value) => number;

/**
 * Tells how a column's writes merge.
 *
 * @param column its type and merge kind
 * @returns its kind
 */
export function kindOf(column: Pick<Column, "type" | "merge">): CellKind {
  const { merge, type } = column;
  if (merge !== "max" && merge !== "min") return merge;
  if (type === "timestamp") return `${merge}:timestamp`;
  return decimalParts(type) === undefined ? merge : `${merge}:decimal`;
}

/**
 * The order by which a column's greatest value is kept; for the kinds of `min` it is turned round.
 *
 * @param kind a kind
 * @returns its order
 */
export function orderOf(kind: ExtremeKind): ValueOrder {
  switch (kind) {
    case "max":
      return compareValues;
    case "min":
      return (a, b) => compareValues(b, a);
    case "max:timestamp":
      return compareTimes;
    case "min:timestamp":
      return (a, b) => compareTimes(b, a);
    case "max:decimal":
      return compareDecimals;
    case "min:decimal":
      return (a, b) => compareDecimals(b, a);
  }
}

function compareValues(a: Value, b: Value): number {
  if (typeof a === "string" || typeof b === "string") return compareText(String(a), String(b));
  if (a === null || b === null || typeof a === "object" || typeof b === "object") return 0;
  if (a < b) return -1;
  if (a > b) return 1;
  return Number(Object.is(b, -0)) - Number(Object.is(a, -0));
}

/** A code unit's place in the order of code points: surrogates come after all others. */
function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return codePointRank(x) - codePointRank(y);
  }
  return a.length - b.length;
}

/** All times are in UTC and differ in length by their fraction alone, which the `Z` would outrank. */
function compareTimes(a: Value, b: Value): number {
  return compareText(String(a).replace("Z", ""), String(b).replace("Z", ""));
}

function compareDecimals(a: Value, b: Value): number {
  const [x, y] = [String(a), String(b)];
  const [minusX, minusY] = [x.startsWith("-"), y.startsWith("-")];
  if (minusX !== minusY) return minusX ? -1 : 1;
  const magnitudes = compareMagnitudes(x, y);
  if (magnitudes !== 0) return minusX ? -magnitudes : magnitudes;
  return compareText(x, y);
}

function compareMagnitudes(a: string, b: string): number {
  const [wholeA = "", fractionA = ""] = a.replace("-", "").split(".");
  const [wholeB = "", fractionB = ""] = b.replace("-", "").split(".");
  return wholeA.length - wholeB.length || compareText(wholeA, wholeB) ||
    compareText(fractionA.replace(/0+$/, ""), fractionB.replace(/0+$/, ""));
}
