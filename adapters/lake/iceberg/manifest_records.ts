/**
 * Files and manifests as records of Avro, and back.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { AvroError, type AvroRecord } from "./avro.ts";
import type {
  DataFile,
  EntryStatus,
  FieldSummary,
  FileContent,
  ManifestEntry,
  ManifestFile,
  PartitionValue,
} from "./manifest.ts";
import { decimalBytes } from "./manifest_schema.ts";
import type { Long, PartitionSpec } from "./metadata.ts";
import { bigEndian, decimalDigits, fromBigEndian, isLongType } from "./single_value.ts";

/** How files are kept apart: a spec, and the types of its values. */
export interface Partitioning {
  /** The spec. */
  readonly spec: PartitionSpec;
  /** The types of the partition's values, in its order. */
  readonly types: readonly string[];
}

type MapRecord<T> = readonly { readonly key: number; readonly value: T }[] | null;

/** A file, as manifests have it; what is undefined is not there in older formats. */
interface FileRecord {
  readonly content?: number;
  readonly file_path: string;
  readonly file_format: string;
  readonly partition: AvroRecord;
  readonly record_count: number;
  readonly file_size_in_bytes: number;
  readonly column_sizes?: MapRecord<number>;
  readonly value_counts?: MapRecord<number>;
  readonly null_value_counts?: MapRecord<number>;
  readonly nan_value_counts?: MapRecord<number>;
  readonly lower_bounds?: MapRecord<Uint8Array>;
  readonly upper_bounds?: MapRecord<Uint8Array>;
  readonly key_metadata?: Uint8Array | null;
  readonly split_offsets?: readonly number[] | null;
  readonly equality_ids?: readonly number[] | null;
  readonly sort_order_id?: number | null;
  readonly referenced_data_file?: string | null;
}

interface EntryRecord {
  readonly status: number;
  readonly snapshot_id?: Long | null;
  readonly sequence_number?: number | null;
  readonly file_sequence_number?: number | null;
  readonly data_file: FileRecord;
}

interface SummaryRecord {
  readonly contains_null: boolean;
  readonly contains_nan?: boolean | null;
  readonly lower_bound?: Uint8Array | null;
  readonly upper_bound?: Uint8Array | null;
}

interface ManifestRecord {
  readonly manifest_path: string;
  readonly manifest_length: number;
  readonly partition_spec_id: number;
  readonly content?: number;
  readonly sequence_number?: number;
  readonly min_sequence_number?: number;
  readonly added_snapshot_id: Long;
  readonly added_files_count?: number | null;
  readonly existing_files_count?: number | null;
  readonly deleted_files_count?: number | null;
  readonly added_rows_count?: number | null;
  readonly existing_rows_count?: number | null;
  readonly deleted_rows_count?: number | null;
  readonly partitions?: readonly SummaryRecord[] | null;
  readonly key_metadata?: Uint8Array | null;
}

const STATUSES: readonly EntryStatus[] = ["existing", "added", "deleted"];
const CONTENTS: readonly FileContent[] = ["data", "position-deletes", "equality-deletes"];
const MANIFEST_CONTENTS: readonly ManifestFile["content"][] = ["data", "deletes"];

function known<T>(all: readonly T[], index: number, what: string): T {
  const found = all[index];
  if (found === undefined) throw new AvroError(`There is no ${what} ${index}`);
  return found;
}

/** A property, where there is a value. */
function present<K extends string, V>(
  name: K,
  value: V | null | undefined,
): { readonly [name in K]?: V } {
  if (value === null || value === undefined) return {};
  return { [name]: value } as { readonly [name in K]: V };
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function orNull(bytes: Uint8Array | undefined): Buffer | null {
  return bytes === undefined ? null : toBuffer(bytes);
}

/** The same bytes, without what makes a buffer of them. */
function toBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function toRecords<T, R>(
  map: ReadonlyMap<number, T> | undefined,
  as: (value: T) => R,
): MapRecord<R> {
  return map === undefined ? null : Array.from(map, ([key, value]) => ({ key, value: as(value) }));
}

function toMap<T, R>(
  records: MapRecord<T> | undefined,
  as: (value: T) => R,
): ReadonlyMap<number, R> | undefined {
  if (records === null || records === undefined) return undefined;
  return new Map(records.map(({ key, value }) => [key, as(value)]));
}

/** Longs beyond this may have been rounded, below 0; there are no files and rows so many. */
const MAX_COUNT = 2 ** 52;

function toCount(value: number): number {
  if (value >= 0 && value <= MAX_COUNT) return value;
  throw new AvroError("A count of a manifest is none");
}

function partitionToAvro(type: string, value: PartitionValue): unknown {
  const digits = decimalDigits(type);
  if (digits !== undefined && typeof value === "bigint") {
    return toBuffer(bigEndian(value, decimalBytes(digits.precision)));
  }
  return value instanceof Uint8Array ? toBuffer(value) : value;
}

function partitionFromAvro(type: string, value: unknown): PartitionValue {
  switch (typeof value) {
    case "number":
      // The column was narrower when the file was written.
      return isLongType(type) ? BigInt(value) : value;
    case "boolean":
    case "bigint":
    case "string":
      return value;
    default:
      if (!(value instanceof Uint8Array)) return null;
      return decimalDigits(type) === undefined ? toBytes(value) : fromBigEndian(value);
  }
}

function toFileRecord(file: DataFile, { spec, types }: Partitioning): FileRecord {
  const partition = spec.fields.map((field, i) => [
    `_${field["field-id"]}`,
    partitionToAvro(types[i] ?? "", file.partition[i] ?? null),
  ]);
  return {
    content: CONTENTS.indexOf(file.content),
    file_path: file.filePath,
    file_format: file.fileFormat,
    partition: Object.fromEntries(partition),
    record_count: toCount(file.recordCount),
    file_size_in_bytes: toCount(file.fileSizeInBytes),
    column_sizes: toRecords(file.columnSizes, toCount),
    value_counts: toRecords(file.valueCounts, toCount),
    null_value_counts: toRecords(file.nullValueCounts, toCount),
    nan_value_counts: toRecords(file.nanValueCounts, toCount),
    lower_bounds: toRecords(file.lowerBounds, toBuffer),
    upper_bounds: toRecords(file.upperBounds, toBuffer),
    key_metadata: orNull(file.keyMetadata),
    split_offsets: file.splitOffsets ?? null,
    equality_ids: file.equalityIds ?? null,
    sort_order_id: file.sortOrderId ?? null,
    referenced_data_file: file.referencedDataFile ?? null,
  };
}

function fromFileRecord(record: FileRecord, { spec, types }: Partitioning): DataFile {
  const keyMetadata = record.key_metadata;
  return {
    content: known(CONTENTS, record.content ?? 0, "content of a file"),
    filePath: record.file_path,
    fileFormat: record.file_format,
    specId: spec["spec-id"],
    partition: spec.fields.map((field, i) =>
      partitionFromAvro(types[i] ?? "", record.partition[`_${field["field-id"]}`])
    ),
    recordCount: toCount(record.record_count),
    fileSizeInBytes: toCount(record.file_size_in_bytes),
    ...present("columnSizes", toMap(record.column_sizes, toCount)),
    ...present("valueCounts", toMap(record.value_counts, toCount)),
    ...present("nullValueCounts", toMap(record.null_value_counts, toCount)),
    ...present("nanValueCounts", toMap(record.nan_value_counts, toCount)),
    ...present("lowerBounds", toMap(record.lower_bounds, toBytes)),
    ...present("upperBounds", toMap(record.upper_bounds, toBytes)),
    ...present("keyMetadata", keyMetadata && toBytes(keyMetadata)),
    ...present("splitOffsets", record.split_offsets?.map(toCount)),
    ...present("equalityIds", record.equality_ids),
    ...present("sortOrderId", record.sort_order_id),
    ...present("referencedDataFile", record.referenced_data_file),
  };
}

/**
 * An entry as a record. One that is added has no sequence number: it inherits the manifest's,
 * unless its rows are older than that.
 *
 * @param entry the entry
 * @param partitioning how its file is kept apart
 */
export function toEntryRecord(
  entry: ManifestEntry,
  partitioning: Partitioning,
): AvroRecord {
  const inherits = entry.status === "added";
  return {
    status: STATUSES.indexOf(entry.status),
    snapshot_id: entry.snapshotId,
    sequence_number: inherits && entry.sequenceNumber === entry.fileSequenceNumber
      ? null
      : entry.sequenceNumber,
    file_sequence_number: inherits ? null : entry.fileSequenceNumber,
    data_file: toFileRecord(entry.dataFile, partitioning),
  } satisfies EntryRecord;
}

/**
 * An entry from a record, with what it inherits.
 *
 * @param record the record
 * @param manifest the manifest it is in
 * @param partitioning how its files are kept apart
 */
export function fromEntryRecord(
  record: AvroRecord,
  manifest: ManifestFile,
  partitioning: Partitioning,
): ManifestEntry {
  const entry = record as unknown as EntryRecord;
  const inherited = entry.status === STATUSES.indexOf("added") ? manifest.sequenceNumber : 0;
  return {
    status: known(STATUSES, entry.status, "status of a file"),
    snapshotId: entry.snapshot_id ?? manifest.addedSnapshotId,
    sequenceNumber: toCount(entry.sequence_number ?? inherited),
    fileSequenceNumber: toCount(entry.file_sequence_number ?? inherited),
    dataFile: fromFileRecord(entry.data_file, partitioning),
  };
}

/** A manifest as a record of a list. */
export function toManifestRecord(file: ManifestFile): AvroRecord {
  return {
    manifest_path: file.manifestPath,
    manifest_length: file.manifestLength,
    partition_spec_id: file.partitionSpecId,
    content: MANIFEST_CONTENTS.indexOf(file.content),
    sequence_number: file.sequenceNumber,
    min_sequence_number: file.minSequenceNumber,
    added_snapshot_id: file.addedSnapshotId,
    added_files_count: file.addedFilesCount,
    existing_files_count: file.existingFilesCount,
    deleted_files_count: file.deletedFilesCount,
    added_rows_count: file.addedRowsCount,
    existing_rows_count: file.existingRowsCount,
    deleted_rows_count: file.deletedRowsCount,
    partitions: file.partitions?.map((summary) => ({
      contains_null: summary.containsNull,
      contains_nan: summary.containsNan ?? null,
      lower_bound: orNull(summary.lowerBound),
      upper_bound: orNull(summary.upperBound),
    })) ?? null,
    key_metadata: orNull(file.keyMetadata),
  } satisfies ManifestRecord;
}

function fromSummary(record: SummaryRecord): FieldSummary {
  const { lower_bound: lower, upper_bound: upper } = record;
  return {
    containsNull: record.contains_null,
    ...present("containsNan", record.contains_nan),
    ...present("lowerBound", lower && toBytes(lower)),
    ...present("upperBound", upper && toBytes(upper)),
  };
}

/** A manifest from a record of a list. */
export function fromManifestRecord(record: AvroRecord): ManifestFile {
  const file = record as unknown as ManifestRecord;
  const keyMetadata = file.key_metadata;
  return {
    manifestPath: file.manifest_path,
    manifestLength: toCount(file.manifest_length),
    partitionSpecId: file.partition_spec_id,
    content: known(MANIFEST_CONTENTS, file.content ?? 0, "content of a manifest"),
    sequenceNumber: toCount(file.sequence_number ?? 0),
    minSequenceNumber: toCount(file.min_sequence_number ?? 0),
    addedSnapshotId: file.added_snapshot_id,
    addedFilesCount: file.added_files_count ?? 0,
    existingFilesCount: file.existing_files_count ?? 0,
    deletedFilesCount: file.deleted_files_count ?? 0,
    addedRowsCount: toCount(file.added_rows_count ?? 0),
    existingRowsCount: toCount(file.existing_rows_count ?? 0),
    deletedRowsCount: toCount(file.deleted_rows_count ?? 0),
    ...present("partitions", file.partitions?.map(fromSummary)),
    ...present("keyMetadata", keyMetadata && toBytes(keyMetadata)),
  };
}
