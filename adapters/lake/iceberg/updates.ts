/**
 * Changes of a table's metadata, as a REST catalog is sent them and as the catalog on an object
 * store alone applies them. Pure.
 * Source: Iceberg REST catalog specification, `TableUpdate`; table specification, "Table Metadata".
 *
 * @module
 */

import {
  type Long,
  MAIN,
  MetadataError,
  type PartitionField,
  type PartitionSpec,
  type Snapshot,
  snapshotById,
  type SnapshotRef,
  type SortOrder,
  type TableMetadata,
  type TableSchema,
} from "./metadata.ts";

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
type Update<A extends TableUpdate["action"]> = Extract<TableUpdate, { readonly action: A }>;

/** Metadata, and what the updates so far have added. */
interface Working {
  readonly metadata: TableMetadata;
  /** Entries that the snapshot log had before. */
  readonly logged: number;
  readonly schema?: number;
  readonly spec?: number;
  readonly sortOrder?: number;
}

function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function highest(numbers: Iterable<number>, least: number): number {
  let most = least;
  for (const number of numbers) if (number > most) most = number;
  return most;
}

function schemaShape({ fields, "identifier-field-ids": ids = [] }: TableSchema): unknown {
  return [
    fields.map(({ id, name, required, type, doc }) => [id, name, required, type, doc]),
    [...ids].sort((a, b) => a - b),
  ];
}

function* fieldIds(type: unknown): Generator<number> {
  if (typeof type !== "object" || type === null) return;
  for (const [key, value] of Object.entries(type)) {
    if (/^((element|key|value)-)?id$/.test(key) && typeof value === "number") yield value;
    else yield* fieldIds(value);
  }
}

function checkSchema({ fields, "identifier-field-ids": identifiers = [] }: TableSchema): void {
  const [ids, names] = [new Set<number>(), new Set<string>()];
  for (const { id, name } of fields) {
    if (ids.has(id)) throw new MetadataError(`Two columns have the number ${id}`);
    if (names.has(name)) throw new MetadataError(`Two columns are called ${name}`);
    ids.add(id);
    names.add(name);
  }
  for (const id of identifiers) {
    if (fields.some((field) => field.id === id && field.required)) continue;
    throw new MetadataError(`The column ${id} names rows, so it must be there and required`);
  }
}

function addSchema(working: Working, update: Update<"add-schema">): Working {
  const { metadata } = working;
  checkSchema(update.schema);
  const shape = schemaShape(update.schema);
  const known = metadata.schemas.find((schema) => sameJson(schemaShape(schema), shape));
  const id = known?.["schema-id"] ??
    1 + highest(metadata.schemas.map((schema) => schema["schema-id"]), -1);
  const lastColumn = metadata["last-column-id"];
  const told = update["last-column-id"] ?? lastColumn;
  if (told < lastColumn) {
    throw new MetadataError(`The last column id cannot go back from ${lastColumn} to ${told}`);
  }
  return {
    ...working,
    schema: id,
    metadata: {
      ...metadata,
      "last-column-id": highest(fieldIds(update.schema.fields), told),
      schemas: known === undefined
        ? [...metadata.schemas, { ...update.schema, "schema-id": id }]
        : metadata.schemas,
    },
  };
}

function lastAdded(told: number, added: number | undefined, what: string): number {
  if (told !== -1) return told;
  if (added === undefined) throw new MetadataError(`No ${what} was added that -1 could mean`);
  return added;
}

function setCurrentSchema(working: Working, update: Update<"set-current-schema">): Working {
  const { metadata } = working;
  const id = lastAdded(update["schema-id"], working.schema, "schema");
  const schema = metadata.schemas.find((schema) => schema["schema-id"] === id);
  if (schema === undefined) throw new MetadataError(`The table has no schema ${id}`);
  return { ...working, metadata: { ...metadata, "current-schema-id": id } };
}

function addSpec(working: Working, update: Update<"add-spec">): Working {
  const { metadata } = working;
  const specs = metadata["partition-specs"];
  const known = specs.flatMap(({ fields }) => fields);
  let last = metadata["last-partition-id"];
  // The same value under the same name keeps its number over all specs of the table.
  const fields = update.spec.fields.map((field): PartitionField => {
    const same = known.find((other) =>
      other["source-id"] === field["source-id"] && other.transform === field.transform &&
      other.name === field.name
    );
    const id = field["field-id"] ?? same?.["field-id"] ?? ++last;
    return {
      "source-id": field["source-id"],
      "field-id": id,
      name: field.name,
      transform: field.transform,
    };
  });
  const same = specs.find((spec) =>
    sameJson(spec.fields.map(partitionShape), fields.map(partitionShape))
  );
  const id = same?.["spec-id"] ?? 1 + highest(specs.map((spec) => spec["spec-id"]), -1);
  const spec: PartitionSpec = { "spec-id": id, fields };
  return {
    ...working,
    spec: id,
    metadata: {
      ...metadata,
      "last-partition-id": highest(fields.map((field) => field["field-id"]), last),
      "partition-specs": same === undefined ? [...specs, spec] : specs,
    },
  };
}

function partitionShape(field: PartitionField): unknown {
  return [field["source-id"], field["field-id"], field.name, field.transform];
}

function setDefaultSpec(working: Working, update: Update<"set-default-spec">): Working {
  const { metadata } = working;
  const id = lastAdded(update["spec-id"], working.spec, "partition spec");
  if (!metadata["partition-specs"].some((spec) => spec["spec-id"] === id)) {
    throw new MetadataError(`The table has no partition spec ${id}`);
  }
  return { ...working, metadata: { ...metadata, "default-spec-id": id } };
}

function sortShape({ fields }: SortOrder): unknown {
  return fields.map((field) => [
    field.transform,
    field["source-id"],
    field.direction,
    field["null-order"],
  ]);
}

function addSortOrder(working: Working, update: Update<"add-sort-order">): Working {
  const { metadata } = working;
  const orders = metadata["sort-orders"];
  const order = update["sort-order"];
  const same = orders.find((other) => sameJson(sortShape(other), sortShape(order)));
  const id = same?.["order-id"] ??
    (order.fields.length === 0 ? 0 : 1 + highest(orders.map((other) => other["order-id"]), 0));
  return {
    ...working,
    sortOrder: id,
    metadata: {
      ...metadata,
      "sort-orders": same === undefined ? [...orders, { ...order, "order-id": id }] : orders,
    },
  };
}

function setDefaultSortOrder(
  working: Working,
  update: Update<"set-default-sort-order">,
): Working {
  const { metadata } = working;
  const id = lastAdded(update["sort-order-id"], working.sortOrder, "sort order");
  if (!metadata["sort-orders"].some((order) => order["order-id"] === id)) {
    throw new MetadataError(`The table has no sort order ${id}`);
  }
  return { ...working, metadata: { ...metadata, "default-sort-order-id": id } };
}

function addSnapshot(working: Working, { snapshot }: Update<"add-snapshot">): Working {
  const { metadata } = working;
  const { "snapshot-id": id, "sequence-number": sequence, "timestamp-ms": at } = snapshot;
  if (snapshotById(metadata, id) !== undefined) {
    throw new MetadataError(`The table has a snapshot ${id} already`);
  }
  if (sequence <= metadata["last-sequence-number"]) {
    throw new MetadataError(
      `A snapshot's sequence number must be over ${
        metadata["last-sequence-number"]
      }, not ${sequence}`,
    );
  }
  return {
    ...working,
    metadata: {
      ...metadata,
      "last-sequence-number": sequence,
      "last-updated-ms": Math.max(metadata["last-updated-ms"], at),
      snapshots: [...metadata.snapshots ?? [], snapshot],
    },
  };
}

function setSnapshotRef(
  working: Working,
  { action: _, "ref-name": name, ...ref }: Update<"set-snapshot-ref">,
): Working {
  const { metadata } = working;
  const { "snapshot-id": id, type } = ref;
  if (snapshotById(metadata, id) === undefined) {
    throw new MetadataError(`The table has no snapshot ${id}`);
  }
  if (name === MAIN && type !== "branch") throw new MetadataError("main must be a branch");
  const refs = { ...metadata.refs, [name]: ref };
  if (name !== MAIN) return { ...working, metadata: { ...metadata, refs } };
  const log = (metadata["snapshot-log"] ?? []).slice(0, working.logged);
  const entry = { "snapshot-id": id, "timestamp-ms": metadata["last-updated-ms"] };
  return {
    ...working,
    metadata: {
      ...metadata,
      refs,
      "current-snapshot-id": id,
      "snapshot-log": log.at(-1)?.["snapshot-id"] === id ? log : [...log, entry],
    },
  };
}

function removeRefs(working: Working, names: readonly string[]): Working {
  const { metadata } = working;
  const { refs = {}, "current-snapshot-id": _, ...rest } = metadata;
  const kept = Object.fromEntries(Object.entries(refs).filter(([name]) => !names.includes(name)));
  if (!names.includes(MAIN)) return { ...working, metadata: { ...metadata, refs: kept } };
  return { ...working, logged: 0, metadata: { ...rest, refs: kept, "snapshot-log": [] } };
}

function removeSnapshots(working: Working, update: Update<"remove-snapshots">): Working {
  const { metadata } = working;
  const gone = new Set(update["snapshot-ids"]);
  const log = metadata["snapshot-log"] ?? [];
  // Were an entry missing between two others, the earlier would seem to have been current for longer.
  const from = log.findLastIndex((entry) => gone.has(entry["snapshot-id"])) + 1;
  const dangling = Object.entries(metadata.refs ?? {})
    .filter(([, ref]) => gone.has(ref["snapshot-id"])).map(([name]) => name);
  return removeRefs({
    ...working,
    logged: Math.max(0, working.logged - from),
    metadata: {
      ...metadata,
      snapshots: (metadata.snapshots ?? []).filter((s) => !gone.has(s["snapshot-id"])),
      "snapshot-log": log.slice(from),
    },
  }, dangling);
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
