/**
 * Batches for tests: every type, with values at its edges.
 *
 * @module
 */

import type { ColumnType, Value } from "@lakesync/core";
import { type Column, columnBuilder, valueAt } from "../columns/mod.ts";
import type { LakeField, LakeType } from "../iceberg/schema.ts";
import type { ColumnBatch } from "./parquet.ts";

/** Values at the edges of each type. */
export const EDGES: readonly (readonly [LakeType, readonly Value[], ColumnType?])[] = [
  ["boolean", [true, false]],
  ["int", [0, -1, 2 ** 31 - 1, -(2 ** 31)]],
  ["long", [0, -1, 2n ** 63n - 1n, -(2n ** 63n), 2 ** 53 - 1, -(2 ** 53 - 1), 2n ** 53n]],
  ["double", [0, -0, 1e308, -1e308, 5e-324, 0.1, Number.MAX_VALUE, -1 / 3]],
  ["date", ["1970-01-01", "1969-12-31", "0000-01-01", "0001-01-01", "9999-12-31", "2000-02-29"]],
  ["timestamptz", [
    "1970-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999999Z",
    "1582-10-15T00:00:00.1Z",
    "0001-01-01T00:00:00.000001Z",
    "9999-12-31T23:59:59.999999Z",
    "2026-01-31T09:30:00.12345Z",
  ]],
  ["string", ["", "a", "é", "😀", "\ufeffwith a mark", "\u{10ffff}", "\uffff", "x".repeat(5_000)]],
  ["string", [0, "", "text", true, { a: [1, null] }, []], "json"],
  ["binary", [new Uint8Array(), Uint8Array.of(0, 255), new Uint8Array(300).fill(7)]],
  ["decimal(9, 2)", ["0.00", "-0.01", "9999999.99", "-9999999.99"]],
  ["decimal(18, 0)", ["0", "-1", "999999999999999999"]],
  ["decimal(38, 10)", [
    "0.0000000001",
    "9999999999999999999999999999.9999999999",
    "-9999999999999999999999999999.9999999999",
    "-18446744073.7095516160",
  ]],
  ["decimal(38, 38)", [`0.${"9".repeat(38)}`, `-0.${"0".repeat(37)}1`]],
];

/** Builds a column; every value must fit. */
export function columnOf(
  type: LakeType,
  values: readonly Value[],
  from?: ColumnType,
): Column {
  const builder = columnBuilder(type, from);
  for (const value of values) {
    const misfit = builder.append(value);
    if (misfit !== undefined) throw new Error(`${type} ${misfit}`);
  }
  return builder.finish();
}

/** All values of a column. */
export function valuesOf(column: Column, from?: ColumnType): Value[] {
  return Array.from({ length: column.length }, (_, i) => valueAt(column, i, from));
}

/**
 * A batch with a column of each of the edges, null in every third row.
 *
 * @param length how many rows
 */
export function edgeBatch(length: number): ColumnBatch {
  const fields: LakeField[] = EDGES.map(([type], i) => ({
    id: 1_000 + 7 * i,
    name: `column ${i}.${type}`,
    type,
    required: false,
  }));
  const columns = EDGES.map(([type, values, from], i) =>
    columnOf(
      type,
      Array.from({ length }, (_, row) =>
        (row + i) % 3 === 0 ? null : values[(row + i) % values.length] ?? null),
      from,
    )
  );
  return { fields, length, columns };
}
