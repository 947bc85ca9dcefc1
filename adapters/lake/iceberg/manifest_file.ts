/**
 * Manifests and lists of them as files.
 * Source: Iceberg table specification, "Manifests", "Manifest Lists" and "Sequence Number
 * Inheritance".
 *
 * @module
 */

import { decodeAvro, encodeAvro } from "./avro.ts";
import { formatJson } from "./json.ts";
import {
  type EntryStatus,
  type FieldSummary,
  isLive,
  type ManifestEntry,
  type ManifestFile,
  type PartitionValue,
} from "./manifest.ts";
import {
  fromEntryRecord,
  fromManifestRecord,
  type Partitioning,
  toEntryRecord,
  toManifestRecord,
} from "./manifest_records.ts";
import { entrySchema, LIST_SCHEMA, MANIFEST_NAMES } from "./manifest_schema.ts";
import type { Long, Snapshot, TableSchema } from "./metadata.ts";
import { compareValues, encodeValue } from "./single_value.ts";

/** What a manifest is for. */
export interface ManifestHead extends Partitioning {
  /** Where it will be. */
  readonly manifestPath: string;
  /** Whether its files are of data or of deletes. */
  readonly content: ManifestFile["content"];
  /** The snapshot that adds it. */
  readonly snapshotId: Long;
  /** That snapshot's sequence number. */
  readonly sequenceNumber: number;
  /** The table's schema. */
  readonly schema: TableSchema;
}

/** A manifest that was written. */
export interface WrittenManifest {
  /** The whole file. */
  readonly bytes: Uint8Array;
  /** What the list of manifests is to say of it. */
  readonly file: ManifestFile;
}

function summarize(type: string, values: Iterable<PartitionValue>): FieldSummary {
  let containsNull = false;
  let [low, high]: [PartitionValue, PartitionValue] = [null, null];
  for (const value of values) {
    if (value === null) containsNull = true;
    else {
      if (low === null || compareValues(value, low) < 0) low = value;
      if (high === null || compareValues(value, high) > 0) high = value;
    }
  }
  return {
    containsNull,
    ...(low === null ? {} : { lowerBound: encodeValue(type, low) }),
    ...(high === null ? {} : { upperBound: encodeValue(type, high) }),
  };
}

interface Counts {
  readonly files: number;
  readonly rows: number;
}

function count(entries: readonly ManifestEntry[], status: EntryStatus): Counts {
  let [files, rows] = [0, 0];
  for (const entry of entries) {
    if (entry.status !== status) continue;
    files++;
    rows += entry.dataFile.recordCount;
  }
  return { files, rows };
}

/**
 * Writes a manifest. Added files get the sequence number of the snapshot, by inheriting it.
 *
 * @param head what it is for
 * @param entries its files
 */
export function writeManifest(
  head: ManifestHead,
  entries: readonly ManifestEntry[],
): WrittenManifest {
  const { schema, spec, types, sequenceNumber } = head;
  const metadata = new Map([
    ["schema", formatJson(schema)],
    ["schema-id", String(schema["schema-id"])],
    ["partition-spec", formatJson(spec.fields)],
    ["partition-spec-id", String(spec["spec-id"])],
    ["format-version", "2"],
    ["content", head.content],
  ]);
  const records = entries.map((entry) => toEntryRecord(entry, head));
  const bytes = encodeAvro(entrySchema(spec, types), MANIFEST_NAMES, metadata, records);
  const [added, existing, deleted] = [
    count(entries, "added"),
    count(entries, "existing"),
    count(entries, "deleted"),
  ];
  let minSequenceNumber = sequenceNumber;
  for (const entry of entries) {
    if (isLive(entry)) minSequenceNumber = Math.min(minSequenceNumber, entry.sequenceNumber);
  }
  return {
    bytes,
    file: {
      manifestPath: head.manifestPath,
      manifestLength: bytes.length,
      partitionSpecId: spec["spec-id"],
      content: head.content,
      sequenceNumber,
      minSequenceNumber,
      addedSnapshotId: head.snapshotId,
      addedFilesCount: added.files,
      existingFilesCount: existing.files,
      deletedFilesCount: deleted.files,
      addedRowsCount: added.rows,
      existingRowsCount: existing.rows,
      deletedRowsCount: deleted.rows,
      partitions: types.map((type, i) =>
        summarize(type, entries.map(({ dataFile }) => dataFile.partition[i] ?? null))
      ),
    },
  };
}

/**
 * Reads a manifest, entry by entry.
 *
 * @param bytes the whole file
 * @param file what the list of manifests says of it
 * @param partitioning how its files are kept apart
 * @throws {AvroError} when it is none
 */
export function* readManifest(
  bytes: Uint8Array,
  file: ManifestFile,
  partitioning: Partitioning,
): Generator<ManifestEntry> {
  for (const record of decodeAvro(bytes, MANIFEST_NAMES).records) {
    yield fromEntryRecord(record, file, partitioning);
  }
}

/**
 * Writes the list of a snapshot's manifests.
 *
 * @param snapshot the snapshot
 * @param files its manifests
 */
export function writeManifestList(
  snapshot: Pick<Snapshot, "snapshot-id" | "parent-snapshot-id" | "sequence-number">,
  files: readonly ManifestFile[],
): Uint8Array {
  const metadata = new Map([
    ["snapshot-id", String(snapshot["snapshot-id"])],
    ["parent-snapshot-id", String(snapshot["parent-snapshot-id"] ?? null)],
    ["sequence-number", String(snapshot["sequence-number"])],
    ["format-version", "2"],
  ]);
  return encodeAvro(LIST_SCHEMA, MANIFEST_NAMES, metadata, files.map(toManifestRecord));
}

/**
 * Reads the list of a snapshot's manifests.
 *
 * @param bytes the whole file
 * @throws {AvroError} when it is none
 */
export function readManifestList(bytes: Uint8Array): readonly ManifestFile[] {
  return Array.from(decodeAvro(bytes, MANIFEST_NAMES).records, fromManifestRecord);
}
