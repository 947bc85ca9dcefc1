/**
 * Keys of rows as the lake has them: values of the key's columns, in the order by which files are
 * sorted. A row's id is made of them and they of it. Pure.
 *
 * @module
 */

import { compareUtf8 } from "../../place.ts";
import type { Column } from "../columns/column.ts";
import type { LakeField, LakeType } from "../iceberg/schema.ts";

/** A value of a key's column: `bigint` for `long`, days since 1970 for `date`, else a text. */
export type KeyValue = bigint | number | string;

/** A row's key. */
export type RowKey = readonly KeyValue[];

const DAY_MS = 86_400_000;
const SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/**
 * Reads a key out of a row's id.
 *
 * @param fields the key's columns, in the order of the primary key
 * @param rowId the row's id, as the gateway has it
 * @throws {RangeError} when it is no id of such a key
 */
export function keyOfRowId(fields: readonly LakeField[], rowId: string): RowKey {
  const [only] = fields;
  if (only !== undefined && fields.length === 1) return [readPart(only.type, rowId)];
  const parts: unknown = JSON.parse(rowId);
  if (!Array.isArray(parts) || parts.length !== fields.length) throw notAKey();
  return fields.map(({ type }, i) => readPart(type, String(parts[i])));
}

/**
 * Makes a row's id of its key.
 *
 * @param key the key
 */
export function rowIdOfKey(key: RowKey): string {
  const [only] = key;
  if (only !== undefined && key.length === 1) return printPart(only);
  return JSON.stringify(key.map((value) => {
    if (typeof value !== "bigint") return printPart(value);
    return value >= -SAFE && value <= SAFE ? Number(value) : value.toString();
  }));
}

/**
 * Reads keys out of their columns.
 *
 * @param columns the key's columns, in the order of the primary key
 * @returns the key of a row, by its place
 */
export function keyReader(columns: readonly Column[]): (row: number) => RowKey {
  const readers = columns.map(readerOf);
  return (row) => readers.map((read) => read(row));
}

/**
 * A value of a key as columns are built from it.
 *
 * @param value the value
 */
export function columnValueOf(value: KeyValue): bigint | string {
  return typeof value === "number" ? printPart(value) : value;
}

/**
 * Orders keys as Iceberg sorts their columns.
 *
 * @returns negative, zero or positive as `a` is before, equal to or after `b`
 */
export function compareRowKeys(a: RowKey, b: RowKey): number {
  for (let i = 0; i < a.length; i++) {
    const order = compareKeyValues(a[i], b[i]);
    if (order !== 0) return order;
  }
  return 0;
}

/** Orders two values of one key column. */
export function compareKeyValues(a: KeyValue | undefined, b: KeyValue | undefined): number {
  if (typeof a === "string" && typeof b === "string") return compareUtf8(a, b);
  if (a === undefined || b === undefined || a === b) return 0;
  return a < b ? -1 : 1;
}

function readPart(type: LakeType, text: string): KeyValue {
  if (type === "string") return text;
  if (type === "long") return BigInt(text);
  const ms = type === "date" ? Date.parse(`${text}T00:00:00Z`) : NaN;
  if (Number.isNaN(ms)) throw notAKey();
  return ms / DAY_MS;
}

function printPart(value: KeyValue): string {
  if (typeof value !== "number") return String(value);
  return new Date(value * DAY_MS).toISOString().slice(0, 10);
}

function readerOf({ data }: Column): (row: number) => KeyValue {
  switch (data.kind) {
    case "int64":
      return (row) => data.values[row] ?? 0n;
    case "int32":
      return (row) => data.values[row] ?? 0;
    case "bytes": {
      const { offsets, bytes } = data;
      const decoder = new TextDecoder();
      return (row) => decoder.decode(bytes.subarray(offsets[row], offsets[row + 1]));
    }
    default:
      throw new RangeError(`A key has no column of ${data.kind}`);
  }
}

function notAKey(): RangeError {
  return new RangeError("A row's id does not name a row of its table");
}
