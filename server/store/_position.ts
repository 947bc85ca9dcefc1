/**
 * How stores order entries of one seq: by the row's own number. The number is all a position
 * tells, so a cursor made of it names no row.
 *
 * @module
 */

/**
 * Reads the tie of a position.
 *
 * @param tie a row's number in decimal, or "" for the place before all of them
 * @returns the number, 0 for a text that is none
 */
export function parseTie(tie: string): number {
  return /^\d{1,15}$/.test(tie) ? Number(tie) : 0;
}
