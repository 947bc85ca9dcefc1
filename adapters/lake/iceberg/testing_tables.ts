/**
 * For tests: tables in memory, and files that only manifests know.
 *
 * @module
 */

import { memoryObjects } from "../../object-store/memory.ts";
import { lakeLocation } from "../location.ts";
import type { SnapshotPlan } from "./draft.ts";
import { entriesOf, type LakeFiles, manifestsOf } from "./lake_files.ts";
import { type DataFile, isLive, type ManifestEntry, type PartitionValue } from "./manifest.ts";
import type { Snapshot, TableMetadata } from "./metadata.ts";
import { newTableMetadata, type PartitionBy } from "./new_table.ts";
import type { LakeField, LakeSchema } from "./schema.ts";
import { encodeValue } from "./single_value.ts";
import { applyUpdates } from "./updates.ts";

/** A column of each name and type. */
export function fieldsOf(
  types: Readonly<Record<string, LakeField["type"]>>,
): readonly LakeField[] {
  return Object.entries(types).map(([name, type], i) => ({
    id: i + 1,
    name,
    type,
    required: false,
  }));
}

/** A schema with a key, a moment and a number. */
export const SCHEMA: LakeSchema = {
  fields: fieldsOf({ id: "long", at: "timestamptz", count: "int" }),
};

/** By the day of the moment. */
export const BY_DAY: readonly PartitionBy[] = [{ fieldId: 2, transform: "day", name: "at_day" }];

/** A lake in memory. */
export function memoryLake(): LakeFiles {
  return { store: memoryObjects(), location: lakeLocation("s3://bucket/lake") };
}

/**
 * The first metadata of a table.
 *
 * @param lake the lake
 * @param partitionBy how its files are kept apart
 * @param schema its columns
 */
export function emptyTable(
  lake: LakeFiles,
  partitionBy: readonly PartitionBy[] = [],
  schema: LakeSchema = SCHEMA,
): TableMetadata {
  return newTableMetadata({
    uuid: "2b7ad1d5-3a35-4a3b-9f0e-000000000001",
    location: lake.location.of("gw/todos"),
    schema,
    partitionBy,
    nowMs: 1_000,
  });
}

/**
 * A file of data with ids from one to another.
 *
 * @param name names it
 * @param partition its partition
 * @param ids the least and the greatest id of its rows
 */
export function fileOf(
  name: string,
  partition: readonly PartitionValue[] = [],
  [least, greatest]: readonly [number, number] = [0, 9],
): DataFile {
  return {
    content: "data",
    filePath: `s3://bucket/lake/gw/todos/data/${name}.parquet`,
    fileFormat: "PARQUET",
    specId: 0,
    partition,
    recordCount: greatest - least + 1,
    fileSizeInBytes: 1_000,
    valueCounts: new Map([[1, greatest - least + 1]]),
    nullValueCounts: new Map([[1, 0]]),
    lowerBounds: new Map([[1, encodeValue("long", BigInt(least))]]),
    upperBounds: new Map([[1, encodeValue("long", BigInt(greatest))]]),
  };
}

/**
 * A file that takes a row of another one away.
 *
 * @param name names it
 * @param from the other one
 */
export function deletesOf(name: string, from: DataFile): DataFile {
  return {
    content: "position-deletes",
    filePath: `s3://bucket/lake/gw/todos/data/${name}-deletes.parquet`,
    fileFormat: "PARQUET",
    specId: from.specId,
    partition: from.partition,
    recordCount: 1,
    fileSizeInBytes: 100,
    referencedDataFile: from.filePath,
  };
}

/**
 * Writes the objects of a snapshot and brings it in.
 *
 * @param lake the lake
 * @param metadata the table
 * @param plan the snapshot
 */
export async function commitTo(
  lake: LakeFiles,
  metadata: TableMetadata,
  plan: SnapshotPlan,
): Promise<TableMetadata> {
  for (const { key, bytes } of plan.objects) await lake.store.putObject(key, bytes);
  return applyUpdates(metadata, plan.updates, metadata["last-updated-ms"] + 1);
}

/**
 * The files of a snapshot.
 *
 * @param lake the lake
 * @param metadata the table
 * @param snapshot the snapshot; without one there are none
 */
export async function* liveFiles(
  lake: LakeFiles,
  metadata: TableMetadata,
  snapshot: Snapshot | undefined,
): AsyncGenerator<ManifestEntry> {
  for (const manifest of await manifestsOf(lake, snapshot)) {
    for (const entry of await entriesOf(lake, metadata, manifest)) if (isLive(entry)) yield entry;
  }
}

/**
 * The keys of the lists and manifests of all snapshots.
 *
 * @param lake the lake
 * @param metadata the table
 */
export async function namedKeys(
  lake: LakeFiles,
  metadata: TableMetadata,
): Promise<ReadonlySet<string>> {
  const keys = new Set<string>();
  for (const snapshot of metadata.snapshots ?? []) {
    const manifests = await manifestsOf(lake, snapshot);
    const locations = manifests.map(({ manifestPath }) => manifestPath);
    for (const location of [snapshot["manifest-list"], ...locations]) {
      keys.add(lake.location.keyOf(location) ?? location);
    }
  }
  return keys;
}
