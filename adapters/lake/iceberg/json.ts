/**
 * JSON with 64-bit numbers: those that a `number` would round are read and written as `bigint`.
 *
 * @module
 */

import type { Long } from "./metadata.ts";

const MARK = "\u0001long:";
const MARKED = /"\\u0001long:(-?\d+)"/g;
const MAYBE_LONG = /(?<![\w.])-?\d{16,}/;
const TOKEN = /"[^"\\]*(?:\\[^][^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const INTEGER = /^-?\d{16,}$/;

/**
 * A 64-bit number in the one form that it has.
 *
 * @param value the number
 */
export function toLong(value: bigint): Long {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function markLong(token: string): string {
  return INTEGER.test(token) && !Number.isSafeInteger(Number(token))
    ? `"\\u0001long:${token}"`
    : token;
}

/**
 * Reads JSON.
 *
 * @param text the JSON
 * @returns what it says; integers beyond 2^53 are `bigint`
 * @throws {SyntaxError} when it is none
 */
export function parseJson(text: string): unknown {
  if (!MAYBE_LONG.test(text)) return JSON.parse(text);
  return JSON.parse(
    text.replace(TOKEN, markLong),
    (_, value) =>
      typeof value === "string" && value.startsWith(MARK)
        ? BigInt(value.slice(MARK.length))
        : value,
  );
}

/**
 * Writes JSON.
 *
 * @param value what it is to say; may have `bigint`
 */
export function formatJson(value: unknown): string {
  let longs = false;
  const text = JSON.stringify(value, (_, value) => {
    if (typeof value !== "bigint") return value;
    longs = true;
    return `${MARK}${value}`;
  });
  return longs ? text.replace(MARKED, "$1") : text;
}
