/**
 * Table metadata as it is in its JSON, format version 2: the names are those of the file.
 * Source: Iceberg table specification, "Table Metadata" and "Appendix C: JSON serialization".
 *
 * @module
 */

import { parseJson } from "./json.ts";

/**
 * A 64-bit number: a `bigint` exactly where a `number` would round it, so `===` compares.
 * LakeSync's own are numbers; other engines' snapshot ids mostly are not.
 */
export type Long = number | bigint;

/** A column of a schema. */
export interface SchemaField {
  /** Its number, which no other column of the table ever has. */
  readonly id: number;
  /** Its name. */
  readonly name: string;
  /** Whether it has a value in every row. */
  readonly required: boolean;
  /** Its type; an object is a nested one. */
  readonly type: string | Readonly<Record<string, unknown>>;
  /** What it is, for people. */
  readonly doc?: string;
}

/** A schema of a table. */
export interface TableSchema {
  /** Always this. */
  readonly type: "struct";
  /** Its number in the table. */
  readonly "schema-id": number;
  /** The columns that name a row. */
  readonly "identifier-field-ids"?: readonly number[];
  /** The columns. */
  readonly fields: readonly SchemaField[];
}

/** A value by which files are kept apart. */
export interface PartitionField {
  /** The column it is made from. */
  readonly "source-id": number;
  /** Its own number, 1,000 or more. */
  readonly "field-id": number;
  /** Its name. */
  readonly name: string;
  /** How it is made: `identity`, `day`, `hour` or another of the specification's. */
  readonly transform: string;
}

/** How the files of a table are kept apart. */
export interface PartitionSpec {
  /** Its number in the table. */
  readonly "spec-id": number;
  /** The values; none for a table that is not partitioned. */
  readonly fields: readonly PartitionField[];
}

/** A column that rows are sorted by. */
export interface SortField {
  /** How the value is made from the column's. */
  readonly transform: string;
  /** The column. */
  readonly "source-id": number;
  /** Which way. */
  readonly direction: "asc" | "desc";
  /** Where nulls are. */
  readonly "null-order": "nulls-first" | "nulls-last";
}

/** How rows are sorted in a file. */
export interface SortOrder {
  /** Its number in the table; 0 is not sorted. */
  readonly "order-id": number;
  /** The columns. */
  readonly fields: readonly SortField[];
}

/** The files of a table at a moment. */
export interface Snapshot {
  /** Its number. */
  readonly "snapshot-id": Long;
  /** The one it was made from. */
  readonly "parent-snapshot-id"?: Long;
  /** Its place among all snapshots of the table. */
  readonly "sequence-number": number;
  /** When it was made, in milliseconds since 1970. */
  readonly "timestamp-ms": number;
  /** Where the list of its manifests is. */
  readonly "manifest-list": string;
  /** What it did: `operation` and counts. */
  readonly summary: Readonly<Record<string, string>>;
  /** The schema of when it was made. */
  readonly "schema-id"?: number;
}

/** A name of a snapshot, and how long what it names is kept. */
export interface SnapshotRef {
  /** The snapshot. */
  readonly "snapshot-id": Long;
  /** A branch moves with commits, a tag does not. */
  readonly type: "branch" | "tag";
  /** So many snapshots of a branch are kept at least. */
  readonly "min-snapshots-to-keep"?: number;
  /** Snapshots of a branch are kept for so long. */
  readonly "max-snapshot-age-ms"?: number;
  /** The name itself is kept for so long. */
  readonly "max-ref-age-ms"?: number;
}

/** When a snapshot became the current one. */
export interface SnapshotLogEntry {
  /** The snapshot. */
  readonly "snapshot-id": Long;
  /** When, in milliseconds since 1970. */
  readonly "timestamp-ms": number;
}

/** Where metadata was until a commit. */
export interface MetadataLogEntry {
  /** Its location. */
  readonly "metadata-file": string;
  /** When it was written, in milliseconds since 1970. */
  readonly "timestamp-ms": number;
}

/** All that is known of a table but its files. */
export interface TableMetadata {
  /** Always this. */
  readonly "format-version": 2;
  /** Names the table, whatever it is called. */
  readonly "table-uuid": string;
  /** Where its objects are. */
  readonly location: string;
  /** The highest sequence number of a snapshot. */
  readonly "last-sequence-number": number;
  /** When it was last changed, in milliseconds since 1970. */
  readonly "last-updated-ms": number;
  /** The highest number that a column has or had. */
  readonly "last-column-id": number;
  /** All schemas that files may have been written with. */
  readonly schemas: readonly TableSchema[];
  /** The schema of now. */
  readonly "current-schema-id": number;
  /** All ways in which files are kept apart. */
  readonly "partition-specs": readonly PartitionSpec[];
  /** The one for new files. */
  readonly "default-spec-id": number;
  /** The highest number of a partition field; 999 when there is none. */
  readonly "last-partition-id": number;
  /** What whoever uses the table keeps in it. */
  readonly properties?: Readonly<Record<string, string>>;
  /** The snapshot of `main`; -1 or not there when there is none. */
  readonly "current-snapshot-id"?: Long | null;
  /** The snapshots that can be read. */
  readonly snapshots?: readonly Snapshot[];
  /** Which snapshot was current when. */
  readonly "snapshot-log"?: readonly SnapshotLogEntry[];
  /** Where earlier metadata is. */
  readonly "metadata-log"?: readonly MetadataLogEntry[];
  /** All sort orders. */
  readonly "sort-orders": readonly SortOrder[];
  /** The one for new files. */
  readonly "default-sort-order-id": number;
  /** Branches and tags; `main` is the table as it is read. */
  readonly refs?: Readonly<Record<string, SnapshotRef>>;
}

/** The branch that readers see. */
export const MAIN = "main";

/** Metadata is none, or nothing can be made of it. */
export class MetadataError extends Error {
  /** Always `MetadataError`. */
  override readonly name: string = "MetadataError";
}

/**
 * Finds a snapshot.
 *
 * @param metadata the table
 * @param id its id
 */
export function snapshotById(metadata: TableMetadata, id: Long): Snapshot | undefined {
  return metadata.snapshots?.findLast((snapshot) => snapshot["snapshot-id"] === id);
}

/**
 * Finds the snapshot that a branch or tag names.
 *
 * @param metadata the table
 * @param ref its name
 */
export function snapshotOfRef(metadata: TableMetadata, ref: string = MAIN): Snapshot | undefined {
  const id = metadata.refs?.[ref]?.["snapshot-id"] ??
    (ref === MAIN ? metadata["current-snapshot-id"] : undefined);
  return id === undefined || id === null ? undefined : snapshotById(metadata, id);
}

/** The schema of now. */
export function currentSchema(metadata: TableMetadata): TableSchema {
  return schemaById(metadata, metadata["current-schema-id"]);
}

/**
 * Finds a schema.
 *
 * @param metadata the table
 * @param id its id
 * @throws {MetadataError} when there is none
 */
export function schemaById(metadata: TableMetadata, id: number): TableSchema {
  const schema = metadata.schemas.find((schema) => schema["schema-id"] === id);
  if (schema === undefined) throw new MetadataError(`The table has no schema ${id}`);
  return schema;
}

/**
 * Finds a partition spec.
 *
 * @param metadata the table
 * @param id its id
 * @throws {MetadataError} when there is none
 */
export function specById(metadata: TableMetadata, id: number): PartitionSpec {
  const spec = metadata["partition-specs"].find((spec) => spec["spec-id"] === id);
  if (spec === undefined) throw new MetadataError(`The table has no partition spec ${id}`);
  return spec;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const TEXTS = ["table-uuid", "location"];
const NUMBERS = [
  "last-sequence-number",
  "last-updated-ms",
  "last-column-id",
  "current-schema-id",
  "default-spec-id",
  "last-partition-id",
  "default-sort-order-id",
];
const LISTS = ["schemas", "partition-specs", "sort-orders"];

function isTableMetadata(
  value: Readonly<Record<string, unknown>>,
): value is Readonly<Record<string, unknown>> & TableMetadata {
  return TEXTS.every((name) => typeof value[name] === "string") &&
    NUMBERS.every((name) => typeof value[name] === "number") &&
    LISTS.every((name) => Array.isArray(value[name]));
}

/**
 * Reads metadata.
 *
 * @param text its JSON
 * @throws {MetadataError} when it is none, or of another format version
 */
export function parseMetadata(text: string): TableMetadata {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw new MetadataError("The metadata is no JSON", { cause });
  }
  if (!isRecord(value)) throw new MetadataError("The metadata is no object");
  if (value["format-version"] !== 2) {
    throw new MetadataError(`Tables of format version ${value["format-version"]} are not known`);
  }
  if (!isTableMetadata(value)) throw new MetadataError("The metadata lacks what it must have");
  return value;
}
