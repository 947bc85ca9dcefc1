/**
 * Places in a history, positions and keys of rows, and their order. Pure functions.
 *
 * @module
 */

import type { DestinationKey, FlushPosition, Place } from "./adapter.ts";

/**
 * Orders two places of one history. A whole transaction is after all of its slices.
 *
 * @returns negative, zero or positive as `a` is before, at or after `b`
 */
export function comparePlaces(a: Place, b: Place): number {
  if (a.seq !== b.seq) return a.seq - b.seq;
  if (a.slice === b.slice) return 0;
  return (a.slice ?? Infinity) - (b.slice ?? Infinity);
}

/**
 * Tells whether two positions are the same, lives and writer included.
 *
 * @param a a position, or undefined before the first flush
 * @param b another
 */
export function samePosition(a: FlushPosition | undefined, b: FlushPosition | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return comparePlaces(a, b) === 0 && a.writer === b.writer && a.filled === b.filled &&
    a.floor === b.floor && a.lives.length === b.lives.length &&
    a.lives.every(({ id, fromSeq }, i) => b.lives[i]?.id === id && b.lives[i].fromSeq === fromSeq);
}

/**
 * Orders keys of rows: by the table's number, then by the bytes of the rowId in UTF-8.
 *
 * @returns negative, zero or positive as `a` is before, at or after `b`
 */
export function compareKeys(a: DestinationKey, b: DestinationKey): number {
  return a.table - b.table || compareUtf8(a.rowId, b.rowId);
}

/**
 * A text that names a row among those of all tables.
 *
 * @param key its key
 */
export function nameOfKey({ table, rowId }: DestinationKey): string {
  return `${table} ${rowId}`;
}

/**
 * Orders texts by their bytes in UTF-8, which is the order of code points; in UTF-16 surrogates would
 * be before U+E000 to U+FFFF.
 *
 * @returns negative, zero or positive as `a` is before, equal to or after `b`
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
