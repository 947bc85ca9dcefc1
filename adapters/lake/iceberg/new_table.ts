/**
 * The first metadata of a table.
 *
 * @module
 */

import type { SortOrder, TableMetadata } from "./metadata.ts";
import type { LakeSchema } from "./schema.ts";
import { toTableSchema } from "./schema_json.ts";
import type { TableUpdate } from "./updates.ts";

/** A value that rows are kept apart by. */
export interface PartitionBy {
  /** The column. */
  readonly fieldId: number;
  /** How the value is made from the column's. */
  readonly transform: "identity" | "day" | "hour";
  /** What the value is called. */
  readonly name: string;
}

/** What a table is to be. */
export interface NewTable {
  /** Names it, whatever it is called. */
  readonly uuid: string;
  /** Where its objects will be. */
  readonly location: string;
  /** Its columns. */
  readonly schema: LakeSchema;
  /** How its files are kept apart; not at all when not given. */
  readonly partitionBy?: readonly PartitionBy[];
  /** The columns that the rows of a file are sorted by, ascending, nulls first. */
  readonly sortBy?: readonly number[];
  /** Its properties. */
  readonly properties?: Readonly<Record<string, string>>;
  /** The time, in milliseconds since 1970. */
  readonly nowMs: number;
}

const UNSORTED: SortOrder = { "order-id": 0, fields: [] };
const FIRST_PARTITION_ID = 1000;

/**
 * Makes the metadata of a table that has no rows.
 *
 * @param table what it is to be
 */
export function newTableMetadata(table: NewTable): TableMetadata {
  const { partitionBy = [], sortBy = [] } = table;
  const sorted: SortOrder = {
    "order-id": 1,
    fields: sortBy.map((id) => ({
      transform: "identity",
      "source-id": id,
      direction: "asc",
      "null-order": "nulls-first",
    })),
  };
  return {
    "format-version": 2,
    "table-uuid": table.uuid,
    location: table.location,
    "last-sequence-number": 0,
    "last-updated-ms": Math.floor(table.nowMs),
    "last-column-id": Math.max(0, ...table.schema.fields.map(({ id }) => id)),
    schemas: [toTableSchema(table.schema)],
    "current-schema-id": 0,
    "partition-specs": [{
      "spec-id": 0,
      fields: partitionBy.map(({ fieldId, transform, name }, i) => ({
        "source-id": fieldId,
        "field-id": FIRST_PARTITION_ID + i,
        name,
        transform,
      })),
    }],
    "default-spec-id": 0,
    "last-partition-id": FIRST_PARTITION_ID - 1 + partitionBy.length,
    properties: { ...table.properties },
    snapshots: [],
    "snapshot-log": [],
    "metadata-log": [],
    "sort-orders": sortBy.length === 0 ? [UNSORTED] : [UNSORTED, sorted],
    "default-sort-order-id": sortBy.length === 0 ? 0 : 1,
    refs: {},
  };
}

/**
 * The changes that make a table from nothing. A catalog that is sent them keeps the columns'
 * numbers, which one that is asked to create a table with a schema gives anew.
 *
 * @param metadata the table's first metadata
 */
export function creationUpdates(metadata: TableMetadata): readonly TableUpdate[] {
  return [
    { action: "assign-uuid", uuid: metadata["table-uuid"] },
    { action: "upgrade-format-version", "format-version": 2 },
    ...metadata.schemas.map((schema): TableUpdate => ({
      action: "add-schema",
      schema,
      "last-column-id": metadata["last-column-id"],
    })),
    { action: "set-current-schema", "schema-id": -1 },
    ...metadata["partition-specs"].map((spec): TableUpdate => ({ action: "add-spec", spec })),
    { action: "set-default-spec", "spec-id": -1 },
    ...metadata["sort-orders"].map((order): TableUpdate => ({
      action: "add-sort-order",
      "sort-order": order,
    })),
    { action: "set-default-sort-order", "sort-order-id": -1 },
    { action: "set-location", location: metadata.location },
    { action: "set-properties", updates: metadata.properties ?? {} },
  ];
}
