/**
 * Reads values of columns back, as LakeSync has them.
 *
 * @module
 */

import { type ColumnType, toInteger, type Value } from "@lakesync/core";
import { hasBit } from "./bits.ts";
import type { Column } from "./column.ts";
import { ofHalves, printDecimal } from "./decimal.ts";
import { decimalOf, isNull } from "./layout.ts";
import { printDate, printTimestamp } from "./time.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Reads one value. Times have the digits they need behind the point, decimals all of their scale.
 *
 * @param column the column
 * @param index its row, from 0
 * @param from the type of the value at LakeSync; to be given for `json`
 * @returns the value, or null
 * @throws {RangeError} when there is no such row
 */
export function valueAt(column: Column, index: number, from?: ColumnType): Value {
  if (!(index >= 0 && index < column.length)) {
    throw new RangeError(`There is no row ${index} among ${column.length}`);
  }
  if (isNull(column, index)) return null;
  const { type, data } = column;
  switch (data.kind) {
    case "bits":
      return hasBit(data.bits, index);
    case "int32": {
      const value = data.values[index] ?? 0;
      return type === "date" ? printDate(value) : value;
    }
    case "int64": {
      const value = data.values[index] ?? 0n;
      return type === "timestamptz" ? printTimestamp(value) : toInteger(value);
    }
    case "float64":
      return data.values[index] ?? 0;
    case "int128": {
      const units = ofHalves(data.halves[2 * index] ?? 0n, data.halves[2 * index + 1] ?? 0n);
      return printDecimal(units, decimalOf(type).scale);
    }
    case "bytes": {
      const start = data.offsets[index] ?? 0;
      const end = data.offsets[index + 1] ?? 0;
      if (type === "binary") return data.bytes.slice(start, end);
      const text = decoder.decode(data.bytes.subarray(start, end));
      return from === "json" ? JSON.parse(text) : text;
    }
  }
}
