/**
 * Manifests: which files a table has, and what is known of each without reading it.
 * Source: Iceberg table specification, "Manifests" and "Manifest Lists".
 *
 * @module
 */

import type { Long } from "./metadata.ts";
import type { SingleValue } from "./single_value.ts";

/** A value that files are kept apart by. */
export type PartitionValue = SingleValue | null;

/** What a file holds: rows; rows of other files that are gone, by place or by their values. */
export type FileContent = "data" | "position-deletes" | "equality-deletes";

/** A file of a table. */
export interface DataFile {
  /** What it holds. */
  readonly content: FileContent;
  /** Its location. */
  readonly filePath: string;
  /** Its format, such as `PARQUET`. */
  readonly fileFormat: string;
  /** The partition spec it was written with. Not in the manifest's row but in its head. */
  readonly specId: number;
  /** Its partition: a value for each field of the spec. */
  readonly partition: readonly PartitionValue[];
  /** How many rows. */
  readonly recordCount: number;
  /** How many bytes. */
  readonly fileSizeInBytes: number;
  /** Bytes of each column in the file, by field id. */
  readonly columnSizes?: ReadonlyMap<number, number>;
  /** Values of each column, nulls included. */
  readonly valueCounts?: ReadonlyMap<number, number>;
  /** Nulls of each column. */
  readonly nullValueCounts?: ReadonlyMap<number, number>;
  /** NaNs of each column. */
  readonly nanValueCounts?: ReadonlyMap<number, number>;
  /** No value of the column is below it; in single-value serialization. */
  readonly lowerBounds?: ReadonlyMap<number, Uint8Array>;
  /** No value of the column is above it; in single-value serialization. */
  readonly upperBounds?: ReadonlyMap<number, Uint8Array>;
  /** How it is encrypted. */
  readonly keyMetadata?: Uint8Array;
  /** Where its row groups begin. */
  readonly splitOffsets?: readonly number[];
  /** The columns that equality deletes compare. */
  readonly equalityIds?: readonly number[];
  /** How its rows are sorted. */
  readonly sortOrderId?: number;
  /** The one file whose rows its position deletes take away, when it is one. */
  readonly referencedDataFile?: string;
}

/** What a snapshot says of a file: it had it before, has it now, has it no longer. */
export type EntryStatus = "existing" | "added" | "deleted";

/** A file in a manifest, with what it inherits from the manifest. */
export interface ManifestEntry {
  /** What the manifest's snapshot did with the file. */
  readonly status: EntryStatus;
  /** The snapshot that added the file, or took it away when the status is `deleted`. */
  readonly snapshotId: Long;
  /** Deletes act on files of data with lower numbers; position deletes on equal ones too. */
  readonly sequenceNumber: number;
  /** The sequence number of the snapshot that added the file. */
  readonly fileSequenceNumber: number;
  /** The file. */
  readonly dataFile: DataFile;
}

/** Values of a partition field over the files of a manifest. */
export interface FieldSummary {
  /** Whether one is null. */
  readonly containsNull: boolean;
  /** Whether one is NaN. */
  readonly containsNan?: boolean;
  /** The lowest, in single-value serialization. */
  readonly lowerBound?: Uint8Array;
  /** The highest, in single-value serialization. */
  readonly upperBound?: Uint8Array;
}

/** A manifest, as the list of a snapshot's manifests tells of it. */
export interface ManifestFile {
  /** Its location. */
  readonly manifestPath: string;
  /** How many bytes. */
  readonly manifestLength: number;
  /** The partition spec of its files. */
  readonly partitionSpecId: number;
  /** Whether its files are of data or of deletes. */
  readonly content: "data" | "deletes";
  /** The sequence number of the snapshot that added the manifest. */
  readonly sequenceNumber: number;
  /** The lowest sequence number of its live files. */
  readonly minSequenceNumber: number;
  /** The snapshot that added the manifest. */
  readonly addedSnapshotId: Long;
  /** Files that it adds. */
  readonly addedFilesCount: number;
  /** Files that were there before. */
  readonly existingFilesCount: number;
  /** Files that it takes away. */
  readonly deletedFilesCount: number;
  /** Rows of the files that it adds. */
  readonly addedRowsCount: number;
  /** Rows of the files that were there before. */
  readonly existingRowsCount: number;
  /** Rows of the files that it takes away. */
  readonly deletedRowsCount: number;
  /** Of each field of the partition spec. */
  readonly partitions?: readonly FieldSummary[];
  /** How it is encrypted. */
  readonly keyMetadata?: Uint8Array;
}

/** Whether a file is in the table. */
export function isLive(entry: Pick<ManifestEntry, "status">): boolean {
  return entry.status !== "deleted";
}
