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
  NewestChanges,
  Rewind,
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
  /** The tables. */
  readonly schema: DestinationSchema;
}

/** Nothing. */
export const NO_CONTENT: Content = {
  position: undefined,
  changes: new Map(),
  rows: new Map(),
  schema: { version: 0, tables: [] },
};

/** Fails unless a destination stands where a write expects it. */
export function checkPosition(content: Content, { from }: FlushBatch | Rewind): void {
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
  const effects = batch.changes.flatMap(({ effect }) => effect ?? []);
  return { ...content, changes, rows: withRows(content.rows, effects), position: batch.to };
}

/**
 * The content after a rewind.
 *
 * @param content the content before it
 * @param rewind the rewind
 */
export function withRewind(content: Content, { to, rows }: Rewind): Content {
  const kept = [...content.changes].filter(([, { seq }]) => seq <= to.seq);
  return {
    ...content,
    changes: new Map(kept),
    rows: withRows(content.rows, rows),
    position: to,
  };
}

/**
 * The newest changes, as a destination gives them.
 *
 * @param content the content
 * @param afterSeq none at or before this seq
 * @param limit about so many
 */
export function newestOf({ changes }: Content, afterSeq: number, limit: number): NewestChanges {
  const newer = [...changes.values()].filter(({ seq }) => seq > afterSeq)
    .sort((a, b) => b.seq - a.seq);
  const last = newer.length <= limit ? undefined : newer[limit - 1]?.seq;
  const taken = last === undefined ? newer : newer.filter(({ seq }) => seq >= last);
  return {
    keys: taken.flatMap(({ effect }) => effect === undefined ? [] : [effect.key]),
    afterSeq: last === undefined ? afterSeq : last - 1,
  };
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

function withRows(
  rows: Content["rows"],
  effects: readonly RowEffect[],
): ReadonlyMap<string, KeptRow> {
  const after = new Map(rows);
  for (const { key, isVisible, replaces, cells } of effects) {
    const name = `${key.table} ${key.rowId}`;
    const before = replaces ? undefined : after.get(name)?.cells;
    const all = new Map([...before ?? [], ...cells]);
    if (all.size === 0 && !isVisible) after.delete(name);
    else after.set(name, { key, isVisible, cells: all });
  }
  return after;
}
