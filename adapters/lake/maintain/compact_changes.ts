/**
 * Puts small files of a table of changes together, each time into one. The new file has the place of
 * the last of them among the commits, so the order of changes stays, and a merge that has read them
 * does not read them again.
 *
 * @module
 */

import type { LoadedTable } from "../catalog/catalog.ts";
import { type Column, concat } from "../columns/mod.ts";
import { writeFile } from "../flush/data_files.ts";
import type { Lake } from "../flush/lake.ts";
import { CHANGE_FIELDS, changesSchema, OTHER_FIELDS, parseTable, SEQ } from "../flush/layout.ts";
import { PROPERTY } from "../flush/properties.ts";
import type { DataFile, ManifestEntry } from "../iceberg/manifest.ts";
import { MetadataError } from "../iceberg/metadata.ts";
import type { LakeField } from "../iceberg/schema.ts";
import { decodeValue } from "../iceberg/single_value.ts";
import { overwriteFiles, type SnapshotPlan } from "../iceberg/snapshot.ts";
import type { ColumnBatch } from "../parquet/parquet.ts";
import { liveFiles, readFields } from "../table/live_files.ts";
import { carriedSummary, commitRebased } from "./commit.ts";
import {
  type CompactionSettings,
  DEFAULT_COMPACTION,
  planRuns,
  type Run,
} from "./compaction_plan.ts";

/** What was put together. */
export interface Compacted {
  /** How many files there are no more. */
  readonly files: number;
  /** How many there are for them. */
  readonly into: number;
  /** How many bytes were read. */
  readonly bytes: number;
}

/** Nothing was put together. */
export const NOT_COMPACTED: Compacted = { files: 0, into: 0, bytes: 0 };

/**
 * Puts files together where that is due.
 *
 * @param lake the lake
 * @param table the table of changes, as it is now
 * @param mergedSequence commits up to this one are merged into rows; files of it and files after it
 * are not put together
 * @param maxRuns so many new files at most
 * @param settings which files
 * @throws {CatalogError} when others were first again and again, or the outcome is not known
 */
export async function compactChanges(
  lake: Lake,
  table: LoadedTable,
  mergedSequence: number,
  maxRuns: number,
  settings: CompactionSettings = DEFAULT_COMPACTION,
): Promise<Compacted> {
  const live = await liveFiles(lake, table.metadata, table.snapshot);
  const files = live.map(({ entry }) => entry).sort(byPlace);
  const crossing = crossingFiles(files);
  const sized = files.map(({ dataFile }, i) => ({
    partition: `${dataFile.partition[0]}${crossing.has(i) ? ` ${i}` : ""}`,
    bytes: dataFile.fileSizeInBytes,
  }));
  const runs = planRuns(sized, settings)
    .flatMap((run) => cutAt(files, run, mergedSequence))
    .slice(0, maxRuns);
  let done = NOT_COMPACTED;
  for (const { start, end } of runs) {
    const run = files.slice(start, end);
    if (!await compactRun(lake, table, run)) continue;
    const bytes = run.reduce((sum, { dataFile }) => sum + dataFile.fileSizeInBytes, 0);
    done = { files: done.files + run.length, into: done.into + 1, bytes: done.bytes + bytes };
  }
  return done;
}

/** The order of files is that of the commits; within one it is that of their changes. */
function byPlace(a: ManifestEntry, b: ManifestEntry): number {
  return a.sequenceNumber - b.sequenceNumber || firstSeq(a.dataFile) - firstSeq(b.dataFile);
}

function firstSeq({ lowerBounds }: DataFile): number {
  const bytes = lowerBounds?.get(SEQ);
  return bytes === undefined ? 0 : Number(decodeValue("long", bytes));
}

function lastSeq({ upperBounds }: DataFile): number {
  const bytes = upperBounds?.get(SEQ);
  return bytes === undefined ? Infinity : Number(decodeValue("long", bytes));
}

/**
 * Finds files with changes from before the last one of another file of their commit: clocks differ,
 * so days go back and forth. With files of a later commit they would come after it.
 */
function crossingFiles(files: readonly ManifestEntry[]): ReadonlySet<number> {
  const crossing = new Set<number>();
  let [sequence, reached] = [0, 0];
  for (const [i, { sequenceNumber, dataFile }] of files.entries()) {
    if (sequenceNumber !== sequence) [sequence, reached] = [sequenceNumber, 0];
    if (firstSeq(dataFile) <= reached) crossing.add(i);
    reached = Math.max(reached, lastSeq(dataFile));
  }
  return crossing;
}

/** Parts a run where the merge stands. */
function cutAt(files: readonly ManifestEntry[], { start, end }: Run, sequence: number): Run[] {
  let cut = start;
  while (cut < end && (files[cut]?.sequenceNumber ?? 0) <= sequence) cut++;
  return [{ start, end: cut }, { start: cut, end }].filter((run) => run.end - run.start > 1);
}

/** Puts files together; false when the table has changed so that it is not to be done. */
async function compactRun(
  lake: Lake,
  table: LoadedTable,
  run: readonly ManifestEntry[],
): Promise<boolean> {
  const fields = fieldsOf(table);
  const [first] = run;
  if (first === undefined) return false;
  const batches: ColumnBatch[] = [];
  for (const { dataFile } of run) {
    batches.push(await readFields(lake, dataFile, fields));
    await lake.nextTurn();
  }
  const columns: Column[] = [];
  for (const i of fields.keys()) {
    columns.push(concat(batches.flatMap((batch) => batch.columns[i] ?? [])));
    await lake.nextTurn();
  }
  const length = batches.reduce((sum, batch) => sum + batch.length, 0);
  batches.length = 0;
  const day = Number(first.dataFile.partition[0]);
  const added = await writeFile(lake, table.metadata, day, { fields, length, columns });
  const dataSequence = Math.max(...run.map(({ sequenceNumber }) => sequenceNumber));
  const removed = run.map(({ dataFile }) => dataFile);
  const committed = await commitRebased(
    lake,
    table.table,
    async (base): Promise<SnapshotPlan | undefined> => {
      const options = {
        nowMs: lake.now(),
        operation: "replace" as const,
        dataSequence,
        summary: carriedSummary(base),
      };
      try {
        return await overwriteFiles(lake, base.metadata, { added: [added], removed }, options);
      } catch (error) {
        // The files were given up meanwhile.
        if (error instanceof MetadataError) return undefined;
        throw error;
      }
    },
  );
  return committed !== undefined;
}

function fieldsOf({ metadata: { properties = {} } }: LoadedTable): readonly LakeField[] {
  const json = properties[PROPERTY.table];
  return json === undefined
    ? [...CHANGE_FIELDS, ...OTHER_FIELDS]
    : changesSchema(parseTable(json)).fields;
}
