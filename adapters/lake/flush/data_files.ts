/**
 * Files of changes: one for each day among the rows, under names that no other file has.
 *
 * @module
 */

import { keyAt } from "../iceberg/lake_files.ts";
import type { DataFile } from "../iceberg/manifest.ts";
import type { TableMetadata } from "../iceberg/metadata.ts";
import { schemaText } from "../iceberg/schema_json.ts";
import type { ColumnBatch, ColumnMetrics, ParquetFile } from "../parquet/parquet.ts";
import { ChangeColumns, type OtherTable } from "./change_batch.ts";
import type { ChangeRow } from "./changes.ts";
import type { Lake } from "./lake.ts";
import type { LakeTable } from "./layout.ts";

const DAY_MS = 86_400_000;

/** For so long others wait while rows are made, in milliseconds. */
const TURN_MS = 8;

/** The clock is looked at after so many rows. */
const ROWS_PER_LOOK = 16;

/** A row for a file of changes. */
export interface FileRow {
  /** The row. */
  readonly row: ChangeRow;
  /** Its table, when it is one that nobody knows. */
  readonly other?: OtherTable;
}

/**
 * Writes files of changes.
 *
 * @param lake the lake
 * @param metadata the table of changes
 * @param table the synced table; undefined for changes of tables that nobody knows
 * @param rows makes the rows, in order; others get their turn while it does
 * @returns the files, which nothing names yet
 */
export async function writeChanges(
  lake: Lake,
  metadata: TableMetadata,
  table: LakeTable | undefined,
  rows: Iterable<FileRow>,
): Promise<readonly DataFile[]> {
  const days = new Map<number, ChangeColumns>();
  let count = 0;
  let since = performance.now();
  for (const { row, other } of rows) {
    const day = Math.floor(row.committedMs / DAY_MS);
    let columns = days.get(day);
    if (columns === undefined) days.set(day, columns = new ChangeColumns(table));
    columns.add(row, other);
    if (++count % ROWS_PER_LOOK === 0 && performance.now() - since > TURN_MS) {
      await lake.nextTurn();
      since = performance.now();
    }
  }
  const files: DataFile[] = [];
  for (const [day, columns] of days) {
    await lake.nextTurn();
    files.push(await writeFile(lake, metadata, day, columns.finish()));
  }
  return files;
}

/**
 * Writes a file of changes of one day.
 *
 * @param lake the lake
 * @param metadata the table of changes
 * @param day the day, in days since 1970
 * @param batch the rows; not to be used afterwards
 */
export async function writeFile(
  lake: Lake,
  metadata: TableMetadata,
  day: number,
  batch: ColumnBatch,
): Promise<DataFile> {
  const date = new Date(day * DAY_MS).toISOString().slice(0, 10);
  const folder = `${metadata.location}/data/_committed_at_day=${date}`;
  const location = `${folder}/${crypto.randomUUID()}.parquet`;
  const text = schemaText({ fields: batch.fields });
  const file = await lake.writer.write(batch, {
    metadata: new Map([["iceberg.schema", text]]),
  });
  await lake.store.putObject(keyAt(lake, location), file.bytes);
  return dataFileOf(file, location, metadata["default-spec-id"], [day]);
}

function dataFileOf(
  { bytes, rows, metrics }: ParquetFile,
  filePath: string,
  specId: number,
  partition: DataFile["partition"],
): DataFile {
  const known = <T>(read: (metrics: ColumnMetrics) => T | undefined) =>
    new Map(metrics.flatMap((each): [number, T][] => {
      const value = read(each);
      return value === undefined ? [] : [[each.fieldId, value]];
    }));
  return {
    content: "data",
    filePath,
    fileFormat: "PARQUET",
    specId,
    partition,
    recordCount: rows,
    fileSizeInBytes: bytes.length,
    valueCounts: known(({ values }) => values),
    nullValueCounts: known(({ nulls }) => nulls),
    lowerBounds: known(({ lower }) => lower),
    upperBounds: known(({ upper }) => upper),
  };
}
