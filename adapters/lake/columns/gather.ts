/**
 * Makes columns of the rows of others, without looking at what the values are. Every column has
 * buffers of its own, so each may be transferred.
 *
 * @module
 */

import { bytesOfBits, copyBits, hasBit, setBit } from "./bits.ts";
import type { Column, ColumnData } from "./column.ts";
import { type ColumnKind, type DataOf, emptyData, isNull } from "./layout.ts";

/** Which rows are taken, in their order: row i is row `rows[i]` of column `batches[i]`. */
export interface Picks {
  /** Which column; -1 for a null. */
  readonly batches: ArrayLike<number>;
  /** Which row of it. */
  readonly rows: ArrayLike<number>;
}

/** The buffers of columns, all of one kind. */
function dataOf<Kind extends ColumnKind>(
  columns: readonly Column[],
  kind: Kind,
): readonly DataOf<Kind>[] {
  return columns.map(({ data }) => {
    if (isKind(data, kind)) return data;
    throw new TypeError(`A column of ${data.kind} is among columns of ${kind}`);
  });
}

function isKind<Kind extends ColumnKind>(data: ColumnData, kind: Kind): data is DataOf<Kind> {
  return data.kind === kind;
}

function firstOf(columns: readonly Column[]): Column {
  const [first] = columns;
  if (first === undefined) throw new TypeError("Columns are made of one at least");
  if (columns.some(({ type }) => type !== first.type)) {
    throw new TypeError(`Columns of other types are among those of ${first.type}`);
  }
  return first;
}

/**
 * Takes rows of several columns.
 *
 * @param columns columns of one type, at least one
 * @param picks which rows
 * @returns a column of as many rows as there are picks
 * @throws {TypeError} when there is no column, or one of another type
 */
export function gather(columns: readonly Column[], picks: Picks): Column {
  const first = firstOf(columns);
  const length = picks.rows.length;
  const data = gatherData(columns, first.data.kind, picks);
  const validity = new Uint8Array(bytesOfBits(length));
  let nulls = 0;
  for (let i = 0; i < length; i++) {
    const column = columns[picks.batches[i] ?? -1];
    if (column === undefined || isNull(column, picks.rows[i] ?? 0)) nulls++;
    else setBit(validity, i);
  }
  return { type: first.type, length, nulls, validity: nulls > 0 ? validity : undefined, data };
}

function gatherData(columns: readonly Column[], kind: ColumnKind, picks: Picks): ColumnData {
  const { batches, rows } = picks;
  const length = rows.length;
  const to = emptyData(kind, length);
  switch (to.kind) {
    case "bits": {
      const from = dataOf(columns, to.kind);
      for (let i = 0; i < length; i++) {
        const source = from[batches[i] ?? -1];
        if (source !== undefined && hasBit(source.bits, rows[i] ?? 0)) setBit(to.bits, i);
      }
      return to;
    }
    case "int32": {
      const from = dataOf(columns, to.kind);
      for (let i = 0; i < length; i++) {
        to.values[i] = from[batches[i] ?? -1]?.values[rows[i] ?? 0] ?? 0;
      }
      return to;
    }
    case "int64": {
      const from = dataOf(columns, to.kind);
      for (let i = 0; i < length; i++) {
        to.values[i] = from[batches[i] ?? -1]?.values[rows[i] ?? 0] ?? 0n;
      }
      return to;
    }
    case "float64": {
      const from = dataOf(columns, to.kind);
      for (let i = 0; i < length; i++) {
        to.values[i] = from[batches[i] ?? -1]?.values[rows[i] ?? 0] ?? 0;
      }
      return to;
    }
    case "int128": {
      const from = dataOf(columns, to.kind);
      for (let i = 0; i < length; i++) {
        const halves = from[batches[i] ?? -1]?.halves;
        const row = rows[i] ?? 0;
        to.halves[2 * i] = halves?.[2 * row] ?? 0n;
        to.halves[2 * i + 1] = halves?.[2 * row + 1] ?? 0n;
      }
      return to;
    }
    case "bytes":
      return gatherBytes(dataOf(columns, to.kind), picks);
  }
}

function gatherBytes(from: readonly DataOf<"bytes">[], { batches, rows }: Picks): ColumnData {
  const length = rows.length;
  const offsets = new Int32Array(length + 1);
  let used = 0;
  for (let i = 0; i < length; i++) {
    const source = from[batches[i] ?? -1]?.offsets;
    const row = rows[i] ?? 0;
    used += source === undefined ? 0 : (source[row + 1] ?? 0) - (source[row] ?? 0);
    if (used > 2 ** 31 - 1) {
      throw new RangeError("A column holds at most 2 GiB, make smaller files");
    }
    offsets[i + 1] = used;
  }
  const bytes = new Uint8Array(used);
  for (let i = 0; i < length; i++) {
    const source = from[batches[i] ?? -1];
    if (source === undefined) continue;
    let at = offsets[i] ?? 0;
    let start = source.offsets[rows[i] ?? 0] ?? 0;
    const end = source.offsets[(rows[i] ?? 0) + 1] ?? 0;
    // A call costs more than a few bytes.
    if (end - start > 32) bytes.set(source.bytes.subarray(start, end), at);
    else while (start < end) bytes[at++] = source.bytes[start++] ?? 0;
  }
  return { kind: "bytes", offsets, bytes };
}

/**
 * Puts columns one behind the other.
 *
 * @param columns columns of one type, at least one
 * @returns a column of all their rows
 * @throws {TypeError} when there is no column, or one of another type
 */
export function concat(columns: readonly Column[]): Column {
  const { type, data: { kind } } = firstOf(columns);
  const length = columns.reduce((sum, column) => sum + column.length, 0);
  const nulls = columns.reduce((sum, column) => sum + column.nulls, 0);
  const data = emptyData(kind, length, bytesOf(columns));
  const validity = nulls > 0 ? new Uint8Array(bytesOfBits(length)) : undefined;
  let at = 0;
  for (const column of columns) {
    copyData(column, 0, column.length, data, at);
    if (validity !== undefined) copyValidity(column, 0, column.length, validity, at);
    at += column.length;
  }
  return { type, length, nulls, validity, data };
}

function bytesOf(columns: readonly Column[]): number {
  let bytes = 0;
  for (const { data, length } of columns) {
    if (data.kind === "bytes") bytes += (data.offsets[length] ?? 0) - (data.offsets[0] ?? 0);
  }
  if (bytes > 2 ** 31 - 1) throw new RangeError("A column holds at most 2 GiB, make smaller files");
  return bytes;
}

/**
 * Copies the rows of a part of a column.
 *
 * @param column the column
 * @param start its first row that is taken
 * @param end the row behind the last
 */
export function slice(column: Column, start: number, end: number): Column {
  if (!(start >= 0 && start <= end && end <= column.length)) {
    throw new RangeError(`There are no rows ${start} to ${end} among ${column.length}`);
  }
  const length = end - start;
  const { data: from } = column;
  const bytes = from.kind === "bytes" ? (from.offsets[end] ?? 0) - (from.offsets[start] ?? 0) : 0;
  const data = emptyData(from.kind, length, bytes);
  copyData(column, start, length, data, 0);
  if (column.validity === undefined) {
    return { type: column.type, length, nulls: 0, validity: undefined, data };
  }
  const validity = new Uint8Array(bytesOfBits(length));
  copyValidity(column, start, length, validity, 0);
  let nulls = 0;
  for (let i = 0; i < length; i++) if (!hasBit(validity, i)) nulls++;
  return { type: column.type, length, nulls, validity: nulls > 0 ? validity : undefined, data };
}

function copyValidity(
  { validity }: Column,
  start: number,
  count: number,
  to: Uint8Array,
  at: number,
): void {
  if (validity !== undefined) copyBits(validity, start, count, to, at);
  else for (let i = 0; i < count; i++) setBit(to, at + i);
}

/** Copies values to where they were zero; for bytes, those before are there already. */
function copyData(
  { data: from }: Column,
  start: number,
  count: number,
  to: ColumnData,
  at: number,
): void {
  const end = start + count;
  if (from.kind === "bits" && to.kind === "bits") copyBits(from.bits, start, count, to.bits, at);
  else if (from.kind === "int32" && to.kind === "int32") {
    to.values.set(from.values.subarray(start, end), at);
  } else if (from.kind === "int64" && to.kind === "int64") {
    to.values.set(from.values.subarray(start, end), at);
  } else if (from.kind === "float64" && to.kind === "float64") {
    to.values.set(from.values.subarray(start, end), at);
  } else if (from.kind === "int128" && to.kind === "int128") {
    to.halves.set(from.halves.subarray(2 * start, 2 * end), 2 * at);
  } else if (from.kind === "bytes" && to.kind === "bytes") {
    const first = from.offsets[start] ?? 0;
    const shift = (to.offsets[at] ?? 0) - first;
    for (let i = 1; i <= count; i++) to.offsets[at + i] = (from.offsets[start + i] ?? 0) + shift;
    to.bytes.set(from.bytes.subarray(first, from.offsets[end] ?? 0), first + shift);
  } else throw new TypeError(`A column of ${from.kind} is among columns of ${to.kind}`);
}
