/**
 * What a delta carries for columns that are merged by other kinds than `lww`:
 *
 * - `counter`: `{"add": n}`, n a whole number of at most 64 bits, beyond ±(2^53−1) as decimal text.
 * - `set`: `{"add": [...], "remove": [...]}`, either of which may be missing. Elements are strings,
 *   finite numbers or booleans; one that is in both lists is added.
 * - `max`, `min`: the value itself.
 *
 * An INSERT may also carry a counter's start as a plain whole number and a set as a plain array.
 * Null writes nothing. These forms are plain JSON, so that a delta has one canonical JSON.
 *
 * @module
 */

import type { Op } from "./delta.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import type { Column } from "./schema.ts";
import { fromPlainJson, type JsonValue, utf8Length, type Value, valueCheck } from "./value.ts";

/** An element of a set column. */
export type SetElement = string | number | boolean;

/** What a delta does to a set. */
export interface SetWrite {
  /** The elements it adds. */
  readonly add: readonly SetElement[];
  /** The elements it removes. */
  readonly remove: readonly SetElement[];
}

/** Elements of a set that one delta may name. */
export const MAX_SET_ELEMENTS_PER_DELTA = 10_000;

const checkInteger = valueCheck("integer");

/**
 * Reads a counter's written form.
 *
 * @param value what a delta carries, a plain whole number included
 * @returns by how much the counter goes up, undefined for null and for what is no such form
 */
export function counterAdd(value: Value): bigint | undefined {
  const fields = fieldsOf(value);
  if (fields === undefined) return wholeOf(value);
  const { add, ...more } = fields;
  if (add === undefined || Object.keys(more).length > 0) return undefined;
  return wholeOf(fromPlainJson(add, "integer"));
}

/**
 * Reads a set's written form.
 *
 * @param value what a delta carries, a plain array included
 * @returns its elements, undefined for null and for what is no such form
 */
export function setWrite(value: Value): SetWrite | undefined {
  if (isElements(value)) return { add: value, remove: [] };
  const fields = fieldsOf(value);
  if (fields === undefined) return undefined;
  const { add = [], remove = [], ...more } = fields;
  if (Object.keys(more).length > 0) return undefined;
  return isElements(add) && isElements(remove) ? { add, remove } : undefined;
}

/**
 * Judges what a delta carries for a column of any merge kind.
 *
 * @param column the column
 * @param op what the delta does
 * @param value what it carries, not null
 * @returns why it does not fit, to follow the column's name in a message; undefined when it fits
 */
export function writtenMisfit(column: Column, op: Op, value: Value): string | undefined {
  switch (column.merge) {
    case "counter":
      return counterMisfit(op, value);
    case "set":
      return setMisfit(op, value);
    default:
      return column.check(value);
  }
}

/**
 * Judges the value of a set as it is read: an array of its elements.
 *
 * @param value a value that is not null
 * @returns why it does not fit, undefined when it fits
 */
export function setValueMisfit(value: Value): string | undefined {
  if (!isElements(value)) return "takes an array of strings, finite numbers and booleans";
  return value.some(isBroken)
    ? "takes text without NUL and without lone surrogates"
    : utf8Length(JSON.stringify(value)) > DEFAULT_LIMITS.maxValueBytes
    ? `takes at most ${DEFAULT_LIMITS.maxValueBytes} bytes`
    : undefined;
}

function counterMisfit(op: Op, value: Value): string | undefined {
  if (typeof value !== "object" && op !== "INSERT") {
    return 'is a counter and takes {"add": n} in an UPDATE';
  }
  return counterAdd(value) === undefined
    ? 'is a counter and takes {"add": n}, n a whole number of at most 64 bits, as a text beyond 2^53 - 1'
    : undefined;
}

function setMisfit(op: Op, value: Value): string | undefined {
  if (Array.isArray(value) && op !== "INSERT") {
    return 'is a set and takes {"add": [...], "remove": [...]} in an UPDATE';
  }
  const write = setWrite(value);
  if (write === undefined) {
    return 'is a set and takes {"add": [...], "remove": [...]} of strings, finite numbers and booleans';
  }
  const { add, remove } = write;
  if (add.length + remove.length > MAX_SET_ELEMENTS_PER_DELTA) {
    return `is a set and takes at most ${MAX_SET_ELEMENTS_PER_DELTA} elements in one delta`;
  }
  return setValueMisfit(add) ?? setValueMisfit(remove);
}

function fieldsOf(value: Value): { readonly [field: string]: JsonValue } | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
      !(value instanceof Uint8Array)
    ? value as { readonly [field: string]: JsonValue }
    : undefined;
}

function wholeOf(value: Value): bigint | undefined {
  if (typeof value !== "number" && typeof value !== "bigint") return undefined;
  return checkInteger?.(value) === undefined ? BigInt(value) : undefined;
}

function isElements(value: Value): value is readonly SetElement[] {
  return Array.isArray(value) && value.every(isElement);
}

function isElement(value: JsonValue): value is SetElement {
  return typeof value === "number"
    ? Number.isFinite(value)
    : typeof value === "string" || typeof value === "boolean";
}

function isBroken(element: SetElement): boolean {
  return typeof element === "string" && utf8Length(element) < 0;
}
