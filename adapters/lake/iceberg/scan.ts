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
  for (const manifest of manifests) {
    if (liveFilesCount(manifest) === 0) continue;
    for (const entry of await entriesOf(lake, metadata, manifest)) {
      if (isLive(entry)) yield entry;
    }
  }
}

/**
 * Finds the files of data that are to be read. The files of deletes are held, those of data are not.
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

/**
 * Lists the files of a snapshot, of data and of deletes.
 *
 * @param lake where objects are
 * @param metadata the table
 * @param snapshot the snapshot; without one there are none
 */
export async function* liveFiles(
  lake: LakeFiles,
  metadata: TableMetadata,
  snapshot: Snapshot | undefined,
): AsyncGenerator<ManifestEntry> {
  yield* live(lake, metadata, await manifestsOf(lake, snapshot));
}

/**
 * Lists the objects that a table needs: metadata of before, lists, manifests and files of all
 * snapshots. A file may come more than once. Fails where one that is to be read is missing, so that
 * nothing is taken for an orphan that is none.
 *
 * @param lake where objects are
 * @param metadata the table
 * @returns locations
 */
export async function* referencedObjects(
  lake: LakeFiles,
  metadata: TableMetadata,
): AsyncGenerator<string> {
  for (const { "metadata-file": location } of metadata["metadata-log"] ?? []) yield location;
  const seen = new Set<string>();
  for (const snapshot of metadata.snapshots ?? []) {
    yield snapshot["manifest-list"];
    for (const manifest of await manifestsOf(lake, snapshot)) {
      if (seen.has(manifest.manifestPath)) continue;
      seen.add(manifest.manifestPath);
      yield manifest.manifestPath;
      for await (const { dataFile } of live(lake, metadata, [manifest])) yield dataFile.filePath;
    }
  }
}
