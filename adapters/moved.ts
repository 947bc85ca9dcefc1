/**
 * What a write fails with whose position is not the destination's.
 *
 * @module
 */

import { DestinationError, type FlushPosition } from "./adapter.ts";

/**
 * A write follows another position than the one at which its destination stands.
 *
 * @param stands where the destination stands
 * @param expected what the write follows
 */
export function moved(
  stands: FlushPosition | undefined,
  expected: FlushPosition | undefined,
): DestinationError {
  const [found, wanted] = [stands, expected].map((position) => position?.seq ?? "none");
  const what = stands !== undefined && expected !== undefined && stands.writer !== expected.writer
    ? `The flush position ${found} was set by another process`
    : `The flush position is ${found} and not the expected ${wanted}`;
  return new DestinationError("now", `${what}, ask for it again`);
}
