/**
 * Times as flags give them: `30s`, `15m`, `1h`, `7d`.
 *
 * @module
 */

import { UsageError } from "./values.ts";

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86400 };

/**
 * Reads a time.
 *
 * @param flag the flag it was given by
 * @param text the text; a number alone is in seconds
 * @returns seconds, 0 or more
 * @throws {UsageError}
 */
export function parseTime(flag: string, text: string): number {
  const [, count, unit] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? [];
  const seconds = SECONDS[unit || "s"];
  if (count === undefined || seconds === undefined) {
    throw new UsageError(`--${flag} is a time such as 30s, 15m, 1h or 7d`);
  }
  return Number(count) * seconds;
}
