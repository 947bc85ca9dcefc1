/**
 * Lets old snapshots of a table go, and then what only they named. Who began to read one of them did
 * so an hour ago at least.
 *
 * @module
 */

import type { LoadedTable, TableName } from "../catalog/catalog.ts";
import type { Lake } from "../flush/lake.ts";
import { keyAt } from "../iceberg/lake_files.ts";
import type { Long, Snapshot, TableMetadata } from "../iceberg/metadata.ts";
import { locationsIn, type Reach } from "./reach.ts";
import { DEFAULT_THINNING, expired, type Thinning } from "./thinning.ts";

/** So many snapshots go at once, at most. */
const MAX_AT_ONCE = 1_000;

/** What went. */
export interface Expired {
  /** How many snapshots. */
  readonly snapshots: number;
  /** How many objects. */
  readonly objects: number;
}

/**
 * Lets old snapshots go.
 *
 * @param lake the lake
 * @param name the table
 * @param reach knows what snapshots name
 * @param thinning which are kept
 * @throws {CatalogError} when others were first, or the outcome is not known; nothing is deleted then
 */
export async function expireSnapshots(
  lake: Lake,
  name: TableName,
  reach: Reach,
  thinning: Thinning = DEFAULT_THINNING,
): Promise<Expired> {
  const base = await lake.catalog.load(name);
  const goes = base === undefined ? [] : oldSnapshots(base.metadata, lake.now(), thinning);
  if (base === undefined || goes.length === 0) return { snapshots: 0, objects: 0 };
  const ids = new Set<Long>(goes.map((snapshot) => snapshot["snapshot-id"]));
  const after = await lake.catalog.commit(base, [
    { action: "remove-snapshots", "snapshot-ids": [...ids] },
  ]);
  const objects = await deleteUnnamed(lake, base, after, goes, reach);
  return { snapshots: goes.length, objects };
}

/** Deletes what only snapshots named that are gone. */
async function deleteUnnamed(
  lake: Lake,
  { metadata }: LoadedTable,
  after: LoadedTable,
  goes: readonly Snapshot[],
  reach: Reach,
): Promise<number> {
  const kept = after.metadata.snapshots ?? [];
  const named = await reach.namedOnlyBy(lake, metadata, goes, kept);
  const stays = new Set(locationsIn(lake, [after.metadata.properties, ...summariesOf(kept)]));
  const beside = locationsIn(lake, summariesOf(goes)).filter((location) => !stays.has(location));
  const keys = [...new Set([...named, ...beside])].map((location) => keyAt(lake, location));
  await lake.store.deleteObjects(keys);
  return keys.length;
}

function summariesOf(snapshots: readonly Snapshot[]): readonly Snapshot["summary"][] {
  return snapshots.map(({ summary }) => summary);
}

/** Chooses snapshots, branch by branch; they are in the order in which they were made. */
function oldSnapshots(
  { snapshots = [], refs = {} }: TableMetadata,
  nowMs: number,
  thinning: Thinning,
): readonly Snapshot[] {
  const dated = snapshots.map((snapshot, i) => ({
    id: snapshot["snapshot-id"],
    atMs: snapshot["timestamp-ms"],
    untilMs: snapshots[i + 1]?.["timestamp-ms"],
  }));
  const pinned = new Set<Long>(Object.values(refs).map((ref) => ref["snapshot-id"]));
  const gone = new Set(expired(dated, nowMs, thinning, pinned).slice(0, MAX_AT_ONCE));
  return snapshots.filter((snapshot) => gone.has(snapshot["snapshot-id"]));
}
