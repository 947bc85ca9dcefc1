/**
 * What a type's values are kept in, and buffers for so many of them.
 *
 * @module
 */

import { decimalParts } from "@lakesync/core";
import type { LakeType } from "../iceberg/schema.ts";
import { bytesOfBits } from "./bits.ts";
import type { Column, ColumnData } from "./column.ts";

/** What values are kept in, without the buffers. */
export type ColumnKind = ColumnData["kind"];

/** One kind of buffers. */
export type DataOf<Kind extends ColumnKind> = Extract<ColumnData, { readonly kind: Kind }>;

/**
 * What a type's values are kept in.
 *
 * @param type the type
 * @throws {TypeError} when there is no such type
 */
export function kindOf(type: LakeType): ColumnKind {
  switch (type) {
    case "boolean":
      return "bits";
    case "int":
    case "date":
      return "int32";
    case "long":
    case "timestamptz":
      return "int64";
    case "double":
      return "float64";
    case "string":
    case "binary":
      return "bytes";
    default:
      decimalOf(type);
      return "int128";
  }
}

/**
 * The digits of a decimal type.
 *
 * @param type the type
 * @throws {TypeError} when it is no decimal type
 */
export function decimalOf(type: LakeType): { readonly precision: number; readonly scale: number } {
  const parts = decimalParts(type);
  if (parts === undefined) throw new TypeError(`There is no type ${type} of columns`);
  return parts;
}

/**
 * Makes buffers for values that are all zero or empty.
 *
 * @param kind what values are kept in
 * @param length how many values
 * @param bytes for texts and bytes: how many bytes they have together
 */
export function emptyData(kind: ColumnKind, length: number, bytes = 0): ColumnData {
  switch (kind) {
    case "bits":
      return { kind, bits: new Uint8Array(bytesOfBits(length)) };
    case "int32":
      return { kind, values: new Int32Array(length) };
    case "int64":
      return { kind, values: new BigInt64Array(length) };
    case "float64":
      return { kind, values: new Float64Array(length) };
    case "int128":
      return { kind, halves: new BigInt64Array(2 * length) };
    case "bytes":
      return { kind, offsets: new Int32Array(length + 1), bytes: new Uint8Array(bytes) };
  }
}

/**
 * A column that is null in every row.
 *
 * @param type its type
 * @param length how many rows
 */
export function nullColumn(type: LakeType, length: number): Column {
  return {
    type,
    length,
    nulls: length,
    validity: length === 0 ? undefined : new Uint8Array(bytesOfBits(length)),
    data: emptyData(kindOf(type), length),
  };
}

/** Whether a row has no value. */
export function isNull(column: Column, index: number): boolean {
  const { validity } = column;
  return validity !== undefined && ((validity[index >> 3] ?? 0) >> (index & 7) & 1) === 0;
}

/** How many bytes a column's buffers take. */
export function byteLengthOf({ validity, data }: Column): number {
  const own = validity?.byteLength ?? 0;
  switch (data.kind) {
    case "bits":
      return own + data.bits.byteLength;
    case "int128":
      return own + data.halves.byteLength;
    case "bytes":
      return own + data.offsets.byteLength + data.bytes.byteLength;
    default:
      return own + data.values.byteLength;
  }
}
