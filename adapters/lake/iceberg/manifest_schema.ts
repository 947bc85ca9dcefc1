/**
 * The Avro schemas of manifests and of their lists.
 * Source: Iceberg table specification, "Manifests", "Manifest Lists" and "Appendix A: Avro".
 *
 * @module
 */

import type { AvroField, AvroObject, AvroSchema, FieldNames } from "./avro.ts";
import type { PartitionSpec } from "./metadata.ts";
import { decimalDigits } from "./single_value.ts";

function required(id: number, name: string, type: AvroSchema): AvroField {
  return { name, type, "field-id": id };
}

function optional(id: number, name: string, type: AvroSchema): AvroField {
  return { name, type: ["null", type], default: null, "field-id": id };
}

function list(elementId: number, items: AvroSchema): AvroSchema {
  return { type: "array", items, "element-id": elementId };
}

function record(name: string, fields: readonly AvroField[]): AvroObject {
  return { type: "record", name, fields };
}

/** A map whose keys are numbers: Avro's own have texts. */
function map(keyId: number, valueId: number, value: AvroSchema): AvroSchema {
  return {
    type: "array",
    logicalType: "map",
    items: record(`k${keyId}_v${valueId}`, [
      required(keyId, "key", "int"),
      required(valueId, "value", value),
    ]),
  };
}

/** How many bytes every number of so many digits fits in. */
export function decimalBytes(precision: number): number {
  const most = 10n ** BigInt(precision);
  let bytes = 1;
  while (BigInt.asIntN(bytes * 8, most) !== most) bytes++;
  return bytes;
}

function partitionType(type: string, id: number): AvroSchema {
  const digits = decimalDigits(type);
  if (digits !== undefined) {
    const { precision, scale } = digits;
    return {
      type: "fixed",
      name: `decimal_${id}`,
      size: decimalBytes(precision),
      logicalType: "decimal",
      precision,
      scale,
    };
  }
  switch (type) {
    case "date":
      return { type: "int", logicalType: "date" };
    case "timestamptz":
      return { type: "long", logicalType: "timestamp-micros", "adjust-to-utc": true };
    case "timestamp":
      return { type: "long", logicalType: "timestamp-micros", "adjust-to-utc": false };
    case "binary":
      return "bytes";
    default:
      return type;
  }
}

/** The id of the partition among the fields of a file. */
const PARTITION = 102;

/** Avro's names are letters, digits and `_`; anything else is written by its code. */
function avroName(name: string): string {
  const safe = name.replace(
    /[^A-Za-z0-9_]/g,
    (char) => `_x${(char.codePointAt(0) ?? 0).toString(16).toUpperCase()}`,
  );
  return /^\d/.test(safe) ? `_${safe}` : safe;
}

/**
 * The schema of a manifest's entries.
 *
 * @param spec how the files are kept apart
 * @param types the types of the partition's values
 */
export function entrySchema(spec: PartitionSpec, types: readonly string[]): AvroSchema {
  const partition = spec.fields.map((field, i) => {
    const id = field["field-id"];
    return optional(id, avroName(field.name), partitionType(types[i] ?? "string", id));
  });
  return record("manifest_entry", [
    required(0, "status", "int"),
    optional(1, "snapshot_id", "long"),
    optional(3, "sequence_number", "long"),
    optional(4, "file_sequence_number", "long"),
    required(
      2,
      "data_file",
      record("r2", [
        required(134, "content", "int"),
        required(100, "file_path", "string"),
        required(101, "file_format", "string"),
        required(PARTITION, "partition", record("r102", partition)),
        required(103, "record_count", "long"),
        required(104, "file_size_in_bytes", "long"),
        optional(108, "column_sizes", map(117, 118, "long")),
        optional(109, "value_counts", map(119, 120, "long")),
        optional(110, "null_value_counts", map(121, 122, "long")),
        optional(137, "nan_value_counts", map(138, 139, "long")),
        optional(125, "lower_bounds", map(126, 127, "bytes")),
        optional(128, "upper_bounds", map(129, 130, "bytes")),
        optional(131, "key_metadata", "bytes"),
        optional(132, "split_offsets", list(133, "long")),
        optional(135, "equality_ids", list(136, "int")),
        optional(140, "sort_order_id", "int"),
        optional(143, "referenced_data_file", "string"),
      ]),
    ),
  ]);
}

/** The schema of a list of manifests. */
export const LIST_SCHEMA: AvroObject = record("manifest_file", [
  required(500, "manifest_path", "string"),
  required(501, "manifest_length", "long"),
  required(502, "partition_spec_id", "int"),
  required(517, "content", "int"),
  required(515, "sequence_number", "long"),
  required(516, "min_sequence_number", "long"),
  required(503, "added_snapshot_id", "long"),
  required(504, "added_files_count", "int"),
  required(505, "existing_files_count", "int"),
  required(506, "deleted_files_count", "int"),
  required(512, "added_rows_count", "long"),
  required(513, "existing_rows_count", "long"),
  required(514, "deleted_rows_count", "long"),
  optional(
    507,
    "partitions",
    list(
      508,
      record("r508", [
        required(509, "contains_null", "boolean"),
        optional(518, "contains_nan", "boolean"),
        optional(510, "lower_bound", "bytes"),
        optional(511, "upper_bound", "bytes"),
      ]),
    ),
  ),
  optional(519, "key_metadata", "bytes"),
]);

/** Notes the names of a schema's fields by their ids. */
function* namesOf(schema: unknown): Generator<readonly [number, string]> {
  if (typeof schema !== "object" || schema === null) return;
  if ("field-id" in schema && "name" in schema) {
    const { "field-id": id, name } = schema;
    if (typeof id === "number" && typeof name === "string") yield [id, name];
  }
  for (const part of Object.values(schema)) yield* namesOf(part);
}

/** What the fields of both are called in records, whatever the writer of a file called them. */
export const MANIFEST_NAMES: FieldNames = {
  names: new Map([
    ...namesOf(entrySchema({ "spec-id": 0, fields: [] }, [])),
    ...namesOf(LIST_SCHEMA),
  ]),
  longs: new Set([1, 503]),
  partition: PARTITION,
};
