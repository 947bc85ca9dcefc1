/**
 * Values of DuckDB as LakeSync's, exactly: nothing is rounded, and what LakeSync has no value for
 * is text.
 *
 * @module
 */

import type { DuckDBType, DuckDBValue } from "@duckdb/node-api";
import type { JsonValue, Value } from "@lakesync/core";

const MS_PER_DAY = 86_400_000;
/** The first and the last millisecond that a date of LakeSync has: years 0000 to 9999. */
const FIRST_MS = Date.parse("0000-01-01T00:00:00Z");
const LAST_MS = Date.parse("9999-12-31T23:59:59.999Z");

/** DuckDB's numbers of types that are not told by their values alone. */
const DATE = 13;
const TIMESTAMP = 12;
const TIMESTAMP_TZ = 31;

/** Reads a value of one column. */
export type ReadValue = (value: DuckDBValue) => Value;

/**
 * Writes a moment as LakeSync does: RFC 3339 in UTC with as many digits as it has.
 *
 * @param micros microseconds since 1970
 * @returns undefined for a year before 0000 or after 9999
 */
export function timestampText(micros: bigint): string | undefined {
  const rest = ((micros % 1000n) + 1000n) % 1000n;
  const ms = Number((micros - rest) / 1000n);
  if (ms < FIRST_MS || ms > LAST_MS) return undefined;
  const [seconds = "", thousandths = ""] = new Date(ms).toISOString().slice(0, -1).split(".");
  const digits = `${thousandths}${String(rest).padStart(3, "0")}`.replace(/0+$/, "");
  return `${seconds}${digits === "" ? "" : `.${digits}`}Z`;
}

/**
 * How the values of a column are read: integers of any width are numbers within ±(2^53−1) and a
 * bigint beyond; decimals, dates and times are text; lists and structures are JSON.
 *
 * @param type the column's type
 */
export function reader(type: DuckDBType): ReadValue {
  const id = Number(type.typeId);
  if (id === DATE) return (value) => dateText(value) ?? plain(value);
  if (id === TIMESTAMP_TZ) return (value) => momentText(value) ?? plain(value);
  if (id === TIMESTAMP) return (value) => momentText(value)?.slice(0, -1) ?? plain(value);
  if ("keyType" in type) return mapReader(reader(type.keyType), reader(type.valueType));
  if ("valueType" in type) return listReader(reader(type.valueType));
  if ("entryNames" in type) return structReader(type.entryNames, type.entryTypes.map(reader));
  return plain;
}

function plain(value: DuckDBValue): Value {
  if (value === null || typeof value === "number" || typeof value === "string") return value;
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (typeof value === "boolean") return value;
  if ("bytes" in value && value.bytes instanceof Uint8Array) return new Uint8Array(value.bytes);
  return String(value);
}

function dateText(value: DuckDBValue): string | undefined {
  if (value === null || typeof value !== "object" || !("days" in value)) return undefined;
  const ms = value.days * MS_PER_DAY;
  return ms < FIRST_MS || ms > LAST_MS ? undefined : new Date(ms).toISOString().slice(0, 10);
}

function momentText(value: DuckDBValue): string | undefined {
  if (value === null || typeof value !== "object" || !("micros" in value)) return undefined;
  return timestampText(value.micros);
}

/** A value within another one: JSON has no bytes and no large integers, so they are text. */
function nested(value: Value): JsonValue {
  return typeof value === "bigint" || value instanceof Uint8Array ? String(value) : value;
}

function listReader(each: ReadValue): ReadValue {
  return (value) =>
    value !== null && typeof value === "object" && "items" in value
      ? value.items.map((item) => nested(each(item)))
      : plain(value);
}

function mapReader(key: ReadValue, each: ReadValue): ReadValue {
  return (value) =>
    value !== null && typeof value === "object" && "entries" in value &&
      Array.isArray(value.entries)
      ? value.entries.map((entry) => [nested(key(entry.key)), nested(each(entry.value))])
      : plain(value);
}

function structReader(names: readonly string[], each: readonly ReadValue[]): ReadValue {
  return (value) => {
    if (value === null || typeof value !== "object" || !("entries" in value)) return plain(value);
    const entries: Readonly<Record<string, DuckDBValue>> = Array.isArray(value.entries)
      ? {}
      : value.entries;
    return Object.fromEntries(names.map((name, i) => {
      const read = each[i] ?? plain;
      return [name, nested(read(entries[name] ?? null))];
    }));
  };
}
