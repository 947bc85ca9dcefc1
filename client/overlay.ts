/**
 * What is visible of a row with pending writes: the server's version (the base) with the pending
 * writes laid over it in order.
 *
 * A row is special when it has pending writes, is blocked, or has nulls in whose place the app's table
 * has defaults. Only special rows have an entry in
 * `_lakesync_base`; a special row without one is not there for the server. For all other rows the
 * app's table itself is the base.
 *
 * @module
 */

import { OP } from "./capture.ts";
import type { SqliteConnection, SqlValue } from "./database/driver.ts";
import { type Layout, MASK_BITS, maskCount, type SyncedTable } from "./layout.ts";
import { type CellLayer, layersOf } from "./lay_cell.ts";
import { deleteRows, type Failed, putRows } from "./rows.ts";

/** How many rows are handled in one go. */
export const CHUNK = 500;

/** The server's version of a row. */
export interface Base {
  /** Whether the row is there. */
  present: boolean;
  /** One cell for each of the table's columns, in their order. */
  cells: SqlValue[];
}

interface Entry extends Base {
  readonly stored: boolean;
  pending: boolean;
}

/** The server's version of a row that is not there. */
export function absent(table: SyncedTable): Base {
  return { present: false, cells: table.columns.map(() => null) };
}

/**
 * Groups rows by table.
 *
 * @param layout where columns are kept
 * @param rows outbox number, table number and rowId of each
 * @returns for each table of the schema the rowIds, without doubles
 */
export function groupRows(
  layout: Layout,
  rows: readonly SqlValue[][],
): Map<SyncedTable, string[]> {
  const groups = new Map<SyncedTable, string[]>();
  for (const [id, group] of Map.groupBy(rows, ([, table]) => table)) {
    const name = layout.byId.get(Number(id))?.name ?? "";
    const table = layout.byName.get(name);
    if (table === undefined) continue;
    const rowIds = new Set(group.map(([, , rowId]) => String(rowId)));
    groups.set(table, [...rowIds]);
  }
  return groups;
}

/** Stores the server's version of a special row. */
export async function putBase(
  db: SqliteConnection,
  table: SyncedTable,
  rows: readonly {
    readonly rowId: string;
    readonly base: Base;
    readonly blocked: string | null;
  }[],
): Promise<void> {
  if (rows.length === 0) return;
  const names = table.columns.map(({ position }) => `v${position}`);
  const all = ["tbl", "row_id", "present", "blocked", ...names];
  await db.runMany(
    `INSERT OR REPLACE INTO _lakesync_base (${all.join(", ")}) VALUES (${
      all.map(() => "?").join(", ")
    })`,
    rows.map(({ rowId, base, blocked }) => [
      table.id,
      rowId,
      base.present,
      blocked,
      ...base.cells,
    ]),
  );
}

/** Forgets the base entries of rows that are no longer special. */
export async function dropBase(
  db: SqliteConnection,
  table: SyncedTable,
  rowIds: readonly string[],
): Promise<void> {
  if (rowIds.length === 0) return;
  await db.runMany(
    "DELETE FROM _lakesync_base WHERE tbl = ? AND row_id = ?",
    rowIds.map((rowId) => [table.id, rowId]),
  );
}

/** Lays one pending change over a row. */
function lay(
  entry: Base,
  table: SyncedTable,
  layers: readonly (CellLayer | undefined)[] | undefined,
  op: SqlValue,
  masks: readonly SqlValue[],
  values: readonly SqlValue[],
): void {
  if (op === OP.DELETE) {
    entry.present = false;
    entry.cells.fill(null);
    return;
  }
  if (op === OP.INSERT && !entry.present) {
    entry.present = true;
    entry.cells.fill(null);
  }
  for (const [i, { position }] of table.columns.entries()) {
    const mask = Number(masks[Math.floor(position / MASK_BITS)] ?? 0);
    if (mask & (1 << (position % MASK_BITS))) {
      const written = values[i] ?? null;
      const layer = layers?.[i];
      entry.cells[i] = layer === undefined ? written : layer.lay(entry.cells[i] ?? null, written);
    }
  }
}

/** Brings the cells of a row into what their columns take, after the last pending change. */
function settle(entry: Base, layers: readonly (CellLayer | undefined)[]): void {
  for (const [i, layer] of layers.entries()) {
    if (layer !== undefined) entry.cells[i] = layer.settle(entry.cells[i] ?? null);
  }
}

/** Computes what is visible of special rows. */
export class Overlay {
  readonly #db: SqliteConnection;
  readonly #masks: number;

  /**
   * @param db the writer, in a transaction with capture off
   * @param layout where columns are kept
   */
  constructor(db: SqliteConnection, layout: Layout) {
    this.#db = db;
    this.#masks = maskCount(layout.width);
  }

  async #read(
    table: SyncedTable,
    rowIds: readonly string[],
    covered: number,
  ): Promise<Map<string, Entry>> {
    const ids = JSON.stringify(rowIds);
    const values = table.columns.map(({ position }) => `, v${position}`).join("");
    const entries = new Map<string, Entry>();
    for (const rowId of rowIds) {
      entries.set(rowId, { ...absent(table), stored: false, pending: false });
    }
    const bases = await this.#db.values(
      `SELECT row_id, present${values} FROM json_each(?) j
       CROSS JOIN _lakesync_base ON tbl = ? AND row_id = j.value`,
      [ids, table.id],
    );
    for (const [rowId, present, ...cells] of bases) {
      entries.set(String(rowId), {
        present: present === 1,
        cells,
        stored: true,
        pending: false,
      });
    }
    const masks = Array.from({ length: this.#masks }, (_, i) => `, m${i}`);
    const pending = await this.#db.values(
      `SELECT row_id, op${masks.join("")}${values} FROM json_each(?) j
       CROSS JOIN _lakesync_outbox ON tbl = ? AND row_id = j.value
       WHERE n > ? ORDER BY n`,
      [ids, table.id, covered],
    );
    const layers = layersOf(table);
    for (const [rowId, op = null, ...rest] of pending) {
      const entry = entries.get(String(rowId));
      if (entry === undefined) continue;
      entry.pending = true;
      const masks = rest.slice(0, this.#masks);
      lay(entry, table, layers, op, masks, rest.slice(this.#masks));
    }
    if (layers !== undefined) { for (const entry of entries.values()) settle(entry, layers); }
    return entries;
  }

  /**
   * Makes rows look as base and pending writes say, and forgets the base of those without pending
   * writes. Where a constraint of the app forbids it, the row is blocked: it stays as it is, and
   * the server's version stays in the base.
   *
   * @param table the table
   * @param rowIds special rows, or rows that were until now
   * @param covered the outbox number through which the base contains this client's writes
   */
  async show(
    table: SyncedTable,
    rowIds: readonly string[],
    covered: number,
  ): Promise<void> {
    if (rowIds.length === 0) return;
    const entries = await this.#read(table, rowIds, covered);
    const rows = [...entries].map(([rowId, entry]) => ({
      rowId,
      entry,
      cells: entry.cells,
    }));
    type Row = (typeof rows)[number];
    const gone = rows.filter(({ entry }) => !entry.present);
    const there = rows.filter(({ entry }) => entry.present);
    const failed: Failed<Row>[] = [
      ...await deleteRows(this.#db, table, gone),
      ...await putRows(this.#db, table, table.columns, there),
    ];
    const reasons = new Map<unknown, string | null>(failed.map(({ row, reason }) => [row, reason]));
    await dropBase(
      this.#db,
      table,
      rows.filter((row) => row.entry.stored && !row.entry.pending && !reasons.has(row)).map((
        { rowId },
      ) => rowId),
    );
    await this.#block(table, rows, reasons);
  }

  async #block(
    table: SyncedTable,
    rows: readonly { readonly rowId: string; readonly entry: Entry }[],
    reasons: ReadonlyMap<unknown, string | null>,
  ): Promise<void> {
    const update: [string | null, number, string][] = [];
    const insert: string[] = [];
    for (const row of rows) {
      const reason = reasons.get(row);
      if (reason !== undefined) update.push([reason, table.id, row.rowId]);
      if (reason !== undefined && !row.entry.stored) insert.push(row.rowId);
    }
    await putBase(
      this.#db,
      table,
      insert.map((rowId) => ({ rowId, base: absent(table), blocked: null })),
    );
    if (update.length > 0) {
      await this.#db.runMany(
        "UPDATE _lakesync_base SET blocked = ? WHERE tbl = ? AND row_id = ?",
        update,
      );
    }
    const free = rows.filter((row) => row.entry.stored && row.entry.pending && !reasons.has(row));
    if (free.length === 0) return;
    await this.#db.runMany(
      "UPDATE _lakesync_base SET blocked = NULL WHERE tbl = ? AND row_id = ? AND blocked IS NOT NULL",
      free.map(({ rowId }) => [table.id, rowId]),
    );
  }
}
