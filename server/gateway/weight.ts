/**
 * How much work deltas are for the event loop, so that a commit can be cut before it is too much
 * at once.
 *
 * @module
 */

import type { Delta } from "@lakesync/core";

/** The weight one commit gathers; it bounds how long one commit keeps the event loop. */
export const GROUP_WEIGHT = 2_000;

/** A delta weighs 1 for each so many cells it writes, and at least 1. */
const CELLS = 25;

/**
 * Weighs a delta.
 *
 * @param delta the delta
 * @returns 1 up to 25 cells, 2 up to 50, and so on
 */
export function weightOf({ values }: Delta): number {
  return values.length <= CELLS ? 1 : Math.ceil(values.length / CELLS);
}

/**
 * Weighs deltas together.
 *
 * @param deltas the deltas
 * @returns the sum of their weights
 */
export function weightOfAll(deltas: readonly Delta[]): number {
  let weight = 0;
  for (const delta of deltas) weight += weightOf(delta);
  return weight;
}
