/**
 * Finds the files of a snapshot, manifest by manifest.
 * Source: Iceberg table specification, "Scan Planning".
 *
 * @module
 */

import { DeleteIndex } from "./delete_index.ts";
import { entriesOf, type LakeFiles, manifestsOf, partitioningOf } from "./lake_files.ts";
import { type DataFile, isLive, type ManifestEntry, type ManifestFile } from "./manifest.ts";
import { liveFilesCount } from "./merge_manifests.ts";
import {
  type Long,
  MetadataError,
  type Snapshot,
  snapshotById,
  snapshotOfRef,
  type TableMetadata,
} from "./metadata.ts";
import { type FieldRange, fileMayMatch, manifestMayMatch } from "./pruning.ts";
import { readAhead } from "./read_ahead.ts";

export type { FieldRange } from "./pruning.ts";

/** What is to be read. */
export interface ScanOptions {
  /** The snapshot; the current one of `main` when not given. */
  readonly snapshotId?: Long;
  /** Only files that may have rows of all of these. */
  readonly ranges?: readonly FieldRange[];
}

/** A file of data, and those that take rows of it away. */
export interface ScanTask {
  /** The file. */
  readonly entry: ManifestEntry;
  /** Files of deletes, by place or by values. */
  readonly deletes: readonly DataFile[];
}

function snapshotOf(metadata: TableMetadata, id: Long | undefined): Snapshot | undefined {
  if (id === undefined) return snapshotOfRef(metadata);
  const snapshot = snapshotById(metadata, id);
  if (snapshot === undefined) throw new MetadataError(`The table has no snapshot ${id}`);
  return snapshot;
}

/** The types of columns, as the newest schema that has them says. */
function columnTypes(metadata: TableMetadata): ReadonlyMap<number, string> {
  const types = new Map<number, string>();
  for (const { fields } of metadata.schemas) {
    for (const { id, type } of fields) if (typeof type === "string") types.set(id, type);
  }
  return types;
}

async function* live(
  lake: LakeFiles,
  metadata: TableMetadata,
  manifests: readonly ManifestFile[],
): AsyncGenerator<ManifestEntry> {
  const inUse = manifests.filter((manifest) => liveFilesCount(manifest) > 0);
  for await (const entries of readAhead(inUse, (each) => entriesOf(lake, metadata, each))) {
    for (const entry of entries) if (isLive(entry)) yield entry;
  }
}

/**
 * Finds the files of data that are to be read. Files of deletes are held, those of data are not.
 *
 * @param lake where objects are
 * @param metadata the table
 * @param options what is to be read
 * @throws {MetadataError} when there is no such snapshot
 */
export async function* planScan(
  lake: LakeFiles,
  metadata: TableMetadata,
  { snapshotId, ranges = [] }: ScanOptions = {},
): AsyncGenerator<ScanTask> {
  const manifests = await manifestsOf(lake, snapshotOf(metadata, snapshotId));
  const wanted = manifests.filter((manifest) =>
    manifestMayMatch(manifest, partitioningOf(metadata, manifest.partitionSpecId), ranges)
  );
  const deletes = new DeleteIndex();
  // Those without a partition act on all, whatever their bounds.
  const ofDeletes = manifests.filter(({ content }) => content === "deletes");
  for await (const entry of live(lake, metadata, ofDeletes)) deletes.add(entry);
  const types = columnTypes(metadata);
  const ofData = wanted.filter(({ content }) => content === "data");
  for await (const entry of live(lake, metadata, ofData)) {
    if (fileMayMatch(entry.dataFile, types, ranges)) yield { entry, deletes: deletes.of(entry) };
  }
}
