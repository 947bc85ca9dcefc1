/**
 * Lets old snapshots of a table go, and after an hour what only they named, so that whoever reads one
 * of them can read on.
 *
 * What is to be deleted is kept in an object until then, which is written before the snapshots go. So
 * a crash in between forgets nothing, and what is still named then, since they did not go, stays.
 *
 * @module
 */

import { CatalogError, type LoadedTable, type TableName } from "../catalog/catalog.ts";
import type { Lake } from "../flush/lake.ts";
import { keyAt } from "../iceberg/lake_files.ts";
import type { Long, Snapshot, TableMetadata } from "../iceberg/metadata.ts";
import { locationsIn, type Reach } from "./reach.ts";
import { DEFAULT_THINNING, expired, type Thinning } from "./thinning.ts";

/** So many snapshots go at once, at most. */
const MAX_AT_ONCE = 1_000;

/** What snapshots named that went is deleted after so long, in milliseconds. */
const GRACE_MS = 3_600_000;

const DELETE_AT = /\/(\d+)-[^/]+\.json$/;

/** Which snapshots go. */
export interface Expiry {
  /** Which are kept. */
  readonly thinning: Thinning;
  /** Fewer than so many are left for another time, since it takes a commit. */
  readonly atLeast: number;
}

/**
 * Lets old snapshots go.
 *
 * @param lake the lake
 * @param name the table
 * @param reach knows what snapshots name
 * @param expiry which go
 * @returns how many went
 * @throws {CatalogError} when others were first, or the outcome is not known
 */
export async function expireSnapshots(
  lake: Lake,
  name: TableName,
  reach: Reach,
  { thinning, atLeast }: Expiry = { thinning: DEFAULT_THINNING, atLeast: 1 },
): Promise<number> {
  const base = await lake.catalog.load(name);
  const goes = base === undefined ? [] : oldSnapshots(base.metadata, lake.now(), thinning);
  if (base === undefined || goes.length < atLeast) return 0;
  const list = await keepList(lake, base, goes, reach);
  const ids = goes.map((snapshot) => snapshot["snapshot-id"]);
  try {
    await lake.catalog.commit(base, [{ action: "remove-snapshots", "snapshot-ids": ids }]);
  } catch (error) {
    if (error instanceof CatalogError && error.failure === "conflict") {
      await lake.store.deleteObject(list);
    }
    throw error;
  }
  return goes.length;
}

/** Keeps what will be deleted: what only these snapshots name. */
async function keepList(
  lake: Lake,
  { metadata }: LoadedTable,
  goes: readonly Snapshot[],
  reach: Reach,
): Promise<string> {
  const gone = new Set(goes);
  const stays = (metadata.snapshots ?? []).filter((snapshot) => !gone.has(snapshot));
  const named = await reach.namedOnlyBy(lake, metadata, goes, stays);
  const beside = locationsIn(lake, goes.map(({ summary }) => summary));
  const keys = [...new Set([...named, ...beside])].map((location) => keyAt(lake, location));
  const at = Math.ceil(lake.now() + GRACE_MS);
  const list = `${folderOf(lake, metadata)}/${at}-${crypto.randomUUID()}.json`;
  await lake.store.putObject(list, new TextEncoder().encode(JSON.stringify(keys)));
  return list;
}

/** The folder with what is to be deleted. */
function folderOf(lake: Lake, { location }: TableMetadata): string {
  return keyAt(lake, `${location}/expired`);
}

/**
 * Reads what is to be deleted.
 *
 * @param lake the lake
 * @param metadata the table
 * @param beforeMs only what may be deleted at this time, in milliseconds since 1970
 * @returns the objects that say it, and the keys in them
 */
export async function readExpired(
  lake: Lake,
  metadata: TableMetadata,
  beforeMs: number = Infinity,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const lists: string[] = [];
  for await (const { key } of lake.store.listObjects(folderOf(lake, metadata))) {
    if (Number(DELETE_AT.exec(key)?.[1] ?? Infinity) <= beforeMs) lists.push(key);
  }
  const found = new Map<string, readonly string[]>();
  for (const list of lists) {
    const bytes = await lake.store.getObject(list);
    if (bytes !== undefined) found.set(list, JSON.parse(new TextDecoder().decode(bytes)));
  }
  return found;
}

/**
 * Deletes what only snapshots named that went an hour ago.
 *
 * @param lake the lake
 * @param name the table
 * @param reach knows what snapshots name
 * @returns how many objects were deleted
 */
export async function deleteExpired(lake: Lake, name: TableName, reach: Reach): Promise<number> {
  const table = await lake.catalog.load(name);
  if (table === undefined) return 0;
  const { metadata } = table;
  let deleted = 0;
  for (const [list, keys] of await readExpired(lake, metadata, lake.now())) {
    const named = await namedKeys(lake, metadata, reach);
    const gone = keys.filter((key) => !named.has(key));
    await lake.store.deleteObjects(gone);
    await lake.store.deleteObject(list);
    deleted += gone.length;
  }
  return deleted;
}

/**
 * Finds what a table names.
 *
 * @param lake the lake
 * @param metadata the table
 * @param reach knows what snapshots name
 * @returns keys of objects
 */
export async function namedKeys(
  lake: Lake,
  metadata: TableMetadata,
  reach: Reach,
): Promise<ReadonlySet<string | undefined>> {
  const { snapshots = [], properties } = metadata;
  const summaries = snapshots.map(({ summary }) => summary);
  const named = new Set(locationsIn(lake, [properties, ...summaries]));
  await reach.addNamed(lake, metadata, snapshots, named);
  return new Set([...named].map((location) => lake.location.keyOf(location)));
}

/** Chooses snapshots that no branch or tag names. */
function oldSnapshots(
  { snapshots = [], refs = {} }: TableMetadata,
  nowMs: number,
  thinning: Thinning,
): readonly Snapshot[] {
  const dated = snapshots.map((snapshot) => ({
    id: snapshot["snapshot-id"],
    atMs: snapshot["timestamp-ms"],
  }));
  const pinned = new Set<Long>(Object.values(refs).map((ref) => ref["snapshot-id"]));
  const gone = new Set(expired(dated, nowMs, thinning, pinned).slice(0, MAX_AT_ONCE));
  return snapshots.filter((snapshot) => gone.has(snapshot["snapshot-id"]));
}
