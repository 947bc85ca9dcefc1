/**
 * What a commit to a REST catalog asks for, and whether a table shows what a commit was to change.
 * Source: Iceberg REST catalog specification, `TableRequirement`.
 *
 * @module
 */

import { MAIN, snapshotById, snapshotOfRef, type TableMetadata } from "../iceberg/metadata.ts";
import type { Long } from "../iceberg/metadata.ts";
import type { TableUpdate } from "../iceberg/updates.ts";

/** A commit comes into force only if this holds. */
export type TableRequirement =
  | { readonly type: "assert-create" }
  | { readonly type: "assert-table-uuid"; readonly uuid: string }
  | {
    readonly type: "assert-ref-snapshot-id";
    readonly ref: string;
    readonly "snapshot-id": Long | null;
  }
  | { readonly type: "assert-last-assigned-field-id"; readonly "last-assigned-field-id": number }
  | { readonly type: "assert-current-schema-id"; readonly "current-schema-id": number }
  | {
    readonly type: "assert-last-assigned-partition-id";
    readonly "last-assigned-partition-id": number;
  }
  | { readonly type: "assert-default-spec-id"; readonly "default-spec-id": number }
  | { readonly type: "assert-default-sort-order-id"; readonly "default-sort-order-id": number };

function refId(metadata: TableMetadata, ref: string): Long | null {
  return snapshotOfRef(metadata, ref)?.["snapshot-id"] ?? null;
}

/**
 * What a commit asks for: that the table is the one it was made from, has the same rows and columns,
 * and is as before in whatever the commit changes.
 *
 * @param base the table that the changes were made from
 * @param updates the changes
 */
export function requirementsOf(
  base: TableMetadata,
  updates: readonly TableUpdate[],
): readonly TableRequirement[] {
  const actions = new Set(updates.map(({ action }) => action));
  const refs = new Set([MAIN]);
  for (const update of updates) if ("ref-name" in update) refs.add(update["ref-name"]);
  // Snapshots that go may be named by any of them.
  if (actions.has("remove-snapshots")) Object.keys(base.refs ?? {}).forEach((ref) => refs.add(ref));
  const asked: TableRequirement[] = [
    { type: "assert-table-uuid", uuid: base["table-uuid"] },
    ...[...refs].map((ref): TableRequirement => ({
      type: "assert-ref-snapshot-id",
      ref,
      "snapshot-id": refId(base, ref),
    })),
    { type: "assert-current-schema-id", "current-schema-id": base["current-schema-id"] },
  ];
  if (actions.has("add-schema")) {
    asked.push({
      type: "assert-last-assigned-field-id",
      "last-assigned-field-id": base["last-column-id"],
    });
  }
  if (actions.has("add-spec") || actions.has("set-default-spec")) {
    asked.push(
      {
        type: "assert-last-assigned-partition-id",
        "last-assigned-partition-id": base["last-partition-id"],
      },
      { type: "assert-default-spec-id", "default-spec-id": base["default-spec-id"] },
    );
  }
  if (actions.has("add-sort-order") || actions.has("set-default-sort-order")) {
    asked.push({
      type: "assert-default-sort-order-id",
      "default-sort-order-id": base["default-sort-order-id"],
    });
  }
  return asked;
}

/**
 * Whether a requirement holds.
 *
 * @param now the table as it is; undefined when there is none
 * @param asked the requirement
 */
export function holds(now: TableMetadata | undefined, asked: TableRequirement): boolean {
  if (asked.type === "assert-create") return now === undefined;
  if (now === undefined) return false;
  switch (asked.type) {
    case "assert-table-uuid":
      return now["table-uuid"] === asked.uuid;
    case "assert-ref-snapshot-id":
      return refId(now, asked.ref) === asked["snapshot-id"];
    case "assert-last-assigned-field-id":
      return now["last-column-id"] === asked["last-assigned-field-id"];
    case "assert-current-schema-id":
      return now["current-schema-id"] === asked["current-schema-id"];
    case "assert-last-assigned-partition-id":
      return now["last-partition-id"] === asked["last-assigned-partition-id"];
    case "assert-default-spec-id":
      return now["default-spec-id"] === asked["default-spec-id"];
    case "assert-default-sort-order-id":
      return now["default-sort-order-id"] === asked["default-sort-order-id"];
  }
}

function shows(metadata: TableMetadata, update: TableUpdate): boolean {
  switch (update.action) {
    case "add-snapshot":
      return snapshotById(metadata, update.snapshot["snapshot-id"]) !== undefined;
    case "set-snapshot-ref":
      return refId(metadata, update["ref-name"]) === update["snapshot-id"];
    case "remove-snapshot-ref":
      return metadata.refs?.[update["ref-name"]] === undefined;
    case "remove-snapshots":
      return update["snapshot-ids"].every((id) => snapshotById(metadata, id) === undefined);
    case "set-properties":
      return Object.entries(update.updates)
        .every(([name, value]) => metadata.properties?.[name] === value);
    case "remove-properties":
      return update.removals.every((name) => metadata.properties?.[name] === undefined);
    case "assign-uuid":
      return metadata["table-uuid"] === update.uuid;
    case "set-location":
      return metadata.location === update.location;
    case "add-schema":
      return metadata.schemas.some(({ fields }) =>
        fields.length === update.schema.fields.length &&
        update.schema.fields.every(({ id, name, type }, i) =>
          fields[i]?.id === id && fields[i]?.name === name &&
          JSON.stringify(fields[i]?.type) === JSON.stringify(type)
        )
      );
    default:
      // What is added gets numbers from the catalog, and what is chosen shows with it.
      return true;
  }
}

/**
 * Whether a commit is in force, judged by a table as it is now. A snapshot has an id of its own, so
 * one that is there tells all; a commit without one is in force when the table is as it was to be.
 *
 * @param now the table
 * @param updates what the commit was to change
 */
export function isInForce(now: TableMetadata, updates: readonly TableUpdate[]): boolean {
  const snapshots = updates.filter(({ action }) => action === "add-snapshot");
  const telling = snapshots.length > 0 ? snapshots : updates;
  return telling.every((update) => shows(now, update));
}
