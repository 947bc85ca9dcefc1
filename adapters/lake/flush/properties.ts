/**
 * The properties that LakeSync keeps in its tables of a lake.
 *
 * @module
 */

import type { DestinationSchema, FlushPosition } from "../../adapter.ts";
import { fromStoredSchema, toStoredSchema } from "../../database/stored_schema.ts";
import type { TableMetadata } from "../iceberg/metadata.ts";

/** The form of LakeSync's tables and properties. */
export const FORMAT = "1";

/** Property names. */
export const PROPERTY = {
  /** The form, {@linkcode FORMAT}. */
  format: "lakesync.format",
  /** What a table is for, {@linkcode TableKind}. */
  kind: "lakesync.kind",
  /** The namespace that it was made in: one gateway's. */
  namespace: "lakesync.namespace",
  /** The number of the synced table. */
  tableId: "lakesync.table-id",
  /** The synced table, as `layout.ts` prints it. */
  table: "lakesync.table",
  /** A position as JSON. */
  position: "lakesync.position",
  /** The schema as JSON; of the table of the position. */
  schema: "lakesync.schema",
  /**
   * The commit from which rows were filled last; of the table of the position. Rows are made of
   * `SET` rows at or after it and of changes after it. While the position has `filled`, more come.
   */
  refillSeq: "lakesync.refill-seq",
  /** Up to which commit changes have been forgotten; of the table of the position. */
  forgottenSeq: "lakesync.forgotten-seq",
  /** A JSON array of the locations of objects with the ids of rows that are unsettled. */
  unsettled: "lakesync.unsettled",
} as const;

/** Names of a snapshot's summary. */
export const SUMMARY = {
  seq: "lakesync.seq",
  slice: "lakesync.slice",
  fromSeq: "lakesync.from-seq",
  life: "lakesync.life",
} as const;

/** What a table is for: the changes or rows of a synced table, of others, the position. */
export type TableKind = "changes" | "rows" | "others" | "position";

/**
 * Reads the position that a table has.
 *
 * @param metadata the table
 */
export function positionOf({ properties }: TableMetadata): FlushPosition | undefined {
  const json = properties?.[PROPERTY.position];
  return json === undefined ? undefined : JSON.parse(json);
}

/**
 * What a snapshot's summary says of a position.
 *
 * @param to the position
 * @param from where the lake stood before
 */
export function summaryOf(
  to: FlushPosition,
  from: FlushPosition | undefined,
): Readonly<Record<string, string>> {
  return {
    [SUMMARY.seq]: String(to.seq),
    ...(to.slice === undefined ? {} : { [SUMMARY.slice]: String(to.slice) }),
    [SUMMARY.fromSeq]: String(from?.seq ?? 0),
    [SUMMARY.life]: to.lives.at(-1)?.id ?? "",
  };
}

/**
 * Reads the schema that a table of the position has.
 *
 * @param metadata the table
 */
export function schemaOf({ properties }: TableMetadata): DestinationSchema | undefined {
  const json = properties?.[PROPERTY.schema];
  return json === undefined ? undefined : fromStoredSchema(JSON.parse(json));
}

/** Writes a schema for the table of the position. */
export function printSchema(schema: DestinationSchema): string {
  return JSON.stringify(toStoredSchema(schema));
}

/** Which objects have names of unsettled rows. */
export function unsettledKeys({ properties }: TableMetadata): readonly string[] {
  return JSON.parse(properties?.[PROPERTY.unsettled] ?? "[]");
}
