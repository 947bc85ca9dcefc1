/**
 * What a destination holds at one moment: the changes it counts, in order, the rows, the tables and
 * the flush position. Values that are never changed, so a commit is the exchange of one for another.
 *
 * @module
 */

import type {
  Change,
  DestinationKey,
  DestinationSchema,
  FlushBatch,
  FlushPosition,
  Move,
  RowEffect,
} from "@lakesync/adapters";
import { keyOf, type Value } from "@lakesync/core";
import type { TableRows } from "../history.ts";

/** A row as it is kept, seen or not. */
interface KeptRow {
  readonly key: DestinationKey;
  readonly isVisible: boolean;
  readonly cells: ReadonlyMap<number, Value>;
}

/** All that a destination holds. */
export interface Content {
  /** Where it stands. */
  readonly position: FlushPosition | undefined;
  /** The changes that were not given up, by their identity, in the order they were written. */
  readonly changes: ReadonlyMap<string, Change>;
  /** Rows by table number and rowId. */
  readonly rows: ReadonlyMap<string, KeptRow>;
  /** The keys of rows that changes touched which were given up, by table number and rowId. */
  readonly unsettled: ReadonlyMap<string, DestinationKey>;
  /** The tables. */
  readonly schema: DestinationSchema;
}

/** Nothing. */
export const NO_CONTENT: Content = {
  position: undefined,
  changes: new Map(),
  rows: new Map(),
  unsettled: new Map(),
  schema: { version: 0, tables: [] },
};

/** Fails unless a destination stands where a write expects it. */
export function checkPosition(content: Content, { from }: Move): void {
  if (JSON.stringify(content.position) === JSON.stringify(from)) return;
  throw new Error(
    `The flush position is ${content.position?.seq ?? "none"}, not ${from?.seq ?? "none"}`,
  );
}

/**
 * The content after a batch.
 *
 * @param content the content before it
 * @param batch the batch
 */
export function withBatch(content: Content, batch: FlushBatch): Content {
  const changes = new Map(content.changes);
  for (const change of batch.changes) {
    if (!changes.has(change.deltaId)) changes.set(change.deltaId, change);
  }
  const effects = [...batch.rows, ...batch.changes.flatMap(({ effect }) => effect ?? [])];
  const unsettled = new Map(content.unsettled);
  for (const { key, replaces } of effects) if (replaces) unsettled.delete(nameOf(key));
  return {
    ...content,
    changes,
    rows: withRows(content.rows, effects),
    unsettled,
    position: batch.to,
  };
}

/**
 * The content after a rewind.
 *
 * @param content the content before it
 * @param move where from and where to
 */
export function withRewind(content: Content, { to }: Move): Content {
  const kept = [...content.changes].filter(([, { seq }]) => seq <= to.seq);
  const unsettled = new Map(content.unsettled);
  for (const { seq, effect } of content.changes.values()) {
    if (seq > to.seq && effect !== undefined) unsettled.set(nameOf(effect.key), effect.key);
  }
  return { ...content, changes: new Map(kept), unsettled, position: to };
}

/**
 * The content once it begins to be filled anew.
 *
 * @param content the content before it
 * @param move where from and where to
 */
export function withRefill(content: Content, { to }: Move): Content {
  const unsettled = new Map([...content.rows].map(([name, { key }]) => [name, key]));
  return { ...content, unsettled, position: to };
}

/**
 * Rows that are unsettled, as a destination gives them.
 *
 * @param content the content
 * @param limit so many at most
 */
export function unsettledOf({ unsettled }: Content, limit: number): readonly DestinationKey[] {
  return [...unsettled.values()].slice(0, limit);
}

/**
 * The rows that readers see, by the names of the newest schema, key columns and nulls included.
 *
 * @param content the content
 */
export function rowsOf({ rows, schema }: Content): TableRows {
  const tables: Record<string, Record<string, Record<string, unknown>>> = {};
  const sorted = [...rows.values()].sort((a, b) => (a.key.rowId < b.key.rowId ? -1 : 1));
  for (const { id, table, columnIds } of schema.tables) {
    const shown: Record<string, Record<string, unknown>> = tables[table.name] = {};
    for (const { key, isVisible, cells } of sorted) {
      if (key.table !== id || !isVisible) continue;
      const values = keyOf(table, key.rowId);
      const row: Record<string, unknown> = shown[key.rowId] = {};
      for (const [i, column] of table.columns.entries()) {
        const at = table.primaryKey.indexOf(column);
        row[column.name] = at >= 0 ? values[at] : cells.get(columnIds[i] ?? 0) ?? null;
      }
    }
  }
  return tables;
}

function nameOf({ table, rowId }: DestinationKey): string {
  return `${table} ${rowId}`;
}

function withRows(
  rows: Content["rows"],
  effects: readonly RowEffect[],
): ReadonlyMap<string, KeptRow> {
  const after = new Map(rows);
  for (const { key, isVisible, replaces, cells } of effects) {
    const name = nameOf(key);
    const before = replaces ? undefined : after.get(name)?.cells;
    const all = new Map(before);
    for (const [column, value] of cells) all.set(column, value);
    if (all.size === 0 && !isVisible) after.delete(name);
    else after.set(name, { key, isVisible, cells: all });
  }
  return after;
}
