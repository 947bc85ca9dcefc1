/**
 * What becomes of a file some of whose rows change: it is written anew, or its rows are taken away by
 * their positions and come back in another file. Pure.
 *
 * @module
 */

/** A file of rows. */
export interface TouchedFile {
  /** Its size in bytes. */
  readonly bytes: number;
  /** Its rows, those that are gone among them. */
  readonly rows: number;
  /** How many of them are gone already. */
  readonly gone: number;
  /** How many of the others change or go. */
  readonly touched: number;
}

/** When files are written anew. */
export interface RewriteSettings {
  /** A file below this, in bytes, is written anew: it costs as little as to delete from it. */
  readonly smallBytes: number;
  /** A file of whose rows this part is gone is written anew: readers would skip as many. */
  readonly maxGone: number;
}

/** What holds unless configured otherwise. */
export const DEFAULT_REWRITE: RewriteSettings = { smallBytes: 2 * 1024 * 1024, maxGone: 0.1 };

/** What becomes of a file: nothing, some of its rows are deleted, it is written anew. */
export type FileFate = "leave" | "delete" | "rewrite";

/**
 * Decides what becomes of a file.
 *
 * @param file the file
 * @param settings when files are written anew
 */
export function fateOf(
  { bytes, rows, gone, touched }: TouchedFile,
  { smallBytes, maxGone }: RewriteSettings = DEFAULT_REWRITE,
): FileFate {
  if (touched === 0) return "leave";
  return bytes < smallBytes || gone + touched > rows * maxGone ? "rewrite" : "delete";
}

/** A file has so many rows at most, since they are put together at once. */
const MAX_ROWS = 128_000;

/**
 * How many rows a new file may have, so that it has about so many bytes.
 *
 * @param targetBytes bytes
 * @param known files with rows of the same kind
 * @param fallbackBytes bytes of a row when there are none
 */
export function rowsPerFile(
  targetBytes: number,
  known: readonly { readonly bytes: number; readonly rows: number }[],
  fallbackBytes: number,
): number {
  const bytes = known.reduce((sum, file) => sum + file.bytes, 0);
  const rows = known.reduce((sum, file) => sum + file.rows, 0);
  const each = rows === 0 ? fallbackBytes : bytes / rows;
  return Math.min(MAX_ROWS, Math.max(1, Math.floor(targetBytes / Math.max(each, 0.001))));
}
