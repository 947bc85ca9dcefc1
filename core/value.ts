/**
 * Column types and the values they hold: what is valid, how a value is written as plain JSON and
 * read back. Values are kept as they were given; nothing here rounds or normalizes.
 *
 * @module
 */

import { DEFAULT_LIMITS } from "./limits.ts";

/** A structured value of a `json` column. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/**
 * A cell's value in memory. `integer` is a number within ±(2^53−1) and a bigint beyond, to the
 * bounds of a signed 64-bit integer; `bytes` is a Uint8Array; `timestamp`, `date`, `uuid` and
 * `decimal` are text.
 */
export type Value = JsonValue | bigint | Uint8Array;

/** The name of a column's type, as a schema writes it. */
export type ColumnType =
  | "string"
  | "integer"
  | "number"
  | "boolean"
  | "timestamp"
  | "date"
  | "uuid"
  | "bytes"
  | "json"
  | `decimal(${number},${number})`;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** Why a value does not fit its column; the text follows the column's name in a message. */
export type Misfit = string;

/** Judges a value that is not null: undefined when it fits. */
export type ValueCheck = (value: Value) => Misfit | undefined;

/**
 * Counts the bytes of a text in UTF-8.
 *
 * @param text any text
 * @returns bytes, or -1 when the text holds NUL or half of a surrogate pair, which no synced
 * text may hold: SQLite cuts at the one and replaces the other
 */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0) return -1;
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (unit < 0xd800 || unit > 0xdfff) bytes += 2;
    else {
      if (unit > 0xdbff) return -1;
      const low = text.charCodeAt(i + 1);
      if (!(low >= 0xdc00 && low <= 0xdfff)) return -1;
      bytes += 2;
      i++;
    }
  }
  return bytes;
}

function checkText(value: Value): Misfit | undefined {
  if (typeof value !== "string") return "takes a text";
  const bytes = utf8Length(value);
  if (bytes < 0) return "takes text without NUL and without lone surrogates";
  if (bytes > DEFAULT_LIMITS.maxValueBytes) {
    return `takes at most ${DEFAULT_LIMITS.maxValueBytes} bytes`;
  }
  return undefined;
}

function checkInteger(value: Value): Misfit | undefined {
  if (typeof value === "number") {
    return Number.isSafeInteger(value)
      ? undefined
      : "takes a whole number; beyond 2^53 - 1 as a text";
  }
  if (typeof value === "bigint") {
    if (value >= INT64_MIN && value <= INT64_MAX) return undefined;
    return "takes a whole number of at most 64 bits";
  }
  return "takes a whole number";
}

function checkNumber(value: Value): Misfit | undefined {
  return typeof value === "number" && Number.isFinite(value) ? undefined : "takes a finite number";
}

function checkBoolean(value: Value): Misfit | undefined {
  return typeof value === "boolean" ? undefined : "takes true or false";
}

const TIMESTAMP = /^(\d{4}-\d{2}-\d{2})T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?Z$/;

function isDate(text: string): boolean {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  if (!match) return false;
  const [year, month, day] = [
    Number(match[1]),
    Number(match[2]),
    Number(match[3]),
  ];
  if (month < 1 || month > 12 || day < 1) return false;
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = month === 2 ? (leap ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31;
  return day <= days;
}

function checkTimestamp(value: Value): Misfit | undefined {
  if (typeof value === "string") {
    const match = TIMESTAMP.exec(value);
    if (match?.[1] !== undefined && isDate(match[1])) return undefined;
  }
  return "takes an RFC 3339 time in UTC, like 2026-01-31T09:30:00.123456Z";
}

function checkDate(value: Value): Misfit | undefined {
  return typeof value === "string" && isDate(value) ? undefined : "takes a date like 2026-01-31";
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function checkUuid(value: Value): Misfit | undefined {
  return typeof value === "string" && UUID.test(value) ? undefined : "takes a UUID in lower case";
}

function checkBytes(value: Value): Misfit | undefined {
  if (!(value instanceof Uint8Array)) return "takes bytes, in JSON as base64";
  if (value.length > DEFAULT_LIMITS.maxValueBytes) {
    return `takes at most ${DEFAULT_LIMITS.maxValueBytes} bytes`;
  }
  return undefined;
}

function jsonMisfit(value: Value, depth: number): Misfit | undefined {
  if (depth > DEFAULT_LIMITS.maxJsonDepth) {
    return `takes JSON at most ${DEFAULT_LIMITS.maxJsonDepth} levels deep`;
  }
  if (value === null || typeof value === "boolean") return undefined;
  if (typeof value === "number") return checkNumber(value);
  if (typeof value === "string") return checkText(value);
  if (typeof value !== "object" || value instanceof Uint8Array) {
    return "takes plain JSON";
  }
  if (Array.isArray(value)) {
    for (const item of value) {
      const misfit = jsonMisfit(item, depth + 1);
      if (misfit !== undefined) return misfit;
    }
    return undefined;
  }
  for (const [key, item] of Object.entries(value)) {
    const misfit = checkText(key) ?? jsonMisfit(item, depth + 1);
    if (misfit !== undefined) return misfit;
  }
  return undefined;
}

function checkJson(value: Value): Misfit | undefined {
  const misfit = jsonMisfit(value, 1);
  if (misfit !== undefined || typeof value !== "object") return misfit;
  if (utf8Length(JSON.stringify(value)) > DEFAULT_LIMITS.maxValueBytes) {
    return `takes at most ${DEFAULT_LIMITS.maxValueBytes} bytes`;
  }
  return undefined;
}

/**
 * Reads the precision and scale of a `decimal(p,s)` type.
 *
 * @param type a type's name
 * @returns precision (1 to 38) and scale (0 to precision), or undefined for another type
 */
export function decimalParts(
  type: string,
): { precision: number; scale: number } | undefined {
  const match = /^decimal\((\d{1,2}),\s*(\d{1,2})\)$/.exec(type);
  if (!match) return undefined;
  const [precision, scale] = [Number(match[1]), Number(match[2])];
  return precision >= 1 && precision <= 38 && scale <= precision ? { precision, scale } : undefined;
}

function decimalCheck(precision: number, scale: number): ValueCheck {
  return (value) => {
    const match = typeof value === "string" ? /^-?(0|[1-9]\d*)(?:\.(\d+))?$/.exec(value) : null;
    const whole = match?.[1] === "0" ? 0 : match?.[1]?.length ?? 0;
    if (
      match && (match[2]?.length ?? 0) <= scale && whole <= precision - scale
    ) return undefined;
    return `takes a decimal text with at most ${precision} digits, ${scale} of them after the point`;
  };
}

const CHECKS: Readonly<Record<string, ValueCheck>> = {
  string: checkText,
  integer: checkInteger,
  number: checkNumber,
  boolean: checkBoolean,
  timestamp: checkTimestamp,
  date: checkDate,
  uuid: checkUuid,
  bytes: checkBytes,
  json: checkJson,
};

/**
 * Finds the check of a column type.
 *
 * @param type a type's name
 * @returns its check, or undefined when there is no such type
 */
export function valueCheck(type: string): ValueCheck | undefined {
  if (Object.hasOwn(CHECKS, type)) return CHECKS[type];
  const decimal = decimalParts(type);
  return decimal && decimalCheck(decimal.precision, decimal.scale);
}

/**
 * Writes a value as plain JSON: bytes as base64, integers beyond ±(2^53−1) as decimal text.
 *
 * @param value a valid value
 * @returns what `JSON.stringify` may be given
 */
export function toPlainJson(value: Value): JsonValue {
  if (typeof value === "bigint") {
    return isSafe(value) ? Number(value) : value.toString();
  }
  if (value instanceof Uint8Array) return encodeBase64(value);
  return value;
}

/**
 * Reads a value from plain JSON by its column's type. A value that cannot be of the type comes
 * back as it is, for the check to refuse.
 *
 * @param json what `JSON.parse` gave
 * @param type the column's type
 * @returns the value
 */
export function fromPlainJson(json: JsonValue, type: string): Value {
  if (typeof json !== "string") {
    return type === "integer" && Object.is(json, -0) ? 0 : json;
  }
  if (type === "integer" && /^-?[1-9]\d{15,18}$/.test(json)) {
    const value = BigInt(json);
    return value >= INT64_MIN && value <= INT64_MAX && !isSafe(value) ? value : json;
  }
  if (type === "bytes") return decodeBase64(json) ?? json;
  return json;
}

function isSafe(value: bigint): boolean {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) &&
    value <= BigInt(Number.MAX_SAFE_INTEGER);
}

/**
 * Brings an integer into its one form in memory.
 *
 * @param value a whole number of at most 64 bits
 * @returns a number within ±(2^53−1), a bigint beyond
 */
export function toInteger(value: bigint): number | bigint {
  return isSafe(value) ? Number(value) : value;
}

/**
 * Writes bytes as base64 (RFC 4648 section 4, with padding).
 *
 * @param bytes any bytes
 * @returns the text
 */
export function encodeBase64(bytes: Uint8Array): string {
  let binary = "";
  for (let i = 0; i < bytes.length; i += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return btoa(binary);
}

/**
 * Reads base64 (RFC 4648 section 4) in its one canonical form.
 *
 * @param text base64 with padding
 * @returns the bytes, or undefined when the text is not canonical base64
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    return undefined;
  }
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return encodeBase64(bytes) === text ? bytes : undefined;
}
