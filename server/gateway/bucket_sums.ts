/**
 * The sums of a bucket, from which any client's checksum of it is made: for each table the sum of its
 * rows' hashes, and for each column the sum of its cells' hashes, all modulo 2^32, by number.
 *
 * Text: `[[table, count, rows, column, cells, column, cells, …], …]`, sums that are 0 left out.
 *
 * @module
 */

import { cellHash, forEachCell, rowHash, type RowState } from "@lakesync/core";

/** What one row adds to the sums of the buckets that it is in. */
export interface RowSums {
  /** The hash of its rowId. */
  readonly row: number;
  /** The numbers of its columns whose cells' hashes are not 0. */
  readonly columns: readonly number[];
  /** The hash of each of those cells. */
  readonly hashes: readonly number[];
}

/** Computes what a row adds. */
export function sumsOf(rowId: string, state: RowState): RowSums {
  const row = rowHash(rowId);
  const columns: number[] = [];
  const hashes: number[] = [];
  forEachCell(state, (column, value) => {
    const hash = cellHash(row, value);
    if (hash === 0) return;
    columns.push(column);
    hashes.push(hash);
  });
  return { row, columns, hashes };
}

function addCells(cells: Map<number, number>, sums: RowSums | undefined, sign: 1 | -1): void {
  if (sums === undefined) return;
  const { columns, hashes } = sums;
  for (let i = 0; i < columns.length; i++) {
    const column = columns[i] ?? 0;
    cells.set(column, ((cells.get(column) ?? 0) + sign * (hashes[i] ?? 0)) >>> 0);
  }
}

/** The sums of one table of a bucket. */
export interface TableSums {
  /** How many of its rows are in the bucket. */
  count: number;
  /** The sum of their hashes. */
  rows: number;
  /** The sum of the cells' hashes by the column's number. */
  readonly cells: Map<number, number>;
}

/** The sums of one bucket. */
export class BucketSums {
  readonly #tables = new Map<number, TableSums>();

  /** @param text what {@linkcode BucketSums.text} wrote, or "" */
  constructor(text: string) {
    if (text === "") return;
    const stored: readonly (readonly number[])[] = JSON.parse(text);
    for (const [table = 0, count = 0, rows = 0, ...cells] of stored) {
      const sums = new Map<number, number>();
      for (let i = 0; i + 1 < cells.length; i += 2) sums.set(cells[i] ?? 0, cells[i + 1] ?? 0);
      this.#tables.set(table, { count, rows, cells: sums });
    }
  }

  /** Writes them as a text. */
  text(): string {
    const stored: number[][] = [];
    for (const [table, { count, rows, cells }] of this.#tables) {
      if (count === 0) continue;
      const flat = [table, count, rows];
      for (const [column, sum] of cells) if (sum !== 0) flat.push(column, sum);
      stored.push(flat);
    }
    return JSON.stringify(stored);
  }

  /** Takes away what a row added before and adds what it adds now. */
  change(table: number, before: RowSums | undefined, after: RowSums | undefined): void {
    let sums = this.#tables.get(table);
    if (sums === undefined) {
      sums = { count: 0, rows: 0, cells: new Map() };
      this.#tables.set(table, sums);
    }
    const { cells } = sums;
    sums.count += (after === undefined ? 0 : 1) - (before === undefined ? 0 : 1);
    sums.rows = (sums.rows - (before?.row ?? 0) + (after?.row ?? 0)) >>> 0;
    addCells(cells, before, -1);
    addCells(cells, after, 1);
  }

  /** The tables that have sums. */
  tables(): Iterable<readonly [table: number, sums: Readonly<TableSums>]> {
    return this.#tables;
  }
}
