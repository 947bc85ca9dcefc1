/**
 * Which schema versions clients still use: for each version the day on which one of its clients was
 * seen last. A version that a client used within the kept history loses nothing unless forced.
 *
 * Pure: whoever serves pushes and pulls calls {@linkcode seen} and stores what it gives.
 *
 * @module
 */

import type { JsonValue } from "@lakesync/core";

/** The name of the record that holds the census. */
export const VERSIONS_META = "versions";

const DAY_MS = 24 * 60 * 60 * 1000;

/** For each schema version when a client of it was seen, in milliseconds since 1970, to the day. */
export type Census = ReadonlyMap<number, number>;

/**
 * Notes that a client of a version was there.
 *
 * @param census what is known
 * @param version a registered version; 0, which names none, is not counted
 * @param nowMs now, in milliseconds since 1970
 * @returns the census to store; the same one, most of the time, when there is nothing to store
 */
export function seen(census: Census, version: number, nowMs: number): Census {
  if (version === 0 || nowMs - (census.get(version) ?? -Infinity) < DAY_MS) return census;
  return new Map(census).set(version, nowMs);
}

/**
 * Finds when a client of a version was seen within the kept history. What is noted once a day may
 * be a day behind.
 *
 * @param census what is known
 * @param version the version
 * @param sinceMs where the kept history begins, in milliseconds since 1970
 * @returns when, in milliseconds since 1970; undefined when none was
 */
export function seenSince(census: Census, version: number, sinceMs: number): number | undefined {
  const lastMs = census.get(version);
  return lastMs !== undefined && lastMs + DAY_MS > sinceMs ? lastMs : undefined;
}

/** The census of the versions that are still registered; the same one when that is all of it. */
export function keepVersions(census: Census, versions: readonly number[]): Census {
  const kept = [...census].filter(([version]) => versions.includes(version));
  return kept.length === census.size ? census : new Map(kept);
}

/** Reads a census from its record. */
export function readCensus(text: string | undefined): Census {
  const pairs: JsonValue = JSON.parse(text ?? "[]");
  const census = new Map<number, number>();
  for (const pair of Array.isArray(pairs) ? pairs : []) {
    if (Array.isArray(pair)) census.set(Number(pair[0]), Number(pair[1]));
  }
  return census;
}

/** Writes a census as its record. */
export function writeCensus(census: Census): string {
  return JSON.stringify([...census].sort(([a], [b]) => a - b));
}
