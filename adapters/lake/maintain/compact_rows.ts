/**
 * Writes files of a table of rows anew: those of which many rows are gone, and small ones together.
 * Rows stay sorted by key in each file.
 *
 * @module
 */

import type { LoadedTable } from "../catalog/catalog.ts";
import { type Column, gather } from "../columns/mod.ts";
import type { Lake } from "../flush/lake.ts";
import { type LakeTable, parseTable } from "../flush/layout.ts";
import { PROPERTY } from "../flush/properties.ts";
import type { DataFile } from "../iceberg/manifest.ts";
import { currentSchema } from "../iceberg/metadata.ts";
import { fromTableSchema } from "../iceberg/schema_json.ts";
import { overwriteFiles } from "../iceberg/snapshot.ts";
import type { ColumnBatch } from "../parquet/parquet.ts";
import { keysOf } from "../table/find_rows.ts";
import { type LiveFile, liveFiles, readFields, readGone } from "../table/live_files.ts";
import { commitPlan } from "../table/merge.ts";
import { mergeInTurns, Pace } from "../table/pace.ts";
import { rowsPerFile } from "../table/rewrite_plan.ts";
import { compareRowKeys, type RowKey } from "../table/row_key.ts";
import { writeRows } from "../table/write_file.ts";
import { carriedSummary } from "./commit.ts";
import { type Compacted, NOT_COMPACTED } from "./compact_changes.ts";
import { levelOf } from "./compaction_plan.ts";

/** How files of rows are put together. */
export interface RowCompactionSettings {
  /** A file has about so many bytes, and about as much is read at once. */
  readonly targetBytes: number;
  /** Files below this, in bytes, are of the lowest level. */
  readonly smallBytes: number;
  /** So many files of a level are put together; a level's files are so much larger, too. */
  readonly fanIn: number;
  /** A file of whose rows this part is gone is written anew. */
  readonly maxGone: number;
}

/** What holds unless configured otherwise. */
export const DEFAULT_ROW_COMPACTION: RowCompactionSettings = {
  targetBytes: 24 * 1024 * 1024,
  smallBytes: 8 * 1024 * 1024,
  fanIn: 2,
  maxGone: 0.05,
};

/**
 * Chooses files that are written anew together.
 *
 * @param files the files of a table
 * @param settings which
 * @returns none when there is nothing to do
 */
export function chooseRowFiles(
  files: readonly LiveFile[],
  settings: RowCompactionSettings,
): readonly LiveFile[] {
  const { targetBytes, fanIn, maxGone } = settings;
  const levels = Map.groupBy(
    files.filter(({ entry }) => entry.dataFile.fileSizeInBytes < targetBytes * 0.6),
    ({ entry }) => levelOf(entry.dataFile.fileSizeInBytes, settings),
  );
  const full = [...levels.values()].find((level) => level.length >= fanIn);
  const worn = files.filter((file) => goneRows(file) > file.entry.dataFile.recordCount * maxGone);
  return within(full ?? worn, 2 * targetBytes);
}

function goneRows({ deletes }: LiveFile): number {
  return deletes.reduce((sum, { recordCount }) => sum + recordCount, 0);
}

/** The smallest of them, so many as fit. */
function within(files: readonly LiveFile[], bytes: number): readonly LiveFile[] {
  let left = bytes;
  return files
    .toSorted((a, b) => a.entry.dataFile.fileSizeInBytes - b.entry.dataFile.fileSizeInBytes)
    .filter(({ entry: { dataFile } }, i) => {
      left -= dataFile.fileSizeInBytes;
      return left >= 0 || i === 0;
    });
}

/**
 * Writes some files anew where that is due, in one commit.
 *
 * @param lake the lake
 * @param table the table of rows, as it is now
 * @param settings which files
 * @throws {CatalogError} when others were first, or the outcome is not known
 */
export async function compactRows(
  lake: Lake,
  table: LoadedTable,
  settings: RowCompactionSettings = DEFAULT_ROW_COMPACTION,
): Promise<Compacted> {
  const { metadata, snapshot } = table;
  const layout = metadata.properties?.[PROPERTY.table];
  const files = await liveFiles(lake, metadata, snapshot);
  const chosen = chooseRowFiles(files, settings);
  if (layout === undefined || chosen.length === 0) return NOT_COMPACTED;
  const added = await writeTogether(lake, table, parseTable(layout), chosen, settings);
  const removed = chosen.flatMap(({ entry, deletes }) => [entry.dataFile, ...deletes]);
  const plan = await overwriteFiles(lake, metadata, { added, removed }, {
    nowMs: lake.now(),
    operation: "replace",
    summary: carriedSummary(table),
  });
  // Rows may have been deleted from these files since, so it is to be done anew then.
  await commitPlan(lake, table, plan, [], added.map(({ filePath }) => filePath));
  const bytes = chosen.reduce((sum, { entry }) => sum + entry.dataFile.fileSizeInBytes, 0);
  return { files: removed.length, into: added.length, bytes };
}

/** A row of one of the files. */
interface Placed {
  readonly batch: number;
  readonly row: number;
  readonly key: RowKey;
}

async function writeTogether(
  lake: Lake,
  { metadata }: LoadedTable,
  layout: LakeTable,
  files: readonly LiveFile[],
  { targetBytes }: RowCompactionSettings,
): Promise<readonly DataFile[]> {
  const { fields } = fromTableSchema(currentSchema(metadata));
  const pace = new Pace(lake.nextTurn);
  const batches: ColumnBatch[] = [];
  let rows: readonly Placed[] = [];
  for (const [batch, file] of files.entries()) {
    const read = await readFields(lake, file.entry.dataFile, fields);
    const gone = await readGone(lake, file);
    const own: Placed[] = [];
    for (const [row, key] of (await keysOf(layout, read, pace)).entries()) {
      if (!gone.has(row)) own.push({ batch, row, key });
      if (pace.isOver()) await pace.rest();
    }
    rows = await mergeInTurns(rows, own, (a, b) => compareRowKeys(a.key, b.key), pace);
    batches.push(read);
  }
  const known = files.map(({ entry: { dataFile } }) => ({
    bytes: dataFile.fileSizeInBytes,
    rows: dataFile.recordCount,
  }));
  const parts = Math.ceil(rows.length / rowsPerFile(targetBytes, known, 16 * fields.length));
  const each = Math.ceil(rows.length / Math.max(1, parts));
  const added: DataFile[] = [];
  for (let from = 0; from < rows.length; from += each) {
    const part = rows.slice(from, from + each);
    const picks = { batches: part.map(({ batch }) => batch), rows: part.map(({ row }) => row) };
    const columns: Column[] = [];
    for (const i of fields.keys()) {
      columns.push(gather(batches.flatMap((batch) => batch.columns[i] ?? []), picks));
      await pace.rest();
    }
    added.push(await writeRows(lake, metadata, { fields, length: part.length, columns }));
  }
  return added;
}
