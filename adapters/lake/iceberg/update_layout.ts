/**
 * The updates of what a table's files are like: schemas, partition specs, sort orders. Pure.
 *
 * @module
 */

import {
  MetadataError,
  type PartitionField,
  type PartitionSpec,
  type SortOrder,
  type TableSchema,
} from "./metadata.ts";
import type { Update, Working } from "./updates.ts";

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

/** Adds a schema, or finds it. */
export function addSchema(working: Working, update: Update<"add-schema">): Working {
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

/** Makes a schema the one of now. */
export function setCurrentSchema(working: Working, update: Update<"set-current-schema">): Working {
  const { metadata } = working;
  const id = lastAdded(update["schema-id"], working.schema, "schema");
  const schema = metadata.schemas.find((schema) => schema["schema-id"] === id);
  if (schema === undefined) throw new MetadataError(`The table has no schema ${id}`);
  return { ...working, metadata: { ...metadata, "current-schema-id": id } };
}

/** Adds a partition spec, or finds it. */
export function addSpec(working: Working, update: Update<"add-spec">): Working {
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

/** Makes a partition spec the one for new files. */
export function setDefaultSpec(working: Working, update: Update<"set-default-spec">): Working {
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

/** Adds a sort order, or finds it. */
export function addSortOrder(working: Working, update: Update<"add-sort-order">): Working {
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

/** Makes a sort order the one for new files. */
export function setDefaultSortOrder(
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
