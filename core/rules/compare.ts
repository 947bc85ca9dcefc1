/**
 * When two values of a column are equal and which one is less. Timestamps are compared as
 * instants, decimals as numbers, text by code point, everything else as it is.
 *
 * @module
 */

import { canonicalJson } from "../delta.ts";
import type { Value } from "../value.ts";

/** The scalar values of JSON, which is what claims are when no column gives them a type. */
export const CLAIM_TYPE = "json";

/**
 * The text that equal values of a type share and no others: the canonical JSON, with trailing
 * zeros of timestamps and decimals gone.
 *
 * @param value a valid value that is not null
 * @param type the column's type, or `json` for elements of JSON arrays and for claims
 * @returns JSON
 */
export function keyText(value: Value, type: string): string {
  if (typeof value === "string") {
    if (type === "timestamp") return JSON.stringify(trimFraction(value.slice(0, -1)) + "Z");
    if (type.startsWith("decimal")) return JSON.stringify(trimDecimal(value));
  }
  return canonicalJson(value);
}

function trimFraction(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function trimDecimal(text: string): string {
  const trimmed = trimFraction(text);
  return trimmed === "-0" ? "0" : trimmed;
}

/**
 * Compares two values of one type.
 *
 * @param a a valid value that is not null
 * @param b another
 * @param type the column's type, or `json` for claims
 * @returns less than, equal to or greater than 0; undefined when the type has no order or the
 * values are not of one kind
 */
export function compareValues(a: Value, b: Value, type: string): number | undefined {
  if (isNumeric(a) && isNumeric(b)) return a < b ? -1 : a > b ? 1 : 0;
  if (typeof a !== "string" || typeof b !== "string") return undefined;
  if (type === "timestamp") return compareText(instant(a), instant(b));
  if (type.startsWith("decimal")) {
    const [x, y] = [scaled(a), scaled(b)];
    return x < y ? -1 : x > y ? 1 : 0;
  }
  return isOrdered(type) || type === CLAIM_TYPE ? compareText(a, b) : undefined;
}

/**
 * Tells whether `gt`, `gte`, `lt` and `lte` work on a type.
 *
 * @param type a column's type
 * @returns whether it has an order
 */
export function isOrdered(type: string): boolean {
  return /^(string|integer|number|timestamp|date|decimal\(.*)$/.test(type);
}

function isNumeric(value: Value): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

/** All timestamps written with six digits of fraction, so that their order is that of text. */
function instant(timestamp: string): string {
  return timestamp.slice(0, 19) + timestamp.slice(20, -1).padEnd(6, "0");
}

/** A decimal times 10 to the 38th, its greatest scale. */
function scaled(decimal: string): bigint {
  const [whole = "0", fraction = ""] = decimal.split(".");
  return BigInt(whole + fraction.padEnd(38, "0"));
}

function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return byCodePoint(x) - byCodePoint(y);
  }
  return a.length - b.length;
}

/** Moves surrogates behind all other code units, where the code points are that they stand for. */
function byCodePoint(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
