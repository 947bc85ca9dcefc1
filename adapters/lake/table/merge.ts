/**
 * Merges changes into the table of rows. Each merge is one commit that says how far it came, so one
 * that was ended anywhere is done again from where the last one stood. To apply a change again does
 * no harm: effects are absolute, and all that come after it are applied again too.
 *
 * @module
 */

import type { FlushPosition, Place } from "../../adapter.ts";
import { CatalogError, type LoadedTable } from "../catalog/catalog.ts";
import type { Lake } from "../flush/lake.ts";
import { type LakeTable, parseTable, SEQ } from "../flush/layout.ts";
import { positionOf, PROPERTY } from "../flush/properties.ts";
import { keyAt } from "../iceberg/lake_files.ts";
import type { DataFile } from "../iceberg/manifest.ts";
import { MAIN, type Snapshot, snapshotOfRef, type TableMetadata } from "../iceberg/metadata.ts";
import { decodeValue } from "../iceberg/single_value.ts";
import {
  emptySnapshot,
  overwriteFiles,
  type SnapshotOptions,
  type SnapshotPlan,
} from "../iceberg/snapshot.ts";
import type { TableUpdate } from "../iceberg/updates.ts";
import { ChangeFold, foldFields } from "./apply_changes.ts";
import { foldedChanges } from "./build_rows.ts";
import { type LiveFile, liveFiles, readFields } from "./live_files.ts";
import { Pace } from "./pace.ts";
import {
  DEFAULT_ROW_FILES,
  rewriteRows,
  type RowChanges,
  type RowFileSettings,
} from "./rewrite_rows.ts";
import {
  hasMoved,
  MERGE_PROPERTY,
  type MergeStanding,
  NEXT,
  standingOf,
  standingTexts,
  UNMERGED,
} from "./standing.ts";

/** How much a merge does at once, and how. */
export interface MergeSettings extends RowFileSettings {
  /** It ends with the commit of changes with which it has read so many. */
  readonly maxChanges: number;
}

/** What holds unless configured otherwise. */
export const DEFAULT_MERGE: MergeSettings = { ...DEFAULT_ROW_FILES, maxChanges: 50_000 };

/** The two tables of a synced table. */
export interface TablePair {
  /** The table of changes. */
  readonly changes: LoadedTable;
  /** The table of rows. */
  readonly rows: LoadedTable;
}

/** When rows were filled anew. */
export interface Refill {
  /** The commit from which they were. */
  readonly seq: number;
  /** Whether all of them are there. */
  readonly isComplete: boolean;
}

/** What a merge has done. */
export interface MergeReport {
  /** How many changes it has read. */
  readonly changes: number;
  /** How many rows they touched. */
  readonly rows: number;
  /** Whether there are more changes to merge. */
  readonly isBehind: boolean;
  /** The table of rows after it. */
  readonly table: LoadedTable;
}

/**
 * Merges what is new in a table of changes into the table of rows, in one commit.
 *
 * @param lake the lake
 * @param pair the tables, as they are now
 * @param refill when rows were filled anew; undefined when they never were
 * @param settings how much, and how
 * @throws {CatalogError} when it was not committed, or that is not known
 */
export async function mergeTable(
  lake: Lake,
  pair: TablePair,
  refill: Refill | undefined,
  settings: MergeSettings = DEFAULT_MERGE,
): Promise<MergeReport> {
  const { rows } = pair;
  const main = standingOf(rows.metadata) ?? UNMERGED;
  const isAnew = refill !== undefined && main.refill !== refill.seq;
  if (!isAnew) {
    const branch: Branch = { standing: main, name: "merged", isStarted: true };
    return await merge(lake, pair, branch, settings);
  }
  const next = standingOf(rows.metadata, "next");
  const isStarted = next?.refill === refill.seq;
  const standing = isStarted ? next : { ...UNMERGED, refill: refill.seq };
  const report = await merge(lake, pair, { standing, name: "next", isStarted }, settings);
  if (report.isBehind || !refill.isComplete) return report;
  return { ...report, table: await moveToNext(lake, report.table) };
}

/** Which rows a merge makes: those that are read, or those that will be. */
interface Branch {
  readonly standing: MergeStanding;
  readonly name: "merged" | "next";
  /** Whether there is a snapshot to go on from. */
  readonly isStarted: boolean;
}

async function merge(
  lake: Lake,
  { changes, rows }: TablePair,
  branch: Branch,
  settings: MergeSettings,
): Promise<MergeReport> {
  const { standing } = branch;
  const table = layoutOf(changes, rows);
  const pending = await pendingCommits(lake, changes, standing.sequence);
  const position = positionOf(changes.metadata);
  const isMoved = hasMoved(position, standing.position);
  const nothing = { changes: 0, rows: 0, isBehind: false, table: rows };
  if (table === undefined) return { ...nothing, isBehind: pending.length > 0 };
  if (pending.length === 0 && !isMoved && branch.isStarted) return nothing;
  const pace = new Pace(lake.nextTurn);
  const fold = new ChangeFold(table);
  const fields = foldFields(table);
  let commits = 0;
  for (const { files } of pending) {
    if (fold.length >= settings.maxChanges) break;
    const batches = [];
    for (const file of files) batches.push(await readFields(lake, file, fields));
    await fold.apply(batches, pace, standing.refill);
    commits++;
  }
  const isBehind = commits < pending.length;
  const after: MergeStanding = {
    ...standing,
    sequence: isBehind
      ? pending[commits - 1]?.sequence ?? standing.sequence
      : changes.metadata["last-sequence-number"],
    position: isBehind && position !== undefined
      ? positionBetween(position, placeBetween(pending.slice(0, commits), pending[commits]))
      : position,
  };
  const touched = fold.images.size;
  const length = fold.length;
  const changed = await rowChanges(lake, { rows, branch, table, fold, settings });
  const committed = await commitRows(lake, rows, branch, after, changed);
  return { changes: length, rows: touched, isBehind, table: committed };
}

/** The synced table, when both tables have been made ready for the same form of it. */
function layoutOf(changes: LoadedTable, rows: LoadedTable): LakeTable | undefined {
  const [one, other] = [changes, rows].map(({ metadata }) => metadata.properties?.[PROPERTY.table]);
  return one === undefined || one !== other ? undefined : parseTable(one);
}

/** The files of changes of one commit. */
interface Commit {
  readonly sequence: number;
  readonly files: readonly DataFile[];
}

/** Commits after a sequence number, in order. */
async function pendingCommits(
  lake: Lake,
  { metadata, snapshot }: LoadedTable,
  after: number,
): Promise<readonly Commit[]> {
  const files = await liveFiles(lake, metadata, snapshot, after);
  const commits = Map.groupBy(files, ({ entry }) => entry.sequenceNumber);
  return [...commits]
    .sort(([a], [b]) => a - b)
    .map(([sequence, files]) => ({ sequence, files: files.map(({ entry }) => entry.dataFile) }));
}

function positionBetween(changes: FlushPosition, place: Place): FlushPosition {
  const { slice: _, lives, ...rest } = changes;
  return {
    ...rest,
    ...place,
    lives: lives.filter(({ fromSeq }, i) => i === 0 || fromSeq < place.seq),
  };
}

/** The place of the last merged change, when there are more: nothing before it is missing. */
function placeBetween(merged: readonly Commit[], next: Commit | undefined): Place {
  const [last] = seqsOf(merged.flatMap(({ files }) => files), "upper").sort((a, b) => b - a);
  const [first] = seqsOf(next?.files ?? [], "lower").sort((a, b) => a - b);
  if (last === undefined || first === undefined) return { seq: 0 };
  return first > last ? { seq: last } : { seq: last, slice: 0 };
}

function seqsOf(files: readonly DataFile[], bound: "lower" | "upper"): number[] {
  return files.flatMap(({ lowerBounds, upperBounds }) => {
    const bytes = (bound === "lower" ? lowerBounds : upperBounds)?.get(SEQ);
    return bytes === undefined ? [] : [Number(decodeValue("long", bytes))];
  });
}

interface Inputs {
  readonly rows: LoadedTable;
  readonly branch: Branch;
  readonly table: LakeTable;
  readonly fold: ChangeFold;
  readonly settings: MergeSettings;
}

/** Writes files with the rows that changed; undefined when none did. */
async function rowChanges(
  lake: Lake,
  { rows, branch, table, fold, settings }: Inputs,
): Promise<RowChanges | undefined> {
  if (fold.images.size === 0) return undefined;
  const { metadata } = rows;
  const files: readonly LiveFile[] = await liveFiles(lake, metadata, branchOf(metadata, branch));
  const target = { table, metadata, files, hidden: branch.standing.hidden };
  const folded = await foldedChanges(table, fold, new Pace(lake.nextTurn));
  return await rewriteRows(lake, target, folded, settings);
}

/** The snapshot that a branch begins with: none before its first merge. */
function branchOf(metadata: TableMetadata, { name, isStarted }: Branch): Snapshot | undefined {
  if (name === "merged") return snapshotOfRef(metadata);
  return isStarted ? snapshotOfRef(metadata, NEXT) : undefined;
}

async function commitRows(
  lake: Lake,
  rows: LoadedTable,
  { standing: before, name, isStarted }: Branch,
  standing: MergeStanding,
  changed: RowChanges | undefined,
): Promise<LoadedTable> {
  const { hidden: _, hiddenRows: __, ...rest } = standing;
  const hidden = changed === undefined ? before.hidden : changed.hidden;
  const hiddenRows = changed?.hiddenRows ?? before.hiddenRows;
  const after: MergeStanding = hidden === undefined
    ? rest
    : { ...rest, hidden, hiddenRows: hiddenRows ?? 0 };
  const { properties, summary } = standingTexts(after, before, name);
  const options: SnapshotOptions = {
    nowMs: lake.now(),
    summary,
    ...(name === "merged" ? {} : { branch: NEXT, ...(isStarted ? {} : { fromNothing: true }) }),
  };
  const hasFiles = changed !== undefined && changed.added.length + changed.removed.length > 0;
  const plan = hasFiles
    ? await overwriteFiles(lake, rows.metadata, changed, options)
    : await emptySnapshot(lake, rows.metadata, options);
  const written = [...changed?.added.map(({ filePath }) => filePath) ?? []];
  if (changed?.hidden !== undefined && changed.hidden !== before.hidden) {
    written.push(changed.hidden);
  }
  const update = { action: "set-properties", updates: properties } as const;
  return await commitPlan(lake, rows, plan, [update], written);
}

/** Shows the rows that were made anew in the place of those before. */
async function moveToNext(lake: Lake, rows: LoadedTable): Promise<LoadedTable> {
  const { metadata } = rows;
  const standing = standingOf(metadata, "next");
  const snapshot = snapshotOfRef(metadata, NEXT);
  if (standing === undefined || snapshot === undefined) return rows;
  const { properties } = standingTexts(standing, UNMERGED, "merged");
  return await lake.catalog.commit(rows, [
    {
      action: "set-snapshot-ref",
      "ref-name": MAIN,
      type: "branch",
      "snapshot-id": snapshot["snapshot-id"],
    },
    { action: "remove-snapshot-ref", "ref-name": NEXT },
    { action: "set-properties", updates: properties },
    { action: "remove-properties", removals: [MERGE_PROPERTY.next] },
  ]);
}

/**
 * Commits a snapshot; when another commit was first, what was written for it is removed.
 *
 * @param lake the lake
 * @param base the table it was made of
 * @param plan the snapshot
 * @param updates what else changes
 * @param written locations of files that nothing names without the commit
 * @throws {CatalogError} when it was not committed, or that is not known; nothing is removed then
 */
export async function commitPlan(
  lake: Lake,
  base: LoadedTable,
  plan: SnapshotPlan,
  updates: readonly TableUpdate[],
  written: readonly string[] = [],
): Promise<LoadedTable> {
  for (const { key, bytes } of plan.objects) await lake.store.putObject(key, bytes);
  try {
    return await lake.catalog.commit(base, [...plan.updates, ...updates]);
  } catch (error) {
    if (error instanceof CatalogError && error.failure === "conflict") {
      const files = written.map((location) => keyAt(lake, location));
      await lake.store.deleteObjects([...plan.objects.map(({ key }) => key), ...files]);
    }
    throw error;
  }
}
