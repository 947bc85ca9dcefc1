/**
 * The files of a snapshot.
 *
 * @module
 */

import { columnBuilder } from "../columns/mod.ts";
import type { Lake } from "../flush/lake.ts";
import { entriesOf, type LakeFiles, manifestsOf, readAt } from "../iceberg/lake_files.ts";
import type { DataFile, ManifestEntry } from "../iceberg/manifest.ts";
import type { Snapshot, TableMetadata } from "../iceberg/metadata.ts";
import type { LakeField } from "../iceberg/schema.ts";
import type { ColumnBatch } from "../parquet/parquet.ts";
import { type FileWriting, writePositions } from "./write_file.ts";

/** A file of data of a snapshot, and those that take rows of it away. */
export interface LiveFile {
  /** The file, with its place among the commits. */
  readonly entry: ManifestEntry;
  /** Files with positions of its rows that are gone. */
  readonly deletes: readonly DataFile[];
}

/** What reads files. */
export type FileReading = Pick<Lake, "store" | "location" | "reader">;

/** The columns of files with positions; their numbers are the specification's. */
const PATH: LakeField = { id: 2147483546, name: "file_path", type: "string", required: true };
const POSITION: LakeField = { id: 2147483545, name: "pos", type: "long", required: true };

/**
 * Lists the files of a snapshot.
 *
 * @param lake where objects are
 * @param metadata the table
 * @param snapshot the snapshot; without one there are no files
 * @param afterSequence only files of commits after this one
 */
export async function liveFiles(
  lake: LakeFiles,
  metadata: TableMetadata,
  snapshot: Snapshot | undefined,
  afterSequence: number = 0,
): Promise<readonly LiveFile[]> {
  const data: ManifestEntry[] = [];
  const deletes = new Map<string, DataFile[]>();
  for (const manifest of await manifestsOf(lake, snapshot)) {
    if (manifest.sequenceNumber <= afterSequence) continue;
    for (const entry of await entriesOf(lake, metadata, manifest)) {
      if (entry.status === "deleted" || entry.sequenceNumber <= afterSequence) continue;
      const { dataFile } = entry;
      if (dataFile.content === "data") data.push(entry);
      else deletesOf(deletes, dataFile).push(dataFile);
    }
  }
  return data.map((entry) => ({ entry, deletes: deletes.get(entry.dataFile.filePath) ?? [] }));
}

/** LakeSync's own files of deletes are of one file of data each. */
function deletesOf(all: Map<string, DataFile[]>, file: DataFile): DataFile[] {
  const { referencedDataFile, filePath } = file;
  if (file.content !== "position-deletes" || referencedDataFile === undefined) {
    throw new TypeError(`${filePath} was not written by LakeSync, make the table anew`);
  }
  const known = all.get(referencedDataFile) ?? [];
  all.set(referencedDataFile, known);
  return known;
}

/**
 * Reads a file of data.
 *
 * @param lake where objects are, and what reads them
 * @param file the file
 * @param fields the columns
 */
export async function readFields(
  lake: FileReading,
  file: DataFile,
  fields: readonly LakeField[],
): Promise<ColumnBatch> {
  return await lake.reader.read(await readAt(lake, file.filePath), fields);
}

/**
 * Reads which rows of a file are gone.
 *
 * @param lake where objects are, and what reads them
 * @param file the file
 * @returns places of rows, from 0
 */
export async function readGone(
  lake: FileReading,
  { deletes }: LiveFile,
): Promise<Set<number>> {
  const gone = new Set<number>();
  for (const file of deletes) {
    const { columns: [positions] } = await readFields(lake, file, [POSITION]);
    if (positions?.data.kind !== "int64") throw new TypeError(`${file.filePath} has no positions`);
    for (const position of positions.data.values) gone.add(Number(position));
  }
  return gone;
}

/**
 * Writes which rows of a file are gone.
 *
 * @param lake where objects are, and what writes them
 * @param metadata the table
 * @param path the file of data
 * @param gone places of rows, ascending
 */
export async function writeGone(
  lake: FileWriting,
  metadata: TableMetadata,
  path: string,
  gone: readonly number[],
): Promise<DataFile> {
  const [paths, positions] = [columnBuilder(PATH.type), columnBuilder(POSITION.type)];
  for (const position of gone) {
    paths.append(path);
    positions.append(position);
  }
  const columns = [paths.finish(), positions.finish()];
  const batch = { fields: [PATH, POSITION], length: gone.length, columns };
  return await writePositions(lake, metadata, batch, path);
}
