/**
 * Where the columns of synced tables are kept in the sidecar tables. A table has a number, a
 * column that is not part of the key a position; both stay what they are for the life of the
 * database, whatever later schema versions add, rename or drop, so that old outbox rows stay
 * readable. Neither is used again for something else.
 *
 * @module
 */

import {
  type Column,
  type ColumnType,
  formerNameOf,
  LakeSyncError,
  type Schema,
  type Table,
  widens,
} from "@lakesync/core";

/** How many columns one mask holds: as many bits as JavaScript's operators keep positive. */
export const MASK_BITS = 30;

/** A column's place. */
export interface PlacedColumn {
  /** Its name. */
  readonly name: string;
  /** Its type; it may become wider, a column of quite another type has a new place. */
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
  /** The columns that were not dropped, in the order of their positions. */
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

/** A table of a layout as it is stored. */
interface StoredTable {
  readonly id: number;
  readonly name: string;
  /** By position; null where a column was dropped. */
  readonly columns: readonly (readonly [name: string, type: ColumnType] | null)[];
  /** Whether the schema dropped the table. */
  readonly gone?: true;
}

/** A layout as it is stored. */
export type StoredLayout = readonly StoredTable[];

/** What a newer schema does to a table that is there; names of columns are those before it. */
export interface TableChange {
  /** Its number. */
  readonly id: number;
  /** Its name before. */
  readonly from: string;
  /** Its name now; undefined: it is not synced any more. */
  readonly to: string | undefined;
  /** The columns that get another name. */
  readonly renamed: readonly (readonly [from: string, to: string])[];
  /** The columns that are gone. */
  readonly dropped: readonly string[];
}

/** How many masks a table of so many positions needs. */
export function maskCount(width: number): number {
  return Math.max(1, Math.ceil(width / MASK_BITS));
}

type Columns = (readonly [name: string, type: ColumnType] | null)[];

/** Finds the position a column had, when it may keep it. */
function positionOf(columns: Columns, names: ReadonlySet<string>, column: Column): number {
  const former = formerNameOf(column, names);
  if (former === undefined) return -1;
  const position = columns.findIndex((known) => known?.[0] === former);
  const type = columns[position]?.[1];
  return type === column.type || (type !== undefined && widens(type, column.type)) ? position : -1;
}

function placeColumns(
  before: Columns,
  table: Table,
): { columns: Columns; placed: PlacedColumn[]; renamed: [string, string][]; dropped: string[] } {
  const names = new Set(before.flatMap((known) => known?.[0] ?? []));
  const columns: Columns = before.map(() => null);
  const renamed: [string, string][] = [];
  const placed = table.columns.filter(({ key }) => !key).map((column): PlacedColumn => {
    const { name, type } = column;
    let position = positionOf(before, names, column);
    if (position < 0) position = columns.length;
    const former = before[position]?.[0] ?? name;
    if (former !== name) renamed.push([former, name]);
    columns[position] = [name, type];
    return { name, type, position };
  });
  const dropped = before.flatMap((known, at) => known !== null && !columns[at] ? [known[0]] : []);
  return { columns, placed, renamed, dropped };
}

/**
 * Places a schema's tables and columns, keeping every place that was given before.
 *
 * @param stored the layout so far
 * @param schema the schema
 * @returns the layout, what to store, and what changes in tables that are there
 */
export function placeSchema(
  stored: StoredLayout,
  schema: Schema,
): { layout: Layout; stored: StoredLayout; changes: readonly TableChange[] } {
  const live = new Map(stored.filter(({ gone }) => !gone).map((entry) => [entry.name, entry]));
  const placed = new Map<string, PlacedColumn[]>();
  const kept = new Map<number, StoredTable>();
  const added: StoredTable[] = [];
  const changes: TableChange[] = [];
  for (const table of schema.tables.values()) {
    const before = live.get(formerNameOf(table, live) ?? "");
    const id = before?.id ?? stored.length + added.length + 1;
    const { columns, renamed, dropped, ...of } = placeColumns([...before?.columns ?? []], table);
    const entry = { id, name: table.name, columns };
    placed.set(table.name, of.placed);
    if (before === undefined) {
      added.push(entry);
      continue;
    }
    kept.set(id, entry);
    if (before.name !== table.name || renamed.length > 0 || dropped.length > 0) {
      changes.push({ id, from: before.name, to: table.name, renamed, dropped });
    }
  }
  for (const { id, name } of live.values()) {
    if (kept.has(id)) continue;
    changes.push({ id, from: name, to: undefined, renamed: [], dropped: [] });
  }
  const all = stored.map((entry): StoredTable => kept.get(entry.id) ?? { ...entry, gone: true });
  const now = [...all, ...added];
  return { layout: layoutOf(now, schema, placed), stored: now, changes };
}

function layoutOf(
  all: StoredLayout,
  schema: Schema,
  placed: ReadonlyMap<string, readonly PlacedColumn[]>,
): Layout {
  const byId = new Map<number, PlacedTable>();
  const byName = new Map<string, SyncedTable>();
  let width = 0;
  for (const { id, name, columns, gone } of all) {
    const table = gone ? undefined : schema.tables.get(name);
    const placedTable: PlacedTable = {
      id,
      name,
      places: columns.flatMap((known, position) =>
        known === null ? [] : [{ name: known[0], type: known[1], position }]
      ),
      table,
      columns: table === undefined ? [] : placed.get(name) ?? [],
    };
    byId.set(id, placedTable);
    if (table !== undefined) byName.set(name, { ...placedTable, table });
    width = Math.max(width, columns.length);
  }
  return { byId, byName, width };
}

/**
 * Finds a table that a change names. A gateway that does not have this schema version yet tells
 * changes under former names.
 *
 * @param layout where columns are kept
 * @param name its name, or the one it had before
 * @returns the table, or undefined when the schema does not know it
 */
export function tableTold(layout: Layout, name: string): SyncedTable | undefined {
  const table = layout.byName.get(name);
  if (table !== undefined) return table;
  return [...layout.byName.values()].find(({ table }) => table.renamedFrom === name);
}

/**
 * Finds a column among those that a change names, by its name or the one it had before.
 *
 * @param names the names of a change's columns
 * @param table the table
 * @param column one of its columns
 * @returns its index among the names, or -1
 */
export function columnTold(
  names: readonly string[],
  { table }: SyncedTable,
  { name }: PlacedColumn,
): number {
  const at = names.indexOf(name);
  const former = at < 0 ? table.byName.get(name)?.renamedFrom : undefined;
  return former === undefined ? at : names.indexOf(former);
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
