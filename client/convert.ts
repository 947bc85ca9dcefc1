/**
 * Cells between SQLite and the protocol: booleans are 0 and 1, JSON is text, everything else is
 * kept as it is.
 *
 * @module
 */

import {
  type ColumnType,
  type JsonValue,
  toInteger,
  toPlainJson,
  type Value,
} from "@lakesync/core";
import type { SqlValue } from "./database/driver.ts";

/** A `json` text whose value is a text may hold an escaped half of a surrogate pair. */
function readJson(text: string): JsonValue {
  const value: JsonValue = JSON.parse(text);
  return typeof value === "string" ? value.toWellFormed() : value;
}

/**
 * Reads a cell.
 *
 * @param cell what SQLite holds, which the capture triggers have checked
 * @param type the column's type
 * @returns the value
 */
export function toValue(cell: SqlValue, type: ColumnType): Value {
  if (cell === null) return null;
  switch (type) {
    case "boolean":
      return cell !== 0;
    case "number":
      return Number(cell);
    case "json":
      return typeof cell === "string" ? readJson(cell) : Number(cell);
    default:
      return cell;
  }
}

/**
 * Reads what the outbox keeps of a cell: a counter's increment, which is text, becomes
 * `{"add": n}`, beyond ±(2^53−1) as decimal text; everything else is a cell as it is, the
 * difference of a set too.
 *
 * @param cell what the outbox holds
 * @param type the column's type
 * @returns what a delta carries
 */
export function toWritten(cell: SqlValue, type: ColumnType): Value {
  if (type !== "integer" || typeof cell !== "string") return toValue(cell, type);
  return { add: toPlainJson(toInteger(BigInt(cell))) };
}

/**
 * Writes a cell.
 *
 * @param value a value that fits the column
 * @param type the column's type
 * @returns what SQLite is to hold
 */
export function toCell(value: Value, type: ColumnType): SqlValue {
  if (value === null) return null;
  if (type === "json") return JSON.stringify(value);
  switch (typeof value) {
    case "boolean":
      return value ? 1 : 0;
    case "object":
      return value instanceof Uint8Array ? value : JSON.stringify(value);
    default:
      return value;
  }
}
