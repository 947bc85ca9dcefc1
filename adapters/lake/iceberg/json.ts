/**
 * JSON with 64-bit numbers: those that a `number` would round are read and written as `bigint`.
 *
 * @module
 */

import type { Long } from "./metadata.ts";

const MAYBE_LONG = /\d{16}/;
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

function isLong(token: string): boolean {
  return INTEGER.test(token) && !Number.isSafeInteger(Number(token));
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
  // Texts that stand for longs on their way through the parser; no other text begins so.
  const mark = crypto.randomUUID();
  return JSON.parse(
    text.replace(TOKEN, (token) => isLong(token) ? `"${mark}${token}"` : token),
    (_, value) =>
      typeof value === "string" && value.startsWith(mark)
        ? BigInt(value.slice(mark.length))
        : value,
  );
}

function withLongs(value: unknown): string | undefined {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map((item) => withLongs(item) ?? "null").join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([name, value]) => [name, withLongs(value)])
    .filter(([, text]) => text !== undefined);
  return `{${members.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join()}}`;
}

function hasLongs(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return typeof value === "bigint";
  return Object.values(value).some(hasLongs);
}

/**
 * Writes JSON.
 *
 * @param value plain data, which may have `bigint`
 */
export function formatJson(value: unknown): string {
  return (hasLongs(value) ? withLongs(value) : JSON.stringify(value)) ?? "null";
}
