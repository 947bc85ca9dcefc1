/**
 * Column types as Postgres has them, and values as it reads them.
 *
 * Times and dates of the year 0000 are of the year 1 BC there. A column of a key that is a
 * `timestamp` or a `decimal` is text: what is written in two ways is two keys. `json` is `jsonb`,
 * which has no -0 and its own order of members; the cells in `lakesync_state` are as they were given.
 *
 * @module
 */

import {
  type Column,
  type ColumnType,
  decimalParts,
  fromPlainJson,
  utf8Length,
  type Value,
} from "@lakesync/core";

const NATIVE: Readonly<Record<string, string>> = {
  string: "text",
  integer: "bigint",
  number: "double precision",
  boolean: "boolean",
  timestamp: "timestamp with time zone",
  date: "date",
  uuid: "uuid",
  bytes: "bytea",
  json: "jsonb",
};

/** Other types than LakeSync's own that hold every value of a type. */
const COMPATIBLE: Readonly<Record<string, RegExp>> = {
  string: /^(text|character varying(\(\d+\))?)$/,
  uuid: /^(uuid|text)$/,
  json: /^(jsonb|json)$/,
};

function isTextKey({ key, type }: Pick<Column, "key" | "type">): boolean {
  return key && (type === "timestamp" || decimalParts(type) !== undefined);
}

/**
 * The type that a column is made with.
 *
 * @param column the column
 * @returns as `format_type` writes it
 */
export function nativeOf(column: Pick<Column, "key" | "type">): string {
  if (isTextKey(column)) return "text";
  const decimal = decimalParts(column.type);
  if (decimal !== undefined) return `numeric(${decimal.precision},${decimal.scale})`;
  return NATIVE[column.type] ?? "text";
}

/**
 * Tells whether a column that is there can hold the values of a column of the schema.
 *
 * @param column the column of the schema
 * @param native the type that is there, as `format_type` writes it
 */
export function isCompatible(column: Pick<Column, "key" | "type">, native: string): boolean {
  if (native === nativeOf(column)) return true;
  const wanted = isTextKey(column) ? undefined : decimalParts(column.type);
  if (wanted === undefined) {
    return (isTextKey(column) ? COMPATIBLE.string : COMPATIBLE[column.type])?.test(native) ?? false;
  }
  if (native === "numeric") return true;
  const there = decimalParts(native.replace("numeric", "decimal"));
  return there !== undefined && there.scale >= wanted.scale &&
    there.precision - there.scale >= wanted.precision - wanted.scale;
}

/** Whether a foreign key can be made between columns of two types. */
export function canReference(child: string, parent: string): boolean {
  return child === parent && child !== "timestamp" && decimalParts(child) === undefined;
}

/**
 * The type of an array's elements from which a column is filled: the column's without its bounds,
 * since a cast to those would cut values instead of refusing them.
 *
 * @param native the column's type
 */
export function elementType(native: string): string {
  return native.startsWith("character varying") ? "text" : native.replace(/\(.*\)$/, "");
}

/**
 * Tells why a value cannot be held exactly.
 *
 * @param native the column's type
 * @param value a value that is not null
 */
export function misfitOf(native: string, value: Value): string | undefined {
  if (typeof value === "string") {
    return utf8Length(value) < 0
      ? "holds NUL or half of a surrogate pair, which Postgres cannot hold"
      : undefined;
  }
  if (native === "double precision" && typeof value === "bigint") {
    return BigInt(Number(value)) === value
      ? undefined
      : "is an integer that double precision cannot hold exactly";
  }
  return undefined;
}

/** Writes a value that is not null as an element of an array's text. */
export type ElementEncoder = (value: Value) => string;

/**
 * How the values of a column are written.
 *
 * @param type the column's type in the schema
 */
export function encoderOf(type: ColumnType): ElementEncoder {
  switch (type) {
    case "integer":
      return plain;
    case "number":
      return (value) => Object.is(value, -0) ? "-0" : plain(value);
    case "boolean":
      return (value) => value === true ? "t" : value === false ? "f" : plain(value);
    case "timestamp":
    case "date":
      return (value) => quoted(era(String(value)));
    case "bytes":
      return (value) => value instanceof Uint8Array ? `"\\\\x${hex(value)}"` : plain(value);
    case "json":
      return (value) => quoted(JSON.stringify(value));
    default:
      return (value) => quoted(String(value));
  }
}

/**
 * Writes an array as text.
 *
 * @param values the elements
 * @param encode writes one that is not null
 */
export function arrayText(values: Iterable<Value>, encode: ElementEncoder): string {
  let text = "{";
  for (const value of values) {
    if (text.length > 1) text += ",";
    text += value === null ? "NULL" : encode(value);
  }
  return text + "}";
}

/** Writes an array of texts. */
export function textArray(values: Iterable<string | null>): string {
  return arrayText(values, (value) => quoted(String(value)));
}

/** Writes an array of numbers. */
export function numberArray(values: Iterable<number | bigint | null>): string {
  return arrayText(values, plain);
}

/**
 * Reads a value of a key that Postgres wrote as text.
 *
 * @param text the text
 * @param column the column
 */
export function keyFromText(text: string, column: Pick<Column, "key" | "type">): Value {
  if (column.type === "integer") {
    const small = Number(text);
    return Number.isSafeInteger(small) ? small : fromPlainJson(text, "integer");
  }
  const early = column.type === "date" ? /^0001(-\d\d-\d\d) BC$/.exec(text) : null;
  return early === null ? text : `0000${early[1]}`;
}

/** What is no value of its type is left for the database to refuse. */
function plain(value: Value): string {
  return typeof value === "number" || typeof value === "bigint"
    ? `${value}`
    : quoted(String(value));
}

const SPECIAL = /["\\]/;

function quoted(text: string): string {
  if (!SPECIAL.test(text)) return `"${text}"`;
  // Twice by a text is faster than once by a pattern.
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

function era(text: string): string {
  return text.startsWith("0000-") ? `0001${text.slice(4)} BC` : text;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}
