/**
 * Which buckets hold which rows of the base. Rows are told apart by the set of buckets that hold
 * them; the set that a table's rows had first is its home, and rows of it take no space.
 *
 * | table | holds |
 * | --- | --- |
 * | `_lakesync_set` | each set of buckets that rows have, as a JSON array of numbers |
 * | `_lakesync_home` | for each table the set of rows without an entry in `_lakesync_scope` |
 * | `_lakesync_scope` | the set of every other row |
 *
 * @module
 */

import type { BucketState, ChangeShape } from "@lakesync/core";
import {
  addBucket,
  forgetBuckets,
  readBuckets,
  type ShownColumns,
  storeBucket,
  type StoredBucket,
} from "./buckets.ts";
import { rowIdSql } from "./capture.ts";
import type { SqliteConnection } from "./database/driver.ts";
import type { SyncedTable } from "./layout.ts";
import { quoteName } from "./sql.ts";

const FIRST: readonly number[] = [0];

/** After so many new sets those that no row has any more are forgotten. */
const MANY_SETS = 256;

/** The sets of buckets, both ways, and the home of each table. */
export interface StoredSets {
  /** For each set its buckets' numbers, ascending. */
  readonly sets: Map<number, readonly number[]>;
  /** For each table's number its home. */
  readonly homes: Map<number, number>;
  /** For each table that has a home whether other sets have rows of it. */
  readonly outside: Map<number, boolean>;
}

/** Reads the sets and the homes. */
export async function readSets(db: SqliteConnection): Promise<StoredSets> {
  const rows = await db.values(
    `SELECT NULL, set_id, buckets FROM _lakesync_set
     UNION ALL SELECT tbl, set_id, EXISTS (SELECT 1 FROM _lakesync_scope s WHERE s.tbl = h.tbl)
      FROM _lakesync_home h`,
  );
  const sets = new Map<number, readonly number[]>();
  const homes = new Map<number, number>();
  const outside = new Map<number, boolean>();
  for (const [table, set, found] of rows) {
    if (table === null) sets.set(Number(set), JSON.parse(String(found)));
    else {
      homes.set(Number(table), Number(set));
      outside.set(Number(table), found === 1);
    }
  }
  return { sets, homes, outside };
}

/**
 * Notes that all rows of a table are in no bucket: they were there before it was synced.
 *
 * @param db the writer, in a transaction
 * @param table the table
 */
export async function keepOwn(db: SqliteConnection, table: SyncedTable): Promise<void> {
  const rowId = rowIdSql(table, table.table.primaryKey.map(({ name }) => quoteName(name)));
  await db.run("INSERT OR IGNORE INTO _lakesync_set (buckets) VALUES ('[]')");
  await db.run(
    `INSERT OR IGNORE INTO _lakesync_scope
     SELECT ?, ${rowId}, (SELECT set_id FROM _lakesync_set WHERE buckets = '[]')
     FROM ${quoteName(table.name)} WHERE ${rowId} IS NOT NULL`,
    [table.id],
  );
}

/** The columns a bucket shows of a table, by its name or the one it had before; undefined: all. */
function shownOf(shown: ShownColumns, { name, table }: SyncedTable): readonly string[] | undefined {
  if (Object.hasOwn(shown, name)) return shown[name];
  const former = table.renamedFrom;
  return former !== undefined && Object.hasOwn(shown, former) ? shown[former] : undefined;
}

/** Follows the rows through one checkpoint. */
export class Scope {
  readonly #whole = new Set<number>();
  readonly #gone = new Set<number>();
  readonly #db: SqliteConnection;
  readonly #told: readonly BucketState[];
  readonly #replacing: boolean;
  #stored: Map<string, StoredBucket> = new Map();
  readonly #added = new Map<string, number>();
  /** For each index of the checkpoint's list the bucket's number. */
  readonly #numbers: number[] = [];
  #sets: Map<number, readonly number[]> = new Map();
  #homes: Map<number, number> = new Map();
  /** The homes that tables had, where one of the buckets is gone: the first set is home anew. */
  readonly #leftHomes = new Map<number, number>();
  readonly #byBuckets = new Map<string, number>();
  #many = false;
  #anyOutside = new Map<number, boolean>();
  readonly #columns = new Map<number, ShownColumns>();

  /**
   * @param db the writer, in a transaction
   * @param told the checkpoint's buckets
   * @param replacing whether the checkpoint replaces the base
   */
  constructor(db: SqliteConnection, told: readonly BucketState[], replacing: boolean) {
    this.#db = db;
    this.#told = told;
    this.#replacing = replacing;
  }

  /** Whether it must be known afterwards which rows were mentioned. */
  get comparesMentioned(): boolean {
    return this.#whole.size > 0 || this.#leftHomes.size > 0;
  }

  /** The buckets that rows leave when no page mentions them: those that are gone or came whole. */
  get left(): ReadonlySet<number> {
    return this.#gone.union(this.#whole);
  }

  /** The buckets that rows leave though an earlier page put them there, when they were granted. */
  get gone(): ReadonlySet<number> {
    return this.#gone;
  }

  /** Prepares; then come the rows. */
  async begin(): Promise<void> {
    if (this.#replacing) await this.#forgetRows();
    this.#stored = await readBuckets(this.#db);
    const { sets, homes, outside } = await readSets(this.#db);
    this.#sets = sets;
    this.#homes = homes;
    this.#anyOutside = outside;
    for (const [id, buckets] of sets) this.#byBuckets.set(buckets.join(), id);
    for (const { n, columns } of this.#stored.values()) this.#columns.set(n, columns);
    const gone = await this.#forgetGone();
    for (const [i, bucket] of this.#told.entries()) {
      this.#numbers.push(gone.get(i) ?? await this.#numberOf(bucket));
    }
  }

  /**
   * First of all, since another bucket of the same id may be granted in its place. One that was
   * granted between two pages of this checkpoint alone is not stored; what the pages put there is
   * told apart by a number below zero.
   *
   * @returns the numbers of those that are gone by their index
   */
  async #forgetGone(): Promise<ReadonlyMap<number, number>> {
    const numbers = new Map<number, number>();
    for (const [i, { id, gone }] of this.#told.entries()) {
      if (!gone) continue;
      const n = this.#stored.get(id)?.n ?? -1 - i;
      numbers.set(i, n);
      this.#gone.add(n);
      this.#stored.delete(id);
    }
    await forgetBuckets(this.#db, [...this.#gone]);
    const dead = new Set(this.setsWith(this.#gone));
    for (const [table, set] of [...this.#homes]) {
      if (!dead.has(set)) continue;
      this.#leftHomes.set(table, set);
      this.#homes.delete(table);
      await this.#db.run("DELETE FROM _lakesync_home WHERE tbl = ?", [table]);
    }
    return numbers;
  }

  async #forgetRows(): Promise<void> {
    for (const table of ["_lakesync_scope", "_lakesync_set", "_lakesync_home"]) {
      await this.#db.run(`DELETE FROM ${table}`);
    }
  }

  async #numberOf({ id, whole, columns }: BucketState): Promise<number> {
    const known = this.#stored.get(id)?.n;
    if (known !== undefined && whole && !this.#replacing) this.#whole.add(known);
    const n = known ?? this.#added.get(id) ?? await addBucket(this.#db, id);
    if (known === undefined) this.#added.set(id, n);
    this.#columns.set(n, columns ?? {});
    return n;
  }

  /** The buckets of a set. */
  bucketsOf(set: number): readonly number[] {
    return this.#sets.get(set) ?? [];
  }

  /** The sets that any of some buckets is in. */
  setsWith(any: ReadonlySet<number>): number[] {
    return [...this.#sets].filter(([, buckets]) => buckets.some((n) => any.has(n)))
      .map(([id]) => id);
  }

  /** The set of rows without an entry that the checkpoint does not mention, if there may be any. */
  homeOf({ id }: SyncedTable): number | undefined {
    return this.#leftHomes.get(id) ?? this.#homes.get(id);
  }

  /**
   * Tells which of a table's columns are hidden when not all buckets hold a row any more.
   *
   * @param table the table
   * @param held the buckets that held the row
   * @param stays those of them that still do
   * @returns the columns' names
   */
  hidden(table: SyncedTable, held: readonly number[], stays: readonly number[]): string[] {
    return table.columns.map(({ name }) => name).filter((name) =>
      held.some((n) => this.#shows(n, table, name)) &&
      !stays.some((n) => this.#shows(n, table, name))
    );
  }

  /**
   * Tells which columns of rows that came whole are null, since nothing was said of them.
   *
   * @param table the rows' table
   * @param shape what they came with
   * @returns the columns' names
   */
  silent(table: SyncedTable, shape: ChangeShape): string[] {
    const holds = this.#numbersOf(shape).filter((n) => this.#whole.has(n));
    return table.columns.map(({ name }) => name).filter((name) =>
      !shape.columns.includes(name) && holds.some((n) => this.#shows(n, table, name))
    );
  }

  /** Whether the buckets of a shape show a column. */
  isShown(table: SyncedTable, shape: ChangeShape, column: string): boolean {
    return this.#numbersOf(shape).some((n) => this.#shows(n, table, column));
  }

  #numbersOf({ buckets = FIRST }: Pick<ChangeShape, "buckets">): number[] {
    return buckets.flatMap((index) => this.#numbers[index] ?? []);
  }

  #shows(bucket: number, table: SyncedTable, column: string): boolean {
    const shown = shownOf(this.#columns.get(bucket) ?? {}, table);
    const former = table.table.byName.get(column)?.renamedFrom;
    return shown === undefined || shown.includes(column) ||
      (former !== undefined && !table.table.byName.has(former) && shown.includes(former));
  }

  /** Rows are held by the buckets of a shape and by no others. */
  async put(table: SyncedTable, shape: ChangeShape, rowIds: readonly string[]): Promise<void> {
    await this.assign(table, this.#numbersOf(shape), rowIds);
  }

  /** Rows that were put before are held by a bucket of the checkpoint's list too. */
  async add(table: SyncedTable, place: number, rowIds: readonly string[]): Promise<void> {
    const found = await this.#db.values(
      `SELECT j.value, s.set_id FROM json_each(?) j
       LEFT JOIN _lakesync_scope s ON s.tbl = ? AND s.row_id = j.value`,
      [JSON.stringify(rowIds), table.id],
    );
    const home = this.#homes.get(table.id);
    const bySet = Map.groupBy(found, ([, set]) => typeof set === "number" ? set : home);
    for (const [set, rows] of bySet) {
      const held = set === undefined ? [] : this.bucketsOf(set);
      const buckets = [...held, ...this.#numbersOf({ buckets: [place] })];
      await this.assign(table, buckets, rows.map(([rowId]) => String(rowId)));
    }
  }

  /**
   * Rows are held by some buckets and by no others.
   *
   * @param table their table
   * @param buckets the buckets' numbers
   * @param rowIds the rows
   */
  async assign(
    table: SyncedTable,
    buckets: readonly number[],
    rowIds: readonly string[],
  ): Promise<void> {
    const set = await this.#setOf(buckets);
    let home = this.#homes.get(table.id);
    if (home === undefined && !buckets.some((n) => this.#gone.has(n))) {
      home = set;
      this.#homes.set(table.id, set);
      await this.#db.run("INSERT INTO _lakesync_home VALUES (?, ?)", [table.id, set]);
    }
    if (set === home) return await this.forget(table, rowIds);
    this.#anyOutside.set(table.id, true);
    await this.#db.run(
      `INSERT INTO _lakesync_scope SELECT ?1, value, ?2 FROM json_each(?3) WHERE true
       ON CONFLICT DO UPDATE SET set_id = excluded.set_id WHERE set_id <> excluded.set_id`,
      [table.id, set, JSON.stringify(rowIds)],
    );
  }

  /** Rows are not in the base any more, or at home. */
  async forget(table: SyncedTable, rowIds: readonly string[]): Promise<void> {
    if (!await this.#hasOutside(table)) return;
    await this.#db.run(
      `DELETE FROM _lakesync_scope WHERE tbl = ?1
       AND row_id IN (SELECT value FROM json_each(?2))`,
      [table.id, JSON.stringify(rowIds)],
    );
  }

  async #hasOutside({ id }: SyncedTable): Promise<boolean> {
    let any = this.#anyOutside.get(id);
    if (any === undefined) {
      const [row] = await this.#db.values(
        "SELECT EXISTS (SELECT 1 FROM _lakesync_scope WHERE tbl = ?)",
        [id],
      );
      any = row?.[0] === 1;
      this.#anyOutside.set(id, any);
    }
    return any;
  }

  async #setOf(buckets: readonly number[]): Promise<number> {
    const [only] = buckets;
    const sorted = buckets.length === 1 && only !== undefined
      ? buckets
      : [...new Set(buckets)].sort((a, b) => a - b);
    const key = sorted.join();
    let set = this.#byBuckets.get(key);
    if (set === undefined) {
      const { lastInsertRowid } = await this.#db.run(
        "INSERT INTO _lakesync_set (buckets) VALUES (?)",
        [JSON.stringify(sorted)],
      );
      set = Number(lastInsertRowid);
      this.#many ||= set % MANY_SETS === 0;
      this.#byBuckets.set(key, set);
      this.#sets.set(set, sorted);
    }
    return set;
  }

  /** After the last row: stores what was said of the buckets, forgets those that are gone. */
  async end(): Promise<void> {
    const listed = new Set(this.#told.map(({ id }) => id));
    for (const { id, n } of this.#stored.values()) {
      if (this.#replacing && !listed.has(id)) this.#gone.add(n);
    }
    for (const [i, told] of this.#told.entries()) {
      const n = this.#numbers[i];
      const stored = this.#stored.get(told.id);
      const whole = this.#replacing || told.whole === true || stored === undefined;
      if (n !== undefined && !told.gone) await storeBucket(this.#db, stored, n, told, whole);
    }
    if (this.#many) await this.#forgetUnused();
    if (this.#gone.size === 0) return;
    await forgetBuckets(this.#db, [...this.#gone]);
    const dead = this.setsWith(this.#gone).map((set) => [set]);
    await this.#db.runMany("DELETE FROM _lakesync_set WHERE set_id = ?", dead);
  }

  async #forgetUnused(): Promise<void> {
    await this.#db.run(
      `DELETE FROM _lakesync_set WHERE set_id NOT IN (SELECT set_id FROM _lakesync_scope)
       AND set_id NOT IN (SELECT set_id FROM _lakesync_home)`,
    );
  }
}
