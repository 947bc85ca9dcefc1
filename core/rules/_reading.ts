/**
 * Reads untrusted JSON and says where it is wrong.
 *
 * @module
 */

import { LakeSyncError } from "../errors.ts";

/**
 * Refuses a rule set.
 *
 * @param place where, like `$.buckets[0].name`
 * @param what what is wrong
 * @throws {LakeSyncError} `VALIDATION_ERROR`
 */
export function fail(place: string, what: string): never {
  throw new LakeSyncError("VALIDATION_ERROR", `Rules at ${place}: ${what}`);
}

/** A name for a message, cut when it is long. */
export function quoted(name: unknown): string {
  return JSON.stringify(String(name).slice(0, 64));
}

/** An object that is not an array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads an object and refuses fields that it may not have. */
export function record(
  value: unknown,
  fields: readonly string[] | undefined,
  place: string,
): Record<string, unknown> {
  if (!isRecord(value)) fail(place, "must be an object");
  for (const field of Object.keys(value)) {
    if (fields && !fields.includes(field)) fail(place, `unknown field ${quoted(field)}`);
  }
  return value;
}

/** Reads an array; undefined is an empty one. */
export function list(value: unknown, place: string): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) fail(place, "must be an array");
  return value;
}

/** Reads a text. */
export function text(value: unknown, place: string): string {
  if (typeof value !== "string" || value === "") fail(place, "must be a text that is not empty");
  return value;
}

/** Reads one of a few texts. */
export function oneOf<const T extends string>(
  value: unknown,
  texts: readonly T[],
  place: string,
): T {
  const found = texts.find((item) => item === value);
  if (found === undefined) fail(place, `must be one of ${texts.join(", ")}`);
  return found;
}

/** Refuses JSON that is nested too deep. */
export function checkDepth(value: unknown, depth: number, place: string): void {
  if (typeof value !== "object" || value === null) return;
  if (depth === 0) fail(place, "is nested too deep");
  for (const item of Object.values(value)) checkDepth(item, depth - 1, place);
}
