/**
 * The order of conflicts: when something was written and by whom.
 *
 * @module
 */

import type { Hlc } from "./clock.ts";

/** When something was written and by whom; the order of conflicts. */
export interface Stamp {
  /** The writer's hybrid logical clock. */
  readonly hlc: Hlc;
  /** Breaks ties between equal clocks. */
  readonly clientId: string;
}

/**
 * Orders two stamps: by clock, then by clientId (UTF-16 code units).
 *
 * @param a a stamp
 * @param b a stamp
 * @returns negative, zero or positive as `a` is less than, equal to or greater than `b`
 */
export function compareStamps(a: Stamp, b: Stamp): number {
  if (a.hlc !== b.hlc) return a.hlc < b.hlc ? -1 : 1;
  if (a.clientId === b.clientId) return 0;
  return a.clientId < b.clientId ? -1 : 1;
}
