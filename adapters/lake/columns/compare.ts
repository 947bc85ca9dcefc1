/**
 * The order of cells: nulls first, false before true, numbers and times by what they are with -0
 * before 0, texts by their code points (which is the order of their UTF-8) and bytes by bytes.
 *
 * @module
 */

import { hasBit } from "./bits.ts";
import type { Column, ColumnData } from "./column.ts";
import { isNull } from "./layout.ts";

/** Compares row i of one column or batch with row j of another; below 0 when it comes first. */
export type RowComparator = (i: number, j: number) => number;

/**
 * How the cells of two columns of one type compare.
 *
 * @param a the column of the first
 * @param b the column of the second; may be the same
 * @throws {TypeError} when the types differ
 */
export function cellComparator(a: Column, b: Column): RowComparator {
  if (a.type !== b.type) throw new TypeError(`Cells of ${a.type} and ${b.type} do not compare`);
  const compare = valueComparator(a.data, b.data);
  if (a.nulls === 0 && b.nulls === 0) return compare;
  return (i, j) => {
    const left = isNull(a, i);
    const right = isNull(b, j);
    if (left || right) return Number(right) - Number(left);
    return compare(i, j);
  };
}

/**
 * How rows compare by several columns, the first of which decides first.
 *
 * @param a the columns of the first row
 * @param b the columns of the second row, of the same types
 * @throws {TypeError} when the types differ
 */
export function rowComparator(a: readonly Column[], b: readonly Column[]): RowComparator {
  if (a.length !== b.length) throw new TypeError("Rows of other columns do not compare");
  const comparators = a.map((column, i) => cellComparator(column, b[i] ?? column));
  const [only, second] = comparators;
  if (only !== undefined && second === undefined) return only;
  return (i, j) => {
    for (const compare of comparators) {
      const order = compare(i, j);
      if (order !== 0) return order;
    }
    return 0;
  };
}

function valueComparator(a: ColumnData, b: ColumnData): RowComparator {
  if (a.kind === "bits" && b.kind === "bits") {
    return (i, j) => Number(hasBit(a.bits, i)) - Number(hasBit(b.bits, j));
  }
  if (a.kind === "int32" && b.kind === "int32") {
    return (i, j) => (a.values[i] ?? 0) - (b.values[j] ?? 0);
  }
  if (a.kind === "int64" && b.kind === "int64") {
    return (i, j) => compareBig(a.values[i] ?? 0n, b.values[j] ?? 0n);
  }
  if (a.kind === "float64" && b.kind === "float64") {
    return (i, j) => compareDoubles(a.values[i] ?? 0, b.values[j] ?? 0);
  }
  if (a.kind === "int128" && b.kind === "int128") {
    return (i, j) =>
      compareBig(a.halves[2 * i + 1] ?? 0n, b.halves[2 * j + 1] ?? 0n) ||
      compareUnsigned(a.halves[2 * i] ?? 0n, b.halves[2 * j] ?? 0n);
  }
  if (a.kind === "bytes" && b.kind === "bytes") {
    return (i, j) =>
      compareBytes(
        a.bytes,
        a.offsets[i] ?? 0,
        a.offsets[i + 1] ?? 0,
        b.bytes,
        b.offsets[j] ?? 0,
        b.offsets[j + 1] ?? 0,
      );
  }
  throw new TypeError(`Cells of ${a.kind} and ${b.kind} do not compare`);
}

function compareBig(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareUnsigned(a: bigint, b: bigint): number {
  return compareBig(BigInt.asUintN(64, a), BigInt.asUintN(64, b));
}

/** NaN, which no column of LakeSync has, is behind all. */
function compareDoubles(a: number, b: number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  if (a === b) return a === 0 ? Number(Object.is(b, -0)) - Number(Object.is(a, -0)) : 0;
  return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
}

function compareBytes(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const common = Math.min(aEnd - aStart, bEnd - bStart);
  for (let i = 0; i < common; i++) {
    const order = (a[aStart + i] ?? 0) - (b[bStart + i] ?? 0);
    if (order !== 0) return order;
  }
  return (aEnd - aStart) - (bEnd - bStart);
}

/** The rows with the least and the greatest value of a column. */
export interface Extremes {
  /** A row with the least value. */
  readonly min: number;
  /** A row with the greatest value. */
  readonly max: number;
}

/**
 * Finds the least and the greatest value of a column. Nulls and NaN are left out.
 *
 * @param column the column
 * @returns their rows, or undefined when there is no value
 */
export function extremesOf(column: Column): Extremes | undefined {
  const { data, length } = column;
  const compare = valueComparator(data, data);
  const doubles = data.kind === "float64" ? data.values : undefined;
  let min = -1;
  let max = -1;
  for (let i = 0; i < length; i++) {
    if (isNull(column, i) || Number.isNaN(doubles?.[i])) continue;
    if (min < 0) min = max = i;
    const order = compare(i, min);
    if (order < 0) min = i;
    else if (order > 0 && compare(i, max) > 0) max = i;
  }
  return min < 0 ? undefined : { min, max };
}
