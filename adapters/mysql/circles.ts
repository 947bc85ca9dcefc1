/**
 * Rows that reference each other in a circle. Foreign keys are checked row by row, and cannot be
 * deferred. So rows that do not arrive in order are written without what they reference, and again
 * with it at the end; rows that are removed let go of each other first.
 *
 * @module
 */

import type { TableLayout, TableRow } from "../database/backend.ts";

/** A row that references another. */
export interface Holder {
  /** Its table. */
  readonly child: TableLayout;
  /** The column by which it does. */
  readonly column: string;
  /** Its id. */
  readonly rowId: string;
}

/** Rows of one table that hold others by one column. */
export interface HolderGroup extends Omit<Holder, "rowId"> {
  /** Their ids. */
  readonly rowIds: string[];
}

/** Rows that were written without what they reference. */
export class PostponedRows {
  readonly #tables = new Map<
    number,
    { readonly layout: TableLayout; readonly rows: Map<string, TableRow> }
  >();

  /**
   * Keeps a row to be written again.
   *
   * @param layout its table
   * @param row the row
   * @returns the row without what it references
   */
  add(layout: TableLayout, row: TableRow): TableRow {
    let table = this.#tables.get(layout.id);
    if (table === undefined) this.#tables.set(layout.id, table = { layout, rows: new Map() });
    table.rows.set(row.rowId, row);
    const values = layout.columns.map(({ column }, i) =>
      column.references !== undefined && !column.key ? null : row.values[i] ?? null
    );
    return { rowId: row.rowId, values };
  }

  /**
   * Finds rows that reference some others: in their table they do not yet.
   *
   * @param layout their table
   * @param columnId the number of the column by which they do
   * @param parentRowIds the others
   */
  children(
    layout: TableLayout,
    columnId: number,
    parentRowIds: readonly string[],
  ): { readonly rowId: string; readonly parentRowId: string }[] {
    const rows = this.#tables.get(layout.id)?.rows;
    if (rows === undefined || rows.size === 0) return [];
    const place = layout.columns.findIndex(({ id }) => id === columnId);
    const parents = new Set(parentRowIds);
    return [...rows.values()].flatMap(({ rowId, values }) => {
      const value = values[place] ?? null;
      const parentRowId = String(value);
      return value !== null && parents.has(parentRowId) ? [{ rowId, parentRowId }] : [];
    });
  }

  /** Leaves rows out that are removed. */
  delete(table: number, rowIds: readonly string[]): void {
    const rows = this.#tables.get(table)?.rows;
    for (const rowId of rowIds) rows?.delete(rowId);
  }

  /** Gives the rows, and has none from then on. */
  take(): readonly (readonly [layout: TableLayout, rows: readonly TableRow[]])[] {
    const all = [...this.#tables.values()].map(({ layout, rows }) =>
      [layout, [...rows.values()]] as const
    );
    this.#tables.clear();
    return all;
  }
}

/** Who references rows that are about to leave; those leave as well. */
export class Holders {
  readonly #byParent = new Map<number, Map<string, Holder[]>>();

  /** Notes that a row references another. */
  add(parent: number, parentRowId: string, holder: Holder): void {
    let byRow = this.#byParent.get(parent);
    if (byRow === undefined) this.#byParent.set(parent, byRow = new Map());
    const holders = byRow.get(parentRowId);
    if (holders === undefined) byRow.set(parentRowId, [holder]);
    else holders.push(holder);
  }

  /** Gives those who reference some rows, and forgets that they do. */
  take(parent: number, parentRowIds: readonly string[]): readonly HolderGroup[] {
    const byRow = this.#byParent.get(parent);
    const groups = new Map<string, HolderGroup>();
    for (const parentRowId of parentRowIds) {
      for (const { child, column, rowId } of byRow?.get(parentRowId) ?? []) {
        const name = `${child.id} ${column}`;
        let group = groups.get(name);
        if (group === undefined) groups.set(name, group = { child, column, rowIds: [] });
        group.rowIds.push(rowId);
      }
      byRow?.delete(parentRowId);
    }
    return [...groups.values()];
  }
}
