/**
 * Measuring the base: how many rows each bucket has here and by which checksum. One pass over all
 * rows, in slices; cells are summed for each set of buckets, so that a row in many of them is
 * hashed once.
 *
 * @module
 */

import {
  canonicalJson,
  cellHash,
  type ColumnType,
  combine,
  type InnerSums,
  kindOf,
  rowHash,
  type Value,
} from "@lakesync/core";
import { readBuckets, type ShownColumns, type StoredBucket } from "./buckets.ts";
import { rowIdSql } from "./capture.ts";
import { toValue } from "./convert.ts";
import type { SqliteConnection, SqlValue } from "./database/driver.ts";
import type { Layout, PlacedColumn, SyncedTable } from "./layout.ts";
import { STORED_BY } from "./ranges.ts";
import { knowingSchema, readSchemaVersion } from "./schema_facts.ts";
import { readSets } from "./scope.ts";
import { quoteName } from "./sql.ts";
import { readState } from "./state.ts";

/** Rows that are read in one go. */
const STEP = 500;

/** The hash of a cell that is no value of its column's type. */
const UNREADABLE = 0x5bd1e995;

/** A bucket as it was told and as it is here. */
export interface MeasuredBucket {
  /** What was told. */
  readonly told: StoredBucket;
  /** Rows here. */
  readonly rows: number;
  /** Their checksum. */
  readonly checksum: number;
}

/** What was measured. */
export interface Measured {
  /** Rows of the base. */
  readonly rows: number;
  /** The buckets that have a checksum by the schema of now. */
  readonly buckets: readonly MeasuredBucket[];
}

/** The sums of one table's rows that the same buckets hold. */
interface Sums {
  readonly table: SyncedTable;
  readonly set: number;
  count: number;
  rows: number;
  readonly cells: number[];
  /** Which of the columns are of the kind `set`. */
  readonly sets: readonly boolean[];
}

/** Which rows of a table are not plain rows of its home. */
interface Apart {
  /** Whether other buckets than those of its home hold some. */
  readonly outside: boolean;
  /** Whether the base of some is kept aside. */
  readonly base: boolean;
  /** Whether some may have pending writes. */
  readonly pending: boolean;
}

function isSet({ table }: SyncedTable): (column: PlacedColumn) => boolean {
  return ({ name }) => {
    const column = table.byName.get(name);
    return column !== undefined && kindOf(column) === "set";
  };
}

/** A set's elements as the gateway has them; the app's text may hold them otherwise. */
function inOrder(value: Value): Value {
  if (!Array.isArray(value)) return value;
  const elements = new Map(value.map((element) => [canonicalJson(element), element]));
  return [...elements.keys()].sort().map((text) => elements.get(text) ?? null);
}

class Measuring {
  readonly #db: SqliteConnection;
  readonly #layout: Layout;
  readonly #pause: () => Promise<void>;
  readonly #sums: Sums[] = [];

  constructor(db: SqliteConnection, layout: Layout, pause: () => Promise<void>) {
    this.#db = db;
    this.#layout = layout;
    this.#pause = pause;
  }

  async run(): Promise<Measured | undefined> {
    const state = await readState(this.#db);
    if (state.replacing || state.cursor === undefined) return undefined;
    const buckets = await readBuckets(this.#db);
    const { sets, homes } = await readSets(this.#db);
    const apart = await this.#apart(state.coveredN);
    for (const table of this.#layout.byName.values()) {
      const bySet = new Map<number, Sums>();
      // Without a home the table has no row that the gateway sent.
      const home = homes.get(table.id);
      const of = apart.get(table.id) ?? { outside: true, base: true, pending: true };
      await this.#plainRows(table, home, bySet, state.coveredN, of);
      if (of.base) await this.#specialRows(table, home, bySet);
      this.#sums.push(...bySet.values());
    }
    const measured = [...buckets.values()]
      .filter(({ checksum, current }) => checksum !== undefined && current)
      .map((told) => this.#bucket(told, sets));
    const rows = this.#sums.reduce((sum, { count }) => sum + count, 0);
    return { rows, buckets: measured };
  }

  #bucket(told: StoredBucket, sets: ReadonlyMap<number, readonly number[]>): MeasuredBucket {
    const held = this.#sums.filter(({ set }) => sets.get(set)?.includes(told.n));
    const rows = held.reduce((sum, { count }) => sum + count, 0);
    return { told, rows, checksum: combine(held.map((sums) => inner(sums, told.columns))) };
  }

  /** Rows for which the app's table is the base. */
  async #plainRows(
    table: SyncedTable,
    home: number | undefined,
    bySet: Map<number, Sums>,
    covered: number,
    { outside, base, pending }: Apart,
  ): Promise<void> {
    const keys = table.table.primaryKey.map(({ name }) => quoteName(name));
    const order = await STORED_BY.of(this.#db, table);
    const ordered = order.join(", ");
    const rowId = rowIdSql(table, keys);
    const columns = table.columns.map(({ name }) => `, ${quoteName(name)}`).join("");
    const special = base || pending
      ? `AND NOT EXISTS (SELECT 1 FROM _lakesync_base WHERE tbl = ${table.id} AND row_id = ${rowId})
         AND NOT EXISTS (SELECT 1 FROM _lakesync_outbox
           WHERE tbl = ${table.id} AND row_id = ${rowId} AND n > ?)`
      : "";
    const set = outside
      ? `(SELECT set_id FROM _lakesync_scope WHERE tbl = ${table.id} AND row_id = ${rowId})`
      : "NULL";
    const sql = (after: string) =>
      `SELECT ${ordered}, ${rowId}, ${set}${columns} FROM ${quoteName(table.name)}
       WHERE ${after} AND ${rowId} IS NOT NULL ${special} ORDER BY ${ordered} LIMIT ${STEP}`;
    const next = sql(`(${ordered}) > (${order.map(() => "?").join(", ")})`);
    // A number in the text would make another statement of each measurement.
    const last = special === "" ? [] : [covered];
    let rows = await this.#db.values(sql("1"), last);
    for (;;) {
      for (const row of rows) add(table, row.slice(order.length), home, bySet);
      await this.#pause();
      if (rows.length < STEP) return;
      rows = await this.#db.values(next, [...rows.at(-1)?.slice(0, order.length) ?? [], ...last]);
    }
  }

  /** Rows for which the base is kept aside. */
  async #specialRows(
    table: SyncedTable,
    home: number | undefined,
    bySet: Map<number, Sums>,
  ): Promise<void> {
    const columns = table.columns.map(({ position }) => `, b.v${position}`).join("");
    let after: SqlValue = "";
    for (;;) {
      const rows = await this.#db.values(
        `SELECT b.row_id, s.set_id${columns} FROM _lakesync_base b
         LEFT JOIN _lakesync_scope s ON s.tbl = b.tbl AND s.row_id = b.row_id
         WHERE b.tbl = ? AND b.row_id > ? AND b.present = 1 ORDER BY b.row_id LIMIT ${STEP}`,
        [table.id, after],
      );
      for (const row of rows) add(table, row, home, bySet);
      await this.#pause();
      if (rows.length < STEP) return;
      after = rows.at(-1)?.[0] ?? "";
    }
  }

  /** Finds out what all tables have of each kind, by their numbers. */
  async #apart(covered: number): Promise<Map<number, Apart>> {
    const ids = [...this.#layout.byName.values()].map(({ id }) => id);
    const rows = await this.#db.values(
      `SELECT value, EXISTS (SELECT 1 FROM _lakesync_scope WHERE tbl = value),
        EXISTS (SELECT 1 FROM _lakesync_base WHERE tbl = value),
        EXISTS (SELECT 1 FROM _lakesync_outbox WHERE n > ?) FROM json_each(?)`,
      [covered, JSON.stringify(ids)],
    );
    return new Map(rows.map(([id, outside, base, pending]) => [
      Number(id),
      { outside: outside === 1, base: base === 1, pending: pending === 1 },
    ]));
  }
}

/** What the gateway never has, a text that is no JSON for instance, counts as some other value. */
function hashOf(row: number, cell: SqlValue, type: ColumnType, isSet: boolean): number {
  try {
    const value = toValue(cell, type);
    return cellHash(row, isSet ? inOrder(value) : value);
  } catch {
    return UNREADABLE;
  }
}

/** Adds a row: its rowId, its set or null for home, its cells. */
function add(
  table: SyncedTable,
  [rowId, outside, ...cells]: readonly SqlValue[],
  home: number | undefined,
  bySet: Map<number, Sums>,
): void {
  const set = typeof outside === "number" ? outside : home ?? -1;
  let sums = bySet.get(set);
  if (sums === undefined) {
    const cells = table.columns.map(() => 0);
    sums = { table, set, count: 0, rows: 0, cells, sets: table.columns.map(isSet(table)) };
    bySet.set(set, sums);
  }
  const row = rowHash(String(rowId));
  sums.count++;
  sums.rows = (sums.rows + row) | 0;
  for (const [i, { type }] of table.columns.entries()) {
    const hash = hashOf(row, cells[i] ?? null, type, sums.sets[i] === true);
    sums.cells[i] = ((sums.cells[i] ?? 0) + hash) | 0;
  }
}

/** What a bucket counts of the rows of one set. */
function inner({ table, rows, cells }: Sums, shown: ShownColumns): InnerSums {
  const only = Object.hasOwn(shown, table.name) ? shown[table.name] : undefined;
  return {
    table: table.name,
    rows,
    columns: table.columns.map(({ name }, i) => [name, cells[i] ?? 0] as const)
      .filter(([name]) => only === undefined || only.includes(name)),
  };
}

/**
 * Measures the base. Runs inside a transaction, so that it sees one checkpoint.
 *
 * @param db any connection
 * @param layout where columns are kept
 * @param pause awaited between two steps; what it throws ends the measuring
 * @returns what is here beside what was told; undefined between a resync and its checkpoint
 */
export async function measure(
  db: SqliteConnection,
  layout: Layout,
  pause: () => Promise<void>,
): Promise<Measured | undefined> {
  const version = await readSchemaVersion(db);
  return await knowingSchema(db, version, () => new Measuring(db, layout, pause).run());
}
