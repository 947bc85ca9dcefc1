/**
 * Keeps a lake in shape, a bounded step at a time: small files become large, old snapshots go, and
 * what nothing names is removed. Each step is one commit, or none; a step that loses against another
 * commit is left for the next pass.
 *
 * @module
 */

import { deleteOldMetadata } from "../catalog/versions.ts";
import { CatalogError, type TableName } from "../catalog/catalog.ts";
import type { Lake } from "../flush/lake.ts";
import { loadTables } from "../flush/tables.ts";
import { manifestsOf } from "../iceberg/lake_files.ts";
import { manifestGroups } from "../iceberg/merge_manifests.ts";
import { rewriteManifests } from "../iceberg/snapshot.ts";
import { standingOf } from "../table/standing.ts";
import { commitRebased } from "./commit.ts";
import { compactChanges, type Compacted, NOT_COMPACTED } from "./compact_changes.ts";
import { compactRows, DEFAULT_ROW_COMPACTION, type RowCompactionSettings } from "./compact_rows.ts";
import { type CompactionSettings, DEFAULT_COMPACTION } from "./compaction_plan.ts";
import { deleteExpired, expireSnapshots } from "./expire.ts";
import { ORPHAN_MS, removeOrphans } from "./orphans.ts";
import { Reach } from "./reach.ts";
import { DEFAULT_THINNING, type Thinning } from "./thinning.ts";

/** How a lake is kept in shape. */
export interface MaintenanceSettings {
  /** Which files of changes are put together. */
  readonly changes: CompactionSettings;
  /** Which files of rows are put together. */
  readonly rows: RowCompactionSettings;
  /** So many steps of putting files together a table has in one pass, at most. */
  readonly maxSteps: number;
  /** With more manifests than this they are put together. */
  readonly maxManifests: number;
  /** Which snapshots are kept. */
  readonly thinning: Thinning;
  /** Whether objects that nothing names are looked for, which lists all objects. */
  readonly orphans: boolean;
  /** They are removed when they are older than this, in milliseconds. */
  readonly orphanMs: number;
}

/** What holds unless configured otherwise. */
export const DEFAULT_MAINTENANCE: MaintenanceSettings = {
  changes: DEFAULT_COMPACTION,
  rows: DEFAULT_ROW_COMPACTION,
  maxSteps: 16,
  maxManifests: 8,
  thinning: DEFAULT_THINNING,
  orphans: true,
  orphanMs: ORPHAN_MS,
};

/** What was done to a table. */
export interface TableMaintenance {
  /** The table. */
  readonly table: string;
  /** Files that were put together. */
  readonly compacted: Compacted;
  /** Manifests that were put together. */
  readonly manifests: number;
  /** Snapshots that went. */
  readonly snapshots: number;
  /** Objects that only snapshots named which went earlier. */
  readonly objects: number;
  /** Metadata objects that went. */
  readonly metadata: number;
  /** Objects that nothing named. */
  readonly orphans: number;
  /** Why the table is left for the next pass; undefined when all went well. */
  readonly failure: unknown;
}

/** What a pass has done. */
export interface MaintenanceReport {
  /** Of each table. */
  readonly tables: readonly TableMaintenance[];
  /** The first failure; undefined when all went well. */
  readonly failure: unknown;
}

/**
 * Keeps a lake in shape, once. What fails for one table does not stop the others.
 *
 * @param lake the lake
 * @param settings how
 * @param reach remembers what snapshots name, from pass to pass
 * @param isStopped asked between steps
 * @throws what the tables could not be read with
 */
export async function maintain(
  lake: Lake,
  settings: Partial<MaintenanceSettings> = {},
  reach: Reach = new Reach(),
  isStopped: () => boolean = () => false,
): Promise<MaintenanceReport> {
  const { main, changes, rows } = await loadTables(lake);
  const given = { ...DEFAULT_MAINTENANCE, ...settings };
  const tasks: [name: TableName, compact: () => Promise<Compacted>][] = [];
  for (const { id, loaded } of changes.values()) {
    const merged = rows.get(id);
    const through = id === 0 ? Infinity : (merged && standingOf(merged.metadata)?.sequence) ?? 0;
    tasks.push([loaded.table, async () => {
      const now = await lake.catalog.load(loaded.table);
      return now === undefined
        ? NOT_COMPACTED
        : await compactChanges(lake, now, through, given.maxSteps, given.changes);
    }]);
  }
  for (const { table } of rows.values()) {
    tasks.push([table, () => compactRowsOften(lake, table, given)]);
  }
  if (main !== undefined) tasks.push([main.table, () => Promise.resolve(NOT_COMPACTED)]);
  const tables: TableMaintenance[] = [];
  for (const [name, compact] of tasks) {
    if (isStopped()) break;
    tables.push(await maintainTable(lake, name, given, reach, compact));
  }
  return { tables, failure: tables.find(({ failure }) => failure !== undefined)?.failure };
}

async function maintainTable(
  lake: Lake,
  name: TableName,
  settings: MaintenanceSettings,
  reach: Reach,
  compact: () => Promise<Compacted>,
): Promise<TableMaintenance> {
  let compacted = NOT_COMPACTED;
  let [manifests, snapshots, objects] = [0, 0, 0];
  let [metadata, orphans] = [0, 0];
  let failure: unknown;
  try {
    compacted = await compact();
    manifests = await mergeManifestsOf(lake, name, settings.maxManifests);
    const expiry = { thinning: settings.thinning, atLeast: 1 };
    snapshots = await expireSnapshots(lake, name, reach, expiry);
    objects = await deleteExpired(lake, name, reach);
    metadata = await deleteOldMetadata(lake.store, name, lake.now());
    if (settings.orphans) orphans = await removeOrphans(lake, name, reach, settings.orphanMs);
  } catch (error) {
    failure = error;
  }
  return { table: name.name, compacted, manifests, snapshots, objects, metadata, orphans, failure };
}

async function compactRowsOften(
  lake: Lake,
  name: TableName,
  { rows, maxSteps }: MaintenanceSettings,
): Promise<Compacted> {
  let all = NOT_COMPACTED;
  for (let steps = 0; steps < maxSteps; steps++) {
    const table = await lake.catalog.load(name);
    const { files, into, bytes } = table === undefined
      ? NOT_COMPACTED
      : await compactRows(lake, table, rows);
    if (files === 0) break;
    all = { files: all.files + files, into: all.into + into, bytes: all.bytes + bytes };
  }
  return all;
}

/** Puts manifests together when there are many; tells how many there were. */
async function mergeManifestsOf(lake: Lake, name: TableName, most: number): Promise<number> {
  let count = 0;
  await commitRebased(lake, name, async ({ metadata, snapshot }) => {
    const manifests = await manifestsOf(lake, snapshot);
    const isMany = manifests.length > most && manifestGroups(manifests, 1).length > 0;
    count = isMany ? manifests.length : 0;
    return isMany ? await rewriteManifests(lake, metadata, { nowMs: lake.now() }) : undefined;
  });
  return count;
}

/** Whether a failure is of no consequence: another commit was first, and all is tried again. */
export function isHarmless(failure: unknown): boolean {
  return failure instanceof CatalogError && failure.failure === "conflict";
}
