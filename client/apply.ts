/**
 * Applying a checkpoint: chunks and pages of changes become the app's rows, in one transaction.
 *
 * Most rows are not special (overlay.ts) and are written straight into the app's table. Changes
 * of special rows go to their base; what is visible is computed from it.
 *
 * @module
 */

import type { BucketState, ChangeShape, PullResult, RowChange } from "@lakesync/core";
import { rowIdSql } from "./capture.ts";
import { toCell } from "./convert.ts";
import type { SqliteConnection, SqlValue } from "./database/driver.ts";
import {
  columnTold,
  type Layout,
  type PlacedColumn,
  type SyncedTable,
  tableTold,
} from "./layout.ts";
import { type Leaving, rowsLeaving, rowsThere } from "./leaving.ts";
import { absent, type Base, CHUNK, dropBase, groupRows, Overlay, putBase } from "./overlay.ts";
import { RANGE, rowRanges } from "./ranges.ts";
import { DEFAULTS, deleteRows, type Failed, keyCells, keyWhere, putRows } from "./rows.ts";
import { Scope } from "./scope.ts";
import { quoteName } from "./sql.ts";

/** How many outbox numbers are looked through in one go. */
const WINDOW = 2_000;
/** How often rows that constraints forbid are tried again, since others may have made way. */
const BLOCKED_PASSES = 3;
/** How many blocked rows are tried again in one go. */
const BLOCKED_ROWS = 1_000;

/** How a checkpoint is to be applied. */
export interface ApplyPlan {
  /** The outbox number through which the base contained this client's writes. */
  readonly coveredBefore: number;
  /** The outbox number through which it does with this checkpoint. */
  readonly coveredAfter: number;
  /** The last outbox number there is. */
  readonly newest: number;
  /** Whether any row may be special. */
  readonly anySpecial: boolean;
  /** Whether rows that the checkpoint does not mention are to go. */
  readonly replacing: boolean;
  /** The checkpoint's buckets. */
  readonly buckets: readonly BucketState[];
  /** How many of them, the first ones, have rows that come in chunks; 0 unless given. */
  readonly chunkedBuckets?: number | undefined;
  /** Awaited between two steps, so that the event loop is not held up. */
  readonly pause: () => Promise<void>;
}

/** A special row, as far as applying needs to know. */
interface Special extends Base {
  readonly pending: boolean;
  readonly stored: boolean;
}

interface Change {
  readonly rowId: string;
  readonly cells: SqlValue[];
}

/** Applies one checkpoint. */
export class Applier {
  /** The tables that changed. */
  readonly touched: Set<SyncedTable> = new Set();
  readonly #db: SqliteConnection;
  readonly #layout: Layout;
  readonly #plan: ApplyPlan;
  readonly #overlay: Overlay;
  readonly #scope: Scope;
  #anySpecial: boolean;
  /** Whether rows have gone, or were blocked, so that others may have got room. */
  #makesWay = false;

  /**
   * @param db the writer, in a transaction with capture off
   * @param layout where columns are kept
   * @param plan how
   */
  constructor(db: SqliteConnection, layout: Layout, plan: ApplyPlan) {
    this.#db = db;
    this.#layout = layout;
    this.#plan = plan;
    this.#anySpecial = plan.anySpecial;
    this.#overlay = new Overlay(db, layout);
    this.#scope = new Scope(db, plan.buckets, plan.replacing);
  }

  /** Prepares; then come the pages. */
  async begin(): Promise<void> {
    await this.#forgetSeen();
    if (this.#plan.replacing) {
      // Rows that are special for the app's defaults alone are plain until their page is here.
      await this.#db.run(
        `DELETE FROM _lakesync_base AS b WHERE blocked IS NULL AND NOT EXISTS
          (SELECT 1 FROM _lakesync_outbox o WHERE o.tbl = b.tbl AND o.row_id = b.row_id AND o.n > ?)`,
        [Math.min(this.#plan.coveredBefore, this.#plan.coveredAfter)],
      );
      await this.#db.run("UPDATE _lakesync_base SET present = 0");
    }
    await this.#scope.begin();
  }

  /** An app that sets PRAGMA temp_store drops all temporary tables. */
  async #forgetSeen(): Promise<void> {
    try {
      await this.#db.run("DELETE FROM temp._lakesync_seen");
    } catch (error) {
      if (!(error instanceof Error) || !error.message.includes("no such table")) throw error;
      await this.#db.script(
        `CREATE TEMP TABLE _lakesync_seen
           (tbl INTEGER, row_id TEXT, PRIMARY KEY (tbl, row_id)) WITHOUT ROWID`,
      );
    }
  }

  /** Applies one page. What the schema does not know is passed over. */
  async page(page: PullResult): Promise<void> {
    await this.#inSteps(page, async (table, shape, changes) => {
      await this.#tell(table, shape, changes);
      await this.#rescope(table, shape, changes);
    });
  }

  /**
   * Applies one chunk: rows of one bucket alone. Those that a chunk of another bucket had are in
   * both, and their cells add up.
   *
   * @param page the rows
   * @param place the bucket's place in the checkpoint's list
   */
  async chunk(page: PullResult, place: number): Promise<void> {
    const { chunkedBuckets = 0, replacing } = this.#plan;
    await this.#inSteps(page, async (table, shape, changes) => {
      if (shape.op !== "PUT") return;
      const rowIds = changes.map(({ rowId }) => rowId);
      const seen = place === 0 ? new Set<string>() : await this.#seenOf(table, rowIds);
      const first = changes.filter(({ rowId }) => !seen.has(rowId));
      const again = changes.filter(({ rowId }) => seen.has(rowId));
      const placed = { ...shape, buckets: [place] };
      await this.#chunk(table, placed, first);
      await this.#rescope(table, placed, first);
      if (again.length > 0) {
        await this.#chunk(table, shape, again, true);
        await this.#scope.add(table, place, again.map(({ rowId }) => rowId));
      }
      if (place + 1 < chunkedBuckets && !replacing) await this.#see(table, rowIds);
    });
  }

  async #inSteps(
    page: PullResult,
    apply: (
      table: SyncedTable,
      shape: ChangeShape,
      changes: readonly RowChange[],
    ) => Promise<void>,
  ): Promise<void> {
    const byShape = new Map<ChangeShape, RowChange[]>();
    for (const change of page.changes) {
      const group = byShape.get(change.shape);
      if (group === undefined) byShape.set(change.shape, [change]);
      else group.push(change);
    }
    const removesFirst = [...byShape].sort(([a], [b]) =>
      Number(b.op === "REMOVE") - Number(a.op === "REMOVE")
    );
    for (const [shape, changes] of removesFirst) {
      const table = tableTold(this.#layout, shape.table);
      if (table === undefined) continue;
      this.touched.add(table);
      for (let i = 0; i < changes.length; i += CHUNK) {
        await apply(table, shape, changes.slice(i, i + CHUNK));
        await this.#plan.pause();
      }
    }
  }

  /** Rows of a bucket that came whole have no cells but those that their first mention carries. */
  async #tell(
    table: SyncedTable,
    shape: ChangeShape,
    changes: readonly RowChange[],
  ): Promise<void> {
    const silent = shape.op === "PUT" && this.#scope.comparesMentioned
      ? this.#scope.silent(table, shape)
      : [];
    if (silent.length === 0) return await this.#chunk(table, shape, changes);
    const seen = await this.#seenOf(table, changes.map(({ rowId }) => rowId));
    const [first = [], again = []] = [false, true].map((whether) =>
      changes.filter(({ rowId }) => seen.has(rowId) === whether)
    );
    const whole = { ...shape, unset: [...shape.unset ?? [], ...silent] };
    await this.#chunk(table, whole, first);
    await this.#chunk(table, shape, again);
  }

  async #seenOf(table: SyncedTable, rowIds: readonly string[]): Promise<Set<string>> {
    const rows = await this.#db.values(
      `SELECT j.value FROM json_each(?) j
       CROSS JOIN temp._lakesync_seen s ON s.tbl = ? AND s.row_id = j.value`,
      [JSON.stringify(rowIds), table.id],
    );
    return new Set(rows.map(([rowId]) => String(rowId)));
  }

  async #chunk(
    table: SyncedTable,
    shape: ChangeShape,
    changes: readonly RowChange[],
    adds = false,
  ): Promise<void> {
    const columns = this.#columnsOf(table, shape, adds);
    const rows = changes.map((change): Change => ({
      rowId: change.rowId,
      cells: columns.map(({ type }, i) => {
        const at = this.#sources[i] ?? -1;
        return at < 0 ? null : toCell(change.values[at] ?? null, type);
      }),
    }));
    const special = this.#anySpecial
      ? await this.#findSpecial(table, rows)
      : new Map<string, Special>();
    const plain = special.size === 0 ? rows : rows.filter(({ rowId }) => !special.has(rowId));
    if (shape.op === "REMOVE") {
      this.#makesWay = true;
      await this.#removePlain(table, plain);
    } else await this.#putPlain(table, shape, columns, plain);
    if (special.size > 0) await this.#special(table, shape, columns, rows, special);
  }

  async #rescope(
    table: SyncedTable,
    shape: ChangeShape,
    changes: readonly RowChange[],
  ): Promise<void> {
    const rowIds = changes.map(({ rowId }) => rowId);
    if (shape.op === "REMOVE") await this.#scope.forget(table, rowIds);
    else await this.#scope.put(table, shape, rowIds);
  }

  /** For each column that is written, where its value stands in a change; -1: it becomes NULL. */
  #sources: number[] = [];

  #columnsOf(table: SyncedTable, shape: ChangeShape, adds: boolean): PlacedColumn[] {
    this.#sources = [];
    if (shape.op === "REMOVE") return [];
    const columns: PlacedColumn[] = [];
    for (const column of table.columns) {
      const at = columnTold(shape.columns, table, column);
      const clear = (this.#plan.replacing && !adds) ||
        columnTold(shape.unset ?? [], table, column) >= 0;
      if (at < 0 && !clear) continue;
      columns.push(column);
      this.#sources.push(at);
    }
    return columns;
  }

  async #see(table: SyncedTable, rowIds: readonly string[]): Promise<void> {
    if (rowIds.length === 0) return;
    await this.#db.runMany(
      "INSERT OR IGNORE INTO temp._lakesync_seen VALUES (?, ?)",
      rowIds.map((rowId) => [table.id, rowId]),
    );
  }

  /**
   * The columns of which a row says nothing though it would be told: where it is new they are NULL,
   * not what the app's defaults are.
   */
  async #nulls(
    table: SyncedTable,
    shape: ChangeShape,
    columns: readonly PlacedColumn[],
  ): Promise<PlacedColumn[]> {
    if (columns.length === table.columns.length) return [];
    const defaults = await DEFAULTS.of(this.#db, table);
    if (defaults.size === 0) return [];
    return table.columns.filter((column) =>
      !columns.includes(column) && defaults.has(column.name.toLowerCase()) &&
      this.#scope.isShown(table, shape, column.name)
    );
  }

  async #putPlain(
    table: SyncedTable,
    shape: ChangeShape,
    columns: readonly PlacedColumn[],
    rows: readonly Change[],
  ): Promise<void> {
    const nulls = await this.#nulls(table, shape, columns);
    const failed = await putRows(this.#db, table, columns, rows, nulls);
    if (this.#plan.replacing || this.#scope.comparesMentioned) {
      await this.#see(table, rows.map(({ rowId }) => rowId));
    }
    if (failed.length > 0) await this.#block(table, columns, nulls, failed);
  }

  async #removePlain(
    table: SyncedTable,
    rows: readonly Change[],
  ): Promise<void> {
    const failed = await deleteRows(this.#db, table, rows);
    await putBase(
      this.#db,
      table,
      failed.map(({ row, reason }) => ({
        rowId: row.rowId,
        base: absent(table),
        blocked: reason,
      })),
    );
    if (failed.length > 0) this.#anySpecial = true;
  }

  /** Keeps what the server says of rows that constraints forbid. */
  async #block(
    table: SyncedTable,
    columns: readonly PlacedColumn[],
    nulls: readonly PlacedColumn[],
    failed: readonly Failed<Change>[],
  ): Promise<void> {
    const names = table.columns.map(({ name }) => quoteName(name));
    const sql = `SELECT 1 ${names.map((name) => `, ${name}`).join("")} FROM ${
      quoteName(table.name)
    } WHERE ${keyWhere(table)}`;
    const entries = [];
    for (const { row, reason, isNew } of failed) {
      const [found] = await this.#db.values(sql, keyCells(table, row.rowId));
      const base: Base = found === undefined
        ? absent(table)
        : { present: true, cells: found.slice(1) };
      write(table, base, columns, row.cells);
      if (isNew) write(table, base, nulls, []);
      entries.push({ rowId: row.rowId, base, blocked: reason });
    }
    await putBase(this.#db, table, entries);
    this.#anySpecial = true;
    this.#makesWay = true;
  }

  /**
   * Finds the special rows. One that an earlier page of this checkpoint settled is not special any
   * more, though its writes are after the last checkpoint: the app's table is its base again.
   */
  async #findSpecial(
    table: SyncedTable,
    rows: readonly Change[],
  ): Promise<Map<string, Special>> {
    const values = table.columns.map(({ position }) => `, b.v${position}`).join(
      "",
    );
    const found = await this.#db.values(
      `SELECT j.value, coalesce(b.present, 0), b.tbl IS NOT NULL,
        (SELECT max(o.n) FROM _lakesync_outbox o WHERE o.tbl = ?2 AND o.row_id = j.value) AS last${values}
       FROM json_each(?1) j
       LEFT JOIN _lakesync_base b ON b.tbl = ?2 AND b.row_id = j.value
       WHERE b.tbl IS NOT NULL OR (last > ?3 AND NOT EXISTS
        (SELECT 1 FROM temp._lakesync_seen s WHERE s.tbl = ?2 AND s.row_id = j.value))`,
      [
        JSON.stringify(rows.map(({ rowId }) => rowId)),
        table.id,
        this.#plan.coveredBefore,
      ],
    );
    const special = new Map<string, Special>();
    for (const [rowId, present, stored, last, ...cells] of found) {
      special.set(String(rowId), {
        present: present === 1,
        cells: stored === 1 ? cells : absent(table).cells,
        pending: Number(last ?? 0) > this.#plan.coveredAfter,
        stored: stored === 1,
      });
    }
    return special;
  }

  /** Changes of special rows: into the base, or, without pending writes, into the table. */
  async #special(
    table: SyncedTable,
    shape: ChangeShape,
    columns: readonly PlacedColumn[],
    rows: readonly Change[],
    special: ReadonlyMap<string, Special>,
  ): Promise<void> {
    const pending: { rowId: string; base: Base; blocked: null }[] = [];
    const settled: { rowId: string; base: Special; cells: SqlValue[] }[] = [];
    for (const { rowId, cells } of rows) {
      const base = special.get(rowId);
      if (base === undefined) continue;
      if (shape.op === "REMOVE") {
        base.present = false;
        base.cells.fill(null);
      } else write(table, base, columns, cells);
      if (base.pending) pending.push({ rowId, base, blocked: null });
      else settled.push({ rowId, base, cells: base.cells });
    }
    await this.#see(table, [...special.keys()]);
    await putBase(this.#db, table, pending);
    await this.#overlay.show(
      table,
      pending.map(({ rowId }) => rowId),
      this.#plan.coveredAfter,
    );
    const failed = shape.op === "REMOVE"
      ? await deleteRows(this.#db, table, settled)
      : await putRows(this.#db, table, table.columns, settled);
    const stored = settled.filter(({ base }) => base.stored);
    await dropBase(this.#db, table, stored.map(({ rowId }) => rowId));
    await putBase(
      this.#db,
      table,
      failed.map(({ row, reason }) => ({ ...row, blocked: reason })),
    );
    if (failed.length > 0) this.#makesWay = true;
  }

  /** After the last page: what left the overlay, what is gone, what was blocked. */
  async end(): Promise<void> {
    const { coveredBefore, coveredAfter, newest, replacing } = this.#plan;
    if (replacing) this.#makesWay = true;
    if (replacing) await this.#sweep();
    if (this.#scope.left.size > 0) await this.#leaveBuckets();
    if (this.#anySpecial || replacing) {
      await this.#showUnseen(coveredBefore, replacing ? newest : coveredAfter);
      await this.#retryBlocked();
    }
    await this.#scope.end();
  }

  /** Takes rows out of buckets that are gone, or came whole without them. */
  async #leaveBuckets(): Promise<void> {
    const covered = Math.min(this.#plan.coveredBefore, this.#plan.coveredAfter);
    const { pause } = this.#plan;
    const leaves = rowsLeaving(this.#db, this.#layout, this.#scope, covered, pause);
    for await (const leaving of leaves) {
      await this.#leave(leaving);
      await pause();
    }
  }

  /** Rows leave a bucket: their cells that no other bucket shows, or all of them. */
  async #leave({ table, rowIds, held, stays }: Leaving): Promise<void> {
    const change = (rowId: string): RowChange => ({ shape, rowId, values: [] });
    let shape: ChangeShape = { op: "REMOVE", table: table.name, columns: [] };
    this.touched.add(table);
    if (stays.length === 0) {
      await this.#chunk(table, shape, rowIds.map(change));
      return await this.#scope.forget(table, rowIds);
    }
    const unset = this.#scope.hidden(table, held, stays);
    if (unset.length > 0) {
      shape = { op: "PUT", table: table.name, columns: [], unset };
      const there = await rowsThere(this.#db, table, rowIds);
      await this.#chunk(table, shape, there.map(change), true);
    }
    await this.#scope.assign(table, stays, rowIds);
  }

  /** Deletes rows that are not special and that no page mentioned. */
  async #sweep(): Promise<void> {
    for (const table of this.#layout.byName.values()) {
      const keys = table.table.primaryKey.map(({ name }) => quoteName(name));
      const rowId = rowIdSql(table, keys);
      this.touched.add(table);
      const covered = Math.min(this.#plan.coveredBefore, this.#plan.coveredAfter);
      for await (const { where, params } of rowRanges(this.#db, table, RANGE)) {
        await this.#db.run(
          `DELETE FROM ${quoteName(table.name)} WHERE ${where} AND NOT EXISTS
            (SELECT 1 FROM temp._lakesync_seen WHERE tbl = ? AND row_id = ${rowId})
           AND NOT EXISTS (SELECT 1 FROM _lakesync_base WHERE tbl = ? AND row_id = ${rowId})
           AND NOT EXISTS (SELECT 1 FROM _lakesync_outbox
             WHERE tbl = ? AND row_id = ${rowId} AND n > ?)`,
          [...params, table.id, table.id, table.id, covered],
        );
        await this.#plan.pause();
      }
    }
  }

  /** Computes what is visible of rows that a range of the outbox wrote and no page mentioned. */
  async #showUnseen(after: number, through: number): Promise<void> {
    for (let from = after; from < through; from += WINDOW) {
      const written = await this.#db.values(
        `SELECT n, tbl, row_id FROM _lakesync_outbox o WHERE n > ? AND n <= ?
         AND NOT EXISTS (SELECT 1 FROM temp._lakesync_seen s
          WHERE s.tbl = o.tbl AND s.row_id = o.row_id)`,
        [from, Math.min(from + WINDOW, through)],
      );
      await this.#show(written);
      await this.#plan.pause();
    }
  }

  async #show(rows: readonly SqlValue[][]): Promise<void> {
    for (const [table, rowIds] of groupRows(this.#layout, rows)) {
      this.touched.add(table);
      await this.#overlay.show(table, rowIds, this.#plan.coveredAfter);
      await this.#plan.pause();
    }
  }

  /** Tries all of them where the checkpoint has made way or has blocked more, otherwise some. */
  async #retryBlocked(): Promise<void> {
    let left = Infinity;
    for (let pass = 0; pass < BLOCKED_PASSES; pass++) {
      const blocked = await this.#countBlocked();
      if (blocked === 0 || blocked >= left) return;
      left = blocked;
      let after: readonly SqlValue[] = [0, ""];
      do {
        const rows = await this.#db.values(
          `SELECT 0, tbl, row_id FROM _lakesync_base WHERE blocked IS NOT NULL
           AND (tbl, row_id) > (?, ?) ORDER BY tbl, row_id LIMIT ${BLOCKED_ROWS}`,
          [...after],
        );
        await this.#show(rows);
        after = rows.at(-1)?.slice(1) ?? [];
      } while (this.#makesWay && after.length > 0);
    }
  }

  async #countBlocked(): Promise<number> {
    const [row] = await this.#db.values(
      "SELECT count(*) FROM _lakesync_base WHERE blocked IS NOT NULL",
    );
    return Number(row?.[0] ?? 0);
  }
}

/** Writes cells of some columns into a row, which is there then. */
function write(
  table: SyncedTable,
  base: Base,
  columns: readonly PlacedColumn[],
  cells: readonly SqlValue[],
): void {
  if (!base.present) base.cells.fill(null);
  base.present = true;
  for (const [i, column] of columns.entries()) {
    base.cells[table.columns.indexOf(column)] = cells[i] ?? null;
  }
}
