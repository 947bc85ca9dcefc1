/**
 * Order-free checksums of a bucket's content, linear in what they are made of:
 *
 *     Σ tables t  f(t) · ( Σ rows h(row)  +  Σ columns c  g(t, c) · Σ cells h(row, value) )
 *
 * modulo 2^32. Rows are counted as they are in the bucket, and a cell that is null counts like one
 * that was never written. The inner sums know neither the table's nor the column's name: whoever
 * keeps them moves them by the difference of what a change touched, renames cost nothing, and the
 * checksum for one projection takes one multiplication for each column ({@linkcode combine}).
 *
 * The exact algorithm, for clients in other languages. All numbers are unsigned and of 32 bits, `*`
 * and `+` are modulo 2^32, `^` is exclusive or and `>>` shifts zeros in. Texts are sequences of
 * UTF-16 code units.
 *
 *     feed(text, h)    = for each code unit u of text: h = (h ^ u) * 0x01000193; gives h
 *     mix(h)           = h ^= h >> 16; h *= 0x85ebca6b; h ^= h >> 13; h *= 0xc2b2ae35; h ^ (h >> 16)
 *     rowHash(rowId)   = mix(feed(rowId, 0x811c9dc5))
 *     cellHash(r, v)   = 0 when v is null, else mix(feed(text(v), r ^ 0x1e))
 *     tableFactor(t)   = mix(feed(t, 0x811c9dc5 ^ 0x1f)) | 1
 *     columnFactor(t, c) = mix(feed(c, feed(t, 0x811c9dc5 ^ 0x1f) ^ 0x1e)) | 1
 *
 * where r is the row's rowHash, and text(v) is the letter `s` and v itself for a string (types
 * `string`, `timestamp`, `date`, `uuid` and `decimal`, and a `json` value that is a string), and the
 * letter `v` and the RFC 8785 canonical JSON of v for everything else: `true` and `false`; numbers as
 * ECMAScript writes them, -0 as `0`; integers beyond ±(2^53−1) as a JSON string of their decimal
 * digits; bytes as a JSON string of their base64 with padding (RFC 4648 section 4); objects and
 * arrays, and the value of a set as the array of its elements in the order of their canonical JSON.
 *
 * Source: FNV-1a (Fowler, Noll, Vo), here over code units; the final mix is that of MurmurHash3.
 *
 * Not for security: it finds drift, not forgery.
 *
 * @module
 */

import { canonicalJson } from "./delta.ts";
import type { Value } from "./value.ts";

function hash(text: string, seed: number): number {
  let h = seed;
  for (let i = 0; i < text.length; i++) {
    h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  }
  return h;
}

function mix(h: number): number {
  let x = h ^ (h >>> 16);
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

const OFFSET = 0x811c9dc5;

/**
 * What the presence of a row adds to the inner sum of its table's rows.
 *
 * @param rowId the row's id
 * @returns 0 to 2^32 - 1
 */
export function rowHash(rowId: string): number {
  return mix(hash(rowId, OFFSET));
}

/**
 * What a cell adds to the inner sum of its column.
 *
 * @param row the {@linkcode rowHash} of its row
 * @param value the cell's value
 * @returns 0 to 2^32 - 1; 0 for null
 */
export function cellHash(row: number, value: Value): number {
  if (value === null) return 0;
  const text = typeof value === "string" ? `s${value}` : `v${canonicalJson(value)}`;
  return mix(hash(text, row ^ 0x1e));
}

/**
 * By what a table's sum is multiplied.
 *
 * @param table the table's name
 * @returns an odd number, 1 to 2^32 - 1
 */
export function tableFactor(table: string): number {
  return (mix(hash(table, OFFSET ^ 0x1f)) | 1) >>> 0;
}

/**
 * By what a column's sum is multiplied.
 *
 * @param table the table's name
 * @param column the column's name
 * @returns an odd number, 1 to 2^32 - 1
 */
export function columnFactor(table: string, column: string): number {
  return (mix(hash(column, hash(table, OFFSET ^ 0x1f) ^ 0x1e)) | 1) >>> 0;
}

/** The inner sums of one table of a bucket, modulo 2^32. */
export interface InnerSums {
  /** The table's name. */
  readonly table: string;
  /** The sum of its rows' hashes. */
  readonly rows: number;
  /** For each column that counts, the sum of its cells' hashes. */
  readonly columns: Iterable<readonly [name: string, cells: number]>;
}

/**
 * Makes a checksum of inner sums.
 *
 * @param tables the inner sums of each table, each table once
 * @returns 0 to 2^32 - 1
 *
 * @example
 * ```ts
 * import { cellHash, combine, rowHash } from "@lakesync/core";
 *
 * const row = rowHash("t1");
 * const columns = [["title", cellHash(row, "Buy milk")]] as const;
 * const checksum = combine([{ table: "todos", rows: row, columns }]);
 * console.assert(checksum === 987900548);
 * ```
 */
export function combine(tables: Iterable<InnerSums>): number {
  let checksum = 0;
  for (const { table, rows, columns } of tables) {
    let sum = rows;
    for (const [name, cells] of columns) {
      sum = (sum + Math.imul(columnFactor(table, name), cells)) | 0;
    }
    checksum = (checksum + Math.imul(tableFactor(table), sum)) | 0;
  }
  return checksum >>> 0;
}
