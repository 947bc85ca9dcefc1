/**
 * When a caller that was turned away is to come back. Those who were turned away at one moment are
 * told different times, so that they do not all come back at one moment.
 *
 * @module
 */

/**
 * Spreads a time over up to its double.
 *
 * @param leastSeconds before that it would be in vain; counts as a whole number of seconds
 * @param random from 0 to 1
 * @returns seconds, with milliseconds
 */
export function spreadRetry(leastSeconds: number, random: number): number {
  const least = Math.max(1, Math.ceil(leastSeconds));
  return Math.round(least * (1 + random) * 1000) / 1000;
}

/** A spread time as `Retry-After` has it, in whole seconds and not before the least. */
export function retryAfterHeader(seconds: number): string {
  return String(Math.max(1, Math.round(seconds)));
}
