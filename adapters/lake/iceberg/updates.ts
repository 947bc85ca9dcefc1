/**
 * Changes of a table's metadata, as a REST catalog is sent them and as the catalog on an object
 * store alone applies them. Pure.
 * Source: Iceberg REST catalog specification, `TableUpdate`; table specification, "Table Metadata".
 *
 * @module
 */

import {
  type Long,
  MetadataError,
  type PartitionField,
  type Snapshot,
  type SnapshotRef,
  type SortOrder,
  type TableMetadata,
  type TableSchema,
} from "./metadata.ts";
import {
  addSchema,
  addSortOrder,
  addSpec,
  setCurrentSchema,
  setDefaultSortOrder,
  setDefaultSpec,
} from "./update_layout.ts";
import { addSnapshot, removeRefs, removeSnapshots, setSnapshotRef } from "./update_snapshots.ts";

/** A partition spec that is to get its numbers. */
export interface NewPartitionSpec {
  /** Given anew. */
  readonly "spec-id"?: number;
  /** Its fields; one without a number gets the next. */
  readonly fields: readonly (Omit<PartitionField, "field-id"> & { readonly "field-id"?: number })[];
}

/** A change of a table's metadata. A number of -1 means what was last added by the same updates. */
export type TableUpdate =
  | { readonly action: "assign-uuid"; readonly uuid: string }
  | { readonly action: "upgrade-format-version"; readonly "format-version": number }
  | {
    readonly action: "add-schema";
    readonly schema: TableSchema;
    readonly "last-column-id"?: number;
  }
  | { readonly action: "set-current-schema"; readonly "schema-id": number }
  | { readonly action: "add-spec"; readonly spec: NewPartitionSpec }
  | { readonly action: "set-default-spec"; readonly "spec-id": number }
  | { readonly action: "add-sort-order"; readonly "sort-order": SortOrder }
  | { readonly action: "set-default-sort-order"; readonly "sort-order-id": number }
  | { readonly action: "add-snapshot"; readonly snapshot: Snapshot }
  | { readonly action: "set-snapshot-ref"; readonly "ref-name": string } & SnapshotRef
  | { readonly action: "remove-snapshot-ref"; readonly "ref-name": string }
  | { readonly action: "remove-snapshots"; readonly "snapshot-ids": readonly Long[] }
  | { readonly action: "set-location"; readonly location: string }
  | {
    readonly action: "set-properties";
    readonly updates: Readonly<Record<string, string>>;
  }
  | { readonly action: "remove-properties"; readonly removals: readonly string[] };

/** Of one kind of update. */
export type Update<A extends TableUpdate["action"]> = Extract<TableUpdate, { readonly action: A }>;

/** Metadata, and what the updates so far have added. */
export interface Working {
  /** The table so far. */
  readonly metadata: TableMetadata;
  /** Entries that the snapshot log had before. */
  readonly logged: number;
  /** Snapshots that were added. */
  readonly added?: readonly Long[];
  /** The schema that was added last. */
  readonly schema?: number;
  /** The partition spec that was added last. */
  readonly spec?: number;
  /** The sort order that was added last. */
  readonly sortOrder?: number;
}

function upgrade(working: Working, update: Update<"upgrade-format-version">): Working {
  if (update["format-version"] === 2) return working;
  throw new MetadataError("Tables have format version 2 and keep it");
}

function change(working: Working, changes: Partial<TableMetadata>): Working {
  return { ...working, metadata: { ...working.metadata, ...changes } };
}

function withoutProperties(working: Working, removals: readonly string[]): Working {
  const properties = Object.entries(working.metadata.properties ?? {})
    .filter(([name]) => !removals.includes(name));
  return change(working, { properties: Object.fromEntries(properties) });
}

function applyUpdate(working: Working, update: TableUpdate): Working {
  switch (update.action) {
    case "assign-uuid":
      return change(working, { "table-uuid": update.uuid });
    case "upgrade-format-version":
      return upgrade(working, update);
    case "add-schema":
      return addSchema(working, update);
    case "set-current-schema":
      return setCurrentSchema(working, update);
    case "add-spec":
      return addSpec(working, update);
    case "set-default-spec":
      return setDefaultSpec(working, update);
    case "add-sort-order":
      return addSortOrder(working, update);
    case "set-default-sort-order":
      return setDefaultSortOrder(working, update);
    case "add-snapshot":
      return addSnapshot(working, update);
    case "set-snapshot-ref":
      return setSnapshotRef(working, update);
    case "remove-snapshot-ref":
      return removeRefs(working, [update["ref-name"]]);
    case "remove-snapshots":
      return removeSnapshots(working, update);
    case "set-location":
      return change(working, { location: update.location });
    case "set-properties":
      return change(working, {
        properties: { ...working.metadata.properties, ...update.updates },
      });
    case "remove-properties":
      return withoutProperties(working, update.removals);
    default:
      throw new MetadataError(`There is no update ${(update as { action: string }).action}`);
  }
}

/**
 * Applies changes to metadata, all or none. The table's time never goes back, whatever the clock
 * does: readers refuse a table whose log of snapshots does.
 *
 * @param metadata the table; not changed
 * @param updates what changes, in order
 * @param nowMs the time, in milliseconds since 1970
 * @returns the table with the changes; its log of metadata is the catalog's to write
 * @throws {MetadataError} when a change is none for this table
 */
export function applyUpdates(
  metadata: TableMetadata,
  updates: readonly TableUpdate[],
  nowMs: number,
): TableMetadata {
  let working: Working = {
    logged: metadata["snapshot-log"]?.length ?? 0,
    metadata: {
      ...metadata,
      "last-updated-ms": Math.max(metadata["last-updated-ms"], Math.floor(nowMs)),
    },
  };
  for (const update of updates) working = applyUpdate(working, update);
  return working.metadata;
}
