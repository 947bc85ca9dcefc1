/**
 * Small makers for the tests of the model disk.
 *
 * @module
 */

import type { Random } from "../oracle/random.ts";

/**
 * Makes ids.
 *
 * @param random decides which
 * @returns makes a UUID at each call
 */
export function uuids(random: Random): () => string {
  const hex = (length: number) =>
    Array.from({ length }, () => random.below(16).toString(16)).join("");
  return () => `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`;
}
