/**
 * A schema as JSON, so that it is known again after a restart.
 *
 * @module
 */

import { parseSchema, type SchemaSpec, type TableSpec } from "@lakesync/core";
import type { DestinationSchema, DestinationTable } from "../adapter.ts";

/** A schema as JSON. */
export interface StoredSchema {
  /** What the tables are, without their numbers. */
  readonly spec: SchemaSpec;
  /** The numbers of tables and columns, in the order of `spec`. */
  readonly ids: readonly { readonly id: number; readonly columnIds: readonly number[] }[];
}

/**
 * Writes a schema as JSON.
 *
 * @param schema the schema
 */
export function toStoredSchema({ version, tables }: DestinationSchema): StoredSchema {
  const specs = tables.map(({ table }) => [table.name, specOf(table)] as const);
  return {
    spec: { version, tables: Object.fromEntries(specs) },
    ids: tables.map(({ id, columnIds }) => ({ id, columnIds })),
  };
}

/**
 * Reads a schema from JSON.
 *
 * @param stored what {@linkcode toStoredSchema} gave
 */
export function fromStoredSchema({ spec, ids }: StoredSchema): DestinationSchema {
  const { version, tables } = parseSchema(spec);
  return {
    version,
    tables: [...tables.values()].map((table, i) => ({
      id: ids[i]?.id ?? 0,
      table,
      columnIds: ids[i]?.columnIds ?? [],
    })),
  };
}

function specOf({ primaryKey, columns, renamedFrom }: DestinationTable["table"]): TableSpec {
  const specs = columns.map(({ name, type, merge, references, renamedFrom }) => [name, {
    type,
    merge,
    ...references === undefined ? {} : { references },
    ...renamedFrom === undefined ? {} : { renamedFrom },
  }]);
  return {
    primaryKey: primaryKey.map(({ name }) => name),
    columns: Object.fromEntries(specs),
    ...renamedFrom === undefined ? {} : { renamedFrom },
  };
}
