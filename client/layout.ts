/**
 * Where the columns of synced tables are kept in the sidecar tables. A table has a number, a
 * column that is not part of the key a position; both stay what they are for the life of the
 * database, whatever later schema versions add or drop, so that old outbox rows stay readable.
 *
 * @module
 */

import {
  type Column,
  type ColumnType,
  LakeSyncError,
  type Schema,
  type Table,
} from "@lakesync/core";

/** How many columns one mask holds: as many bits as JavaScript's operators keep positive. */
export const MASK_BITS = 30;

/** A column's place. */
export interface PlacedColumn {
  /** Its name. */
  readonly name: string;
  /** Its type; a column whose type changed has a new place. */
  readonly type: ColumnType;
  /** Its position among the sidecar's value columns. */
  readonly position: number;
}

/** A table's number and its columns' places. */
export interface PlacedTable {
  /** Its number. */
  readonly id: number;
  /** Its name. */
  readonly name: string;
  /** All columns that ever were, by position. */
  readonly places: readonly PlacedColumn[];
  /** The table as the schema has it now; undefined when the schema dropped it. */
  readonly table: Table | undefined;
  /** The places of the schema's columns, in its order, without the key. */
  readonly columns: readonly PlacedColumn[];
}

/** A table of the schema. */
export interface SyncedTable extends PlacedTable {
  /** The table as the schema has it. */
  readonly table: Table;
}

/** The places of everything. */
export interface Layout {
  /** By number. */
  readonly byId: ReadonlyMap<number, PlacedTable>;
  /** By name; only those of the schema. */
  readonly byName: ReadonlyMap<string, SyncedTable>;
  /** How many value columns the sidecars need. */
  readonly width: number;
}

/** A layout as it is stored. */
export type StoredLayout = readonly {
  readonly id: number;
  readonly name: string;
  readonly columns: readonly (readonly [name: string, type: ColumnType])[];
}[];

/** How many masks a table of so many positions needs. */
export function maskCount(width: number): number {
  return Math.max(1, Math.ceil(width / MASK_BITS));
}

function place(
  columns: [string, ColumnType][],
  column: Column,
): PlacedColumn {
  let position = columns.findIndex(([name, type]) => name === column.name && type === column.type);
  if (position < 0) {
    position = columns.push([column.name, column.type]) - 1;
  }
  return { name: column.name, type: column.type, position };
}

/**
 * Places a schema's tables and columns, keeping every place that was given before.
 *
 * @param stored the layout so far
 * @param schema the schema
 * @returns the layout, and what to store
 */
export function placeSchema(
  stored: StoredLayout,
  schema: Schema,
): { layout: Layout; stored: StoredLayout } {
  const all = stored.map(({ id, name, columns }) => ({
    id,
    name,
    columns: columns.map(([column, type]): [string, ColumnType] => [
      column,
      type,
    ]),
  }));
  const placed = new Map<string, PlacedColumn[]>();
  for (const table of schema.tables.values()) {
    let entry = all.find(({ name }) => name === table.name);
    if (entry === undefined) {
      entry = { id: all.length + 1, name: table.name, columns: [] };
      all.push(entry);
    }
    const { columns } = entry;
    placed.set(
      table.name,
      table.columns.filter(({ key }) => !key).map((column) => place(columns, column)),
    );
  }
  return { layout: layoutOf(all, schema, placed), stored: all };
}

function layoutOf(
  all: StoredLayout,
  schema: Schema,
  placed: ReadonlyMap<string, readonly PlacedColumn[]>,
): Layout {
  const byId = new Map<number, PlacedTable>();
  const byName = new Map<string, SyncedTable>();
  let width = 0;
  for (const { id, name, columns } of all) {
    const table = schema.tables.get(name);
    const placedTable: PlacedTable = {
      id,
      name,
      places: columns.map(([column, type], position) => ({
        name: column,
        type,
        position,
      })),
      table,
      columns: placed.get(name) ?? [],
    };
    byId.set(id, placedTable);
    if (table !== undefined) byName.set(name, { ...placedTable, table });
    width = Math.max(width, columns.length);
  }
  return { byId, byName, width };
}

/** Names the sidecars' value columns. */
export function valueNames(layout: Layout): string[] {
  return Array.from({ length: layout.width }, (_, i) => `v${i}`);
}

/** Names the sidecars' masks. */
export function maskNames(layout: Layout): string[] {
  return Array.from({ length: maskCount(layout.width) }, (_, i) => `m${i}`);
}

/**
 * Finds a table of the schema.
 *
 * @throws {LakeSyncError} `SCHEMA_ERROR` when the schema has none of that name
 */
export function placedTable(
  layout: Layout,
  name: string,
): SyncedTable {
  const placed = layout.byName.get(name);
  if (placed === undefined) {
    throw new LakeSyncError(
      "SCHEMA_ERROR",
      `The schema has no table ${JSON.stringify(name.slice(0, 64))}`,
    );
  }
  return placed;
}
