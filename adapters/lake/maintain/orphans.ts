/**
 * Removes objects of a table that nothing names: of commits that failed, or that a crash left before
 * they were deleted. What is young may be about to be named, and stays.
 *
 * @module
 */

import type { TableName } from "../catalog/catalog.ts";
import type { ObjectHead } from "../../object-store/object_store.ts";
import type { Lake } from "../flush/lake.ts";
import { namedKeys, readExpired } from "./expire.ts";
import type { Reach } from "./reach.ts";

/** Orphans are removed when they are older than this, in milliseconds. */
export const ORPHAN_MS: number = 3 * 86_400_000;

/** So many are removed at once, at most. */
const MAX_AT_ONCE = 10_000;

/**
 * Removes objects that nothing names.
 *
 * @param lake the lake
 * @param name the table
 * @param reach knows what snapshots name
 * @param olderThanMs only those that are older, in milliseconds
 * @returns how many were removed
 */
export async function removeOrphans(
  lake: Lake,
  name: TableName,
  reach: Reach,
  olderThanMs: number = ORPHAN_MS,
): Promise<number> {
  const table = await lake.catalog.load(name);
  if (table === undefined) return 0;
  const folder = lake.location.keyOf(table.metadata.location);
  if (folder === undefined) return 0;
  // What a commit to come will name is young by the store's clock, if this one is far ahead.
  const mayBeOldMs = lake.now() - olderThanMs;
  let newestMs = -Infinity;
  const old: ObjectHead[] = [];
  for await (const head of lake.store.listObjects(folder)) {
    newestMs = Math.max(newestMs, head.modifiedMs);
    const isCandidate = head.modifiedMs < mayBeOldMs && isCollectable(head.key);
    if (isCandidate && old.length < MAX_AT_ONCE) old.push(head);
  }
  if (old.length === 0) return 0;
  // Read after the listing, so that it knows all that was committed until then.
  const now = await lake.catalog.load(name);
  if (now === undefined || now.metadata["table-uuid"] !== table.metadata["table-uuid"]) return 0;
  const named = await namedKeys(lake, now.metadata, reach);
  const expired = await readExpired(lake, now.metadata);
  // Who reads a snapshot that went may still need these.
  const awaited = new Set([...expired].flatMap(([list, keys]) => [list, ...keys]));
  const orphans = old
    .filter(({ modifiedMs }) => modifiedMs < newestMs - olderThanMs)
    .map(({ key }) => key)
    .filter((key) => !named.has(key) && !awaited.has(key));
  await lake.store.deleteObjects(orphans);
  return orphans.length;
}

/** The catalog looks after its own objects. */
function isCollectable(key: string): boolean {
  return !key.endsWith(".metadata.json") && !key.endsWith("version-hint.text");
}
