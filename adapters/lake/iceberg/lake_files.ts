/**
 * A table's objects by their locations.
 *
 * @module
 */

import type { ObjectStore } from "../../object-store/object_store.ts";
import type { LakeLocation } from "../location.ts";
import { readManifest, readManifestList } from "./manifest_file.ts";
import type { ManifestEntry, ManifestFile } from "./manifest.ts";
import type { Partitioning } from "./manifest_records.ts";
import { MetadataError, type Snapshot, specById, type TableMetadata } from "./metadata.ts";
import { partitionTypes } from "./transform.ts";

/** Where objects are, and what they are called outside. */
export interface LakeFiles {
  /** The objects. */
  readonly store: ObjectStore;
  /** Their locations. */
  readonly location: LakeLocation;
}

/** An object that a table names is not there. */
export class MissingObjectError extends Error {
  /** Always `MissingObjectError`. */
  override readonly name: string = "MissingObjectError";
}

/**
 * The key of an object of a table.
 *
 * @param lake the lake
 * @param location the object's location
 * @throws {MetadataError} when it is outside the lake
 */
export function keyAt({ location: lake }: LakeFiles, location: string): string {
  const key = lake.keyOf(location);
  if (key !== undefined) return key;
  throw new MetadataError(`${location} is not in the lake at ${lake.root}`);
}

/**
 * Reads an object that a table names.
 *
 * @param lake the lake
 * @param location the object's location
 * @throws {MissingObjectError} when it is not there
 */
export async function readAt(lake: LakeFiles, location: string): Promise<Uint8Array> {
  const bytes = await lake.store.getObject(keyAt(lake, location));
  if (bytes !== undefined) return bytes;
  throw new MissingObjectError(`${location} is not there, though the table names it`);
}

/**
 * How the files of a manifest are kept apart.
 *
 * @param metadata the table
 * @param specId the partition spec
 */
export function partitioningOf(metadata: TableMetadata, specId: number): Partitioning {
  const spec = specById(metadata, specId);
  return { spec, types: partitionTypes(spec, metadata.schemas) };
}

/**
 * Reads the list of a snapshot's manifests.
 *
 * @param lake the lake
 * @param snapshot the snapshot; without one there are none
 */
export async function manifestsOf(
  lake: LakeFiles,
  snapshot: Snapshot | undefined,
): Promise<readonly ManifestFile[]> {
  if (snapshot === undefined) return [];
  return readManifestList(await readAt(lake, snapshot["manifest-list"]));
}

/**
 * Reads a manifest.
 *
 * @param lake the lake
 * @param metadata the table
 * @param file the manifest
 * @returns its files, those that it takes away too
 */
export async function entriesOf(
  lake: LakeFiles,
  metadata: TableMetadata,
  file: ManifestFile,
): Promise<Iterable<ManifestEntry>> {
  const bytes = await readAt(lake, file.manifestPath);
  return readManifest(bytes, file, partitioningOf(metadata, file.partitionSpecId));
}
