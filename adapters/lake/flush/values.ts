/**
 * The one form in which each value of a column is read back from a lake. Texts of times and decimals
 * may be written in several ways that mean the same, of which a column keeps one. Pure functions.
 *
 * @module
 */

import { type ColumnType, decimalParts, type Value } from "@lakesync/core";
import { toStoredValue } from "../../database/stored_value.ts";

/**
 * A value as it is read back from a column that has it.
 *
 * @param type the column's type
 * @param value a value of that type
 */
export function canonicalValue(type: ColumnType, value: Value): Value {
  if (type === "timestamp" && typeof value === "string") return canonicalTime(value);
  if (type === "number" && typeof value === "bigint") return Number(value);
  if (type === "integer" && value === 0) return 0;
  const decimal = decimalParts(type);
  if (decimal !== undefined && typeof value === "string") {
    return canonicalDecimal(value, decimal.scale);
  }
  return value;
}

/**
 * Tells whether two values are the same, in the same form.
 *
 * @param a a value
 * @param b another
 */
export function isSameValue(a: Value, b: Value): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  return JSON.stringify(toStoredValue(a)) === JSON.stringify(toStoredValue(b));
}

/** As many digits of a second as are needed. */
function canonicalTime(text: string): string {
  const [whole = "", fraction = ""] = text.slice(0, -1).split(".");
  const digits = fraction.replace(/0+$/, "");
  return digits === "" ? `${whole}Z` : `${whole}.${digits}Z`;
}

/** All digits of the scale, and no negative zero. */
function canonicalDecimal(text: string, scale: number): string {
  const [whole = "", fraction = ""] = text.split(".");
  const full = scale === 0 ? whole : `${whole}.${fraction.padEnd(scale, "0")}`;
  return /^-[0.]*$/.test(full) ? full.slice(1) : full;
}
