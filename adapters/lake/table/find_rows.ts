/**
 * Finds rows in the files of a table by their keys. Files that cannot have one of them are not read,
 * and of others only the key's columns.
 *
 * @module
 */

import type { LakeTable } from "../flush/layout.ts";
import type { DataFile } from "../iceberg/manifest.ts";
import { decodeValue, type SingleValue } from "../iceberg/single_value.ts";
import type { ColumnBatch } from "../parquet/parquet.ts";
import { type FoldedChanges, keyFields, NONE } from "./build_rows.ts";
import { type Pace, sortInTurns } from "./pace.ts";
import { type FileReading, type LiveFile, readFields, readGone } from "./live_files.ts";
import {
  compareKeyValues,
  compareRowKeys,
  keyReader,
  type KeyValue,
  rowIdOfKey,
  type RowKey,
} from "./row_key.ts";

/** A file that has some of the rows. */
export interface TouchedRows {
  /** The file. */
  readonly file: LiveFile;
  /** Places of its rows that are gone. */
  readonly gone: ReadonlySet<number>;
  /** The images of its rows, by their places. */
  readonly hits: ReadonlyMap<number, number>;
  /** Its lowest and its highest key. */
  readonly range: readonly [low: RowKey, high: RowKey];
}

/**
 * Orders images by their keys.
 *
 * @param folded the images
 * @param pace lets others have their turn
 */
export function byKey(
  { keys }: Pick<FoldedChanges, "keys">,
  pace: Pace,
): Promise<readonly number[]> {
  const compare = (a: number, b: number) => compareRowKeys(keys[a] ?? [], keys[b] ?? []);
  return sortInTurns(keys.map((_, image) => image), compare, pace);
}

/**
 * Finds the images' rows.
 *
 * @param lake what reads files
 * @param table the table
 * @param files its files
 * @param folded the images
 * @param sorted their order, by {@linkcode byKey}
 * @param pace lets others have their turn
 * @returns the files that have one, in the order given
 */
export async function findRows(
  lake: FileReading,
  table: LakeTable,
  files: readonly LiveFile[],
  folded: FoldedChanges,
  sorted: readonly number[],
  pace: Pace,
): Promise<readonly TouchedRows[]> {
  const fields = keyFields(table);
  const touched: TouchedRows[] = [];
  for (const file of files) {
    if (!mayHave(file.entry.dataFile, fields[0], folded, sorted)) continue;
    const batch = await readFields(lake, file.entry.dataFile, fields);
    const keys = await keysOf(table, batch, pace);
    const [low, high] = [keys[0], keys.at(-1)];
    if (low === undefined || high === undefined) continue;
    const all = await imagesOf(keys, folded, pace);
    if (all.size === 0) continue;
    const gone = await readGone(lake, file);
    const hits = new Map([...all].filter(([row]) => !gone.has(row)));
    if (hits.size > 0) touched.push({ file, gone, hits, range: [low, high] });
  }
  return touched;
}

/**
 * Reads the keys of rows.
 *
 * @param table the table
 * @param batch rows that have the key's columns
 * @param pace lets others have their turn
 */
export async function keysOf(
  table: LakeTable,
  batch: ColumnBatch,
  pace: Pace,
): Promise<readonly RowKey[]> {
  const byId = new Map(batch.fields.map(({ id }, i) => [id, batch.columns[i]]));
  const columns = keyFields(table).flatMap(({ id }) => byId.get(id) ?? []);
  const read = keyReader(columns);
  const keys: RowKey[] = [];
  for (let row = 0; row < batch.length; row++) {
    keys.push(read(row));
    if (pace.isOver()) await pace.rest();
  }
  return keys;
}

/**
 * Finds the images of rows.
 *
 * @param keys the keys of the rows
 * @param folded the images
 * @param pace lets others have their turn
 * @returns images by places of rows, ascending
 */
export async function imagesOf(
  keys: readonly RowKey[],
  { images }: Pick<FoldedChanges, "images">,
  pace: Pace,
): Promise<ReadonlyMap<number, number>> {
  const found = new Map<number, number>();
  for (const [row, key] of keys.entries()) {
    const image = images.find(rowIdOfKey(key));
    if (image !== undefined) found.set(row, image);
    if (pace.isOver()) await pace.rest();
  }
  return found;
}

/** Whether a file may have one of the rows, by the bounds of the key's first column. */
function mayHave(
  { lowerBounds, upperBounds }: DataFile,
  first: { readonly id: number; readonly type: string } | undefined,
  { keys }: FoldedChanges,
  sorted: readonly number[],
): boolean {
  const [lower, upper] = [lowerBounds, upperBounds].map((bounds) => {
    const bytes = first === undefined ? undefined : bounds?.get(first.id);
    return bytes === undefined || first === undefined
      ? undefined
      : keyValue(decodeValue(first.type, bytes));
  });
  if (lower === undefined || upper === undefined) return true;
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareKeyValues(keys[sorted[middle] ?? NONE]?.[0], lower) < 0) low = middle + 1;
    else high = middle;
  }
  const next = keys[sorted[low] ?? NONE]?.[0];
  return next !== undefined && compareKeyValues(next, upper) <= 0;
}

function keyValue(value: SingleValue): KeyValue | undefined {
  return typeof value === "boolean" || value instanceof Uint8Array ? undefined : value;
}
