/**
 * Order-free checksums: the sum, modulo 2^32, of a hash of every row and of every cell that is
 * not null. A change moves the sum by the difference of what it touched, so it is kept
 * incrementally, and a null cell counts like one that was never written.
 *
 * Not for security: it finds drift, not forgery.
 *
 * @module
 */

import { canonicalJson } from "./delta.ts";
import type { Value } from "./value.ts";

/** FNV-1a over UTF-16 code units with a final mix. Source: Fowler/Noll/Vo; mix from MurmurHash3. */
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

/**
 * The seed of a row's hashes.
 *
 * @param table the table's name
 * @param rowId the row's id
 * @returns a 32-bit number for {@linkcode rowSum} and {@linkcode cellSum}
 */
export function rowSeed(table: string, rowId: string): number {
  return hash(rowId, hash(table, 0x811c9dc5) ^ 0x1f);
}

/**
 * What the presence of a row adds to a checksum.
 *
 * @param seed from {@linkcode rowSeed}
 * @returns 0 to 2^32 - 1
 */
export function rowSum(seed: number): number {
  return mix(seed);
}

/**
 * What a cell adds to a checksum.
 *
 * @param seed from {@linkcode rowSeed}
 * @param column the column's name
 * @param value the cell's value
 * @returns 0 to 2^32 - 1; 0 for null
 */
export function cellSum(seed: number, column: string, value: Value): number {
  if (value === null) return 0;
  const text = typeof value === "string" ? `s${value}` : `v${canonicalJson(value)}`;
  return mix(hash(text, hash(column, seed) ^ 0x1e));
}
