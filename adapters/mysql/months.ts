/**
 * The months in which changes were committed. Each is a partition, so that old changes are dropped
 * and not deleted one by one. A partition holds what was committed before the end of its month and
 * not before that of the partition before it. Pure functions.
 *
 * @module
 */

/** A partition. */
export interface Month {
  /** Its name. */
  readonly name: string;
  /** Its end, in milliseconds since 1970. */
  readonly endMs: number;
}

/** How many months from the present one are made at first. */
export const FIRST_MONTHS: readonly number[] = [0, 1];

/** More months than these are not made one by one. */
const MAX_AHEAD = 24;

/**
 * A month.
 *
 * @param ms a time in it, in milliseconds since 1970
 * @param months so many later
 */
export function monthAfter(ms: number, months: number): Month {
  const date = new Date(ms);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth() + months];
  const start = new Date(Date.UTC(year, month)).toISOString();
  return {
    name: `m${start.slice(0, 4)}${start.slice(5, 7)}`,
    endMs: Date.UTC(year, month + 1),
  };
}

/**
 * The months that are lacking for changes, and one ahead of them.
 *
 * @param lastEndMs the end of the last month that is there
 * @param newestMs when the newest change was committed
 */
export function lackingMonths(lastEndMs: number, newestMs: number): readonly Month[] {
  if (newestMs < lastEndMs) return [];
  const months: Month[] = [];
  for (let end = lastEndMs; end <= newestMs; end = months.at(-1)?.endMs ?? Infinity) {
    if (months.length >= MAX_AHEAD) return [monthAfter(newestMs, 0), monthAfter(newestMs, 1)];
    months.push(monthAfter(end, 0));
  }
  return [...months, monthAfter(newestMs, 1)];
}

/** A partition as a statement makes it. */
export function partitionText({ name, endMs }: Month): string {
  const end = new Date(endMs).toISOString().slice(0, 10);
  return `PARTITION ${name} VALUES LESS THAN ('${end} 00:00:00')`;
}

/**
 * Reads the end of a partition.
 *
 * @param description as `information_schema` has it: a time in quotes
 */
export function endOfPartition(description: string): number {
  return Date.parse(`${description.replaceAll("'", "").slice(0, 10)}T00:00:00Z`);
}
