/**
 * How much of a bucket one page holds. Besides the count that was asked for there is a bound on
 * bytes, since a row may have several MiB.
 *
 * @module
 */

/** A page ends after the row that brings its data to this many bytes. */
export const MAX_PAGE_BYTES: number = 8 * 1024 * 1024;

/**
 * Cuts what was found to a page: at least one row, at most `limit` of them and about
 * {@linkcode MAX_PAGE_BYTES}.
 *
 * @param found the rows in order
 * @param limit how many a page holds
 * @param bytesOf how many bytes a row's data has
 * @returns the rows of the page
 */
export function fitPage<T>(
  found: readonly T[],
  limit: number,
  bytesOf: (row: T) => number,
): readonly T[] {
  let bytes = 0;
  const end = found.findIndex((row, index) => {
    if (index >= limit || bytes >= MAX_PAGE_BYTES) return true;
    bytes += bytesOf(row);
    return false;
  });
  return end === -1 ? found : found.slice(0, end);
}
