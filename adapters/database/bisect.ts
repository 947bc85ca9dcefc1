/**
 * Finds the rows that a database refuses, by writing halves of what it refused. All others are
 * written.
 *
 * @module
 */

/** Why a row was refused. */
export interface Refusal {
  /** For people: what the database said. */
  readonly reason: string;
  /** The database's own code, where there is one. */
  readonly code: string | undefined;
}

/**
 * Writes rows, all that the database takes. Costs one write when all are taken, and about
 * 2·log₂(rows) more for each that is not.
 *
 * @param rows the rows
 * @param tryWrite writes rows, all or none; gives why the database refused one of them, or undefined
 * when all are written. Failures that are no row's fault are thrown
 * @returns the rows that were refused, in their order
 */
export async function bisect<T>(
  rows: readonly T[],
  tryWrite: (rows: readonly T[]) => Promise<Refusal | undefined>,
): Promise<readonly (readonly [row: T, refusal: Refusal])[]> {
  if (rows.length === 0) return [];
  const refusal = await tryWrite(rows);
  if (refusal === undefined) return [];
  const [first] = rows;
  if (rows.length === 1 && first !== undefined) return [[first, refusal]];
  const middle = rows.length >> 1;
  const left = await bisect(rows.slice(0, middle), tryWrite);
  return [...left, ...await bisect(rows.slice(middle), tryWrite)];
}
