/**
 * The rules by which JavaScript values become SQLite values and come back, the same over every
 * binding. What a binding would change without a word is refused here.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { SqlParam, SqlValue } from "./driver.ts";

/** What every binding takes as it is. */
export type BoundValue = null | number | bigint | string | Uint8Array;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const SAFE_MIN = BigInt(Number.MIN_SAFE_INTEGER);
const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER);

function refuse(index: number, what: string): never {
  throw new LakeSyncError(
    "VALIDATION_ERROR",
    `Parameter ${index + 1} ${what}`,
  );
}

function bindNumber(value: number, index: number): BoundValue {
  if (Number.isSafeInteger(value)) {
    return Object.is(value, -0) ? value : BigInt(value);
  }
  if (Number.isNaN(value)) {
    refuse(index, "is NaN, which SQLite would store as NULL; give null");
  }
  return value;
}

function bindText(value: string, index: number): BoundValue {
  if (value.includes("\0")) {
    refuse(index, "holds NUL, where SQLite ends a text; store it as bytes");
  }
  if (!value.isWellFormed()) {
    refuse(index, "holds half of a surrogate pair, which UTF-8 cannot write");
  }
  return value;
}

function bindObject(value: Uint8Array | Date, index: number): BoundValue {
  if (value instanceof Uint8Array) return value;
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) refuse(index, "is an invalid Date");
    return value.toISOString();
  }
  return refuse(
    index,
    "is an object; give text, bytes, a number, a Date or null",
  );
}

/**
 * Brings a parameter into the one form that every binding stores as meant: whole numbers as
 * INTEGER (bound as numbers, Node and Deno would store REAL), booleans as 0 and 1, a Date as text.
 *
 * @param value the parameter
 * @param index its 0-based place, for the message
 * @returns what to bind
 * @throws {LakeSyncError} `VALIDATION_ERROR` for what SQLite would change: undefined, NaN, text
 * with NUL or lone surrogates, integers of more than 64 bits, other objects
 */
export function bindValue(value: SqlParam, index: number): BoundValue {
  switch (typeof value) {
    case "number":
      return bindNumber(value, index);
    case "string":
      return bindText(value, index);
    case "boolean":
      return value ? 1n : 0n;
    case "bigint":
      if (value >= INT64_MIN && value <= INT64_MAX) return value;
      return refuse(index, "is an integer of more than 64 bits");
    case "object":
      return value === null ? null : bindObject(value, index);
    default:
      return refuse(index, "is undefined or no value; give null");
  }
}

/**
 * Brings all parameters of a statement into their bound form.
 *
 * @param params the parameters
 * @returns what to bind
 * @throws {LakeSyncError} `VALIDATION_ERROR`, see {@linkcode bindValue}
 */
export function bindAll(params: readonly SqlParam[]): BoundValue[] {
  const bound = new Array<BoundValue>(params.length);
  for (let i = 0; i < bound.length; i++) {
    bound[i] = bindValue(params[i] as SqlParam, i);
  }
  return bound;
}

/**
 * Brings a row that was read with all integers as bigints into its form in memory, in place.
 *
 * @param row the cells
 * @returns the same array: integers within ±(2^53−1) are numbers
 */
export function readRow(row: SqlValue[]): SqlValue[] {
  for (let i = 0; i < row.length; i++) {
    const cell = row[i];
    if (typeof cell === "bigint" && cell >= SAFE_MIN && cell <= SAFE_MAX) {
      row[i] = Number(cell);
    }
  }
  return row;
}
