/**
 * A client that keeps what it pulls in maps, exactly as docs/protocol.md says and with nothing that
 * would hide a mistake of the gateway. Tables and columns are kept under their first names, so a
 * newer schema changes nothing of what is kept.
 *
 * @module
 */

import {
  type BucketState,
  cellHash,
  combine,
  type PullResult,
  rowHash,
  type Value,
} from "@lakesync/core";
import { type ClientPlan, columnsIn, nameIn, type Plan, type TablePlan, tablesIn } from "./plan.ts";
import type { Random } from "./random.ts";

/** A row as the client has it. */
export interface HeldRow {
  /** Cells under the columns' first names. */
  readonly cells: Map<string, Value>;
  /** The ids of the buckets that hold it. */
  buckets: Set<string>;
}

/** A bucket as the client was told of it last. */
interface HeldBucket {
  readonly state: BucketState;
  /** For tables of which it does not show all: the first names of the columns it shows. */
  readonly columns: ReadonlyMap<string, ReadonlySet<string>>;
  /** The schema version in whose names it was told. */
  readonly version: number;
}

/** A change under the first names. */
interface Told {
  readonly op: "PUT" | "REMOVE";
  readonly table: string;
  readonly rowId: string;
  readonly cells: ReadonlyMap<string, Value>;
  readonly unset: readonly string[];
  readonly buckets: readonly number[];
}

/** Something that a page must not hold. */
export class BrokenPage extends Error {
  override readonly name = "BrokenPage";
}

/** A version's names, back to the first ones. */
class Names {
  readonly #tables = new Map<string, TablePlan>();
  readonly #columns = new Map<string, ReadonlyMap<string, string>>();

  constructor(plan: Plan, version: number) {
    for (const table of tablesIn(plan, version)) {
      this.#tables.set(nameIn(table, version), table);
      this.#columns.set(
        table.name,
        new Map(
          columnsIn(table, version).map((column) => [nameIn(column, version), column.name]),
        ),
      );
    }
  }

  table(name: string): TablePlan {
    const table = this.#tables.get(name);
    if (table === undefined) throw new BrokenPage(`a table ${name} that the client does not have`);
    return table;
  }

  column(table: TablePlan, name: string): string {
    const column = this.#columns.get(table.name)?.get(name);
    if (column === undefined || table.primaryKey.includes(column)) {
      throw new BrokenPage(`a column ${name} that the client does not take`);
    }
    return column;
  }
}

/** One database. */
export class ModelClient {
  readonly #plan: Plan;
  /** Rows by the table's first name and the rowId. */
  readonly tables: Map<string, Map<string, HeldRow>> = new Map();
  readonly #buckets = new Map<string, HeldBucket>();
  #pages: Told[][] = [];
  /** The last checkpoint's cursor. */
  #cursor: string | undefined;
  #pageCursor: string | undefined;
  /** The user's claims now. */
  claims: ClientPlan["claims"];
  /** Whether the last checkpoint replaced everything. */
  isFromNothing = true;
  /** The ids of the buckets that came whole with the last checkpoint. */
  lastWhole: ReadonlySet<string> = new Set();
  /** The last transaction that the gateway consumed. */
  mutationId = 0;
  /** Its schema version; 0 until it is first used. */
  version = 0;

  constructor(plan: Plan, readonly own: ClientPlan) {
    this.#plan = plan;
    this.claims = own.claims;
  }

  /** Where the next pull goes on. */
  get cursor(): string | undefined {
    return this.#pageCursor ?? this.#cursor;
  }

  /** Whether it stands at a checkpoint, with no pages of another. */
  get isAtCheckpoint(): boolean {
    return this.#pages.length === 0;
  }

  /** The ids of its buckets. */
  get bucketIds(): readonly string[] {
    return [...this.#buckets.keys()];
  }

  /** Forgets the pages of the checkpoint under way. */
  beginAnew(): void {
    this.#pages = [];
    this.#pageCursor = undefined;
  }

  /** Forgets the cursor; what it has is replaced by the next checkpoint. */
  forget(): void {
    this.beginAnew();
    this.#cursor = undefined;
  }

  /**
   * Takes a page, and with the last one the checkpoint.
   *
   * @returns whether it was the last one
   * @throws {BrokenPage}
   */
  take(page: PullResult): boolean {
    const names = new Names(this.#plan, this.version);
    this.#pages.push(page.changes.map(({ shape, rowId, values }) => {
      const table = names.table(shape.table);
      return {
        op: shape.op,
        table: table.name,
        rowId,
        cells: new Map(
          shape.columns.map((name, i) => [names.column(table, name), values[i] ?? null]),
        ),
        unset: (shape.unset ?? []).map((name) => names.column(table, name)),
        buckets: shape.buckets ?? [0],
      };
    }));
    this.#pageCursor = page.cursor;
    if (!page.complete) return false;
    this.#apply(page.checkpoint?.buckets ?? [], names);
    this.#pages = [];
    this.#cursor = page.cursor;
    this.#pageCursor = undefined;
    return true;
  }

  #apply(listed: readonly BucketState[], names: Names): void {
    const [only] = this.#pages;
    if (only !== undefined && this.#pages.length === 1) checkOnce(only);
    if (this.#cursor === undefined) {
      this.tables.clear();
      this.#buckets.clear();
    }
    const ids = listed.map(({ id }) => id);
    const whole = new Set(listed.filter((bucket) => bucket.whole).map(({ id }) => id));
    const gone = new Set(listed.filter((bucket) => bucket.gone).map(({ id }) => id));
    const granted = listed.filter((bucket) => !bucket.gone).map(({ id }) => id);
    if (new Set([...gone, ...granted]).size < gone.size + granted.length) {
      throw new BrokenPage("a bucket is listed twice");
    }
    this.lastWhole = whole;
    this.isFromNothing = this.#cursor === undefined;
    const left = new Set([...whole].filter((id) => this.#buckets.has(id)));
    const before = new Map(this.#buckets);
    for (const state of listed) {
      if (gone.has(state.id)) this.#buckets.delete(state.id);
      else this.#buckets.set(state.id, this.#held(state, names));
    }
    const mentioned = new Set<string>();
    for (const change of this.#pages.flat()) this.#change(change, ids, gone, whole, mentioned);
    for (const rows of this.tables.entries()) this.#leave(rows, left, before, mentioned);
  }

  #held(state: BucketState, names: Names): HeldBucket {
    const columns = new Map<string, ReadonlySet<string>>();
    for (const [name, shown] of Object.entries(state.columns ?? {})) {
      const table = names.table(name);
      columns.set(table.name, new Set(shown.map((column) => names.column(table, column))));
    }
    return { state, columns, version: this.version };
  }

  #change(
    { op, table, rowId, cells, unset, buckets }: Told,
    ids: readonly string[],
    gone: ReadonlySet<string>,
    whole: ReadonlySet<string>,
    mentioned: Set<string>,
  ): void {
    const rows = this.tables.get(table) ?? new Map<string, HeldRow>();
    this.tables.set(table, rows);
    const isFirst = !mentioned.has(`${table} ${rowId}`);
    mentioned.add(`${table} ${rowId}`);
    if (op === "REMOVE") {
      rows.delete(rowId);
      return;
    }
    const row = rows.get(rowId) ?? { cells: new Map<string, Value>(), buckets: new Set<string>() };
    rows.set(rowId, row);
    row.buckets = new Set(buckets.flatMap((index) => {
      const id = ids[index];
      if (id === undefined) throw new BrokenPage(`no bucket at index ${index}`);
      return gone.has(id) ? [] : [id];
    }));
    if (isFirst) {
      const silent = [...row.buckets].filter((id) => whole.has(id));
      for (const name of [...row.cells.keys()]) {
        if (!cells.has(name) && silent.some((id) => shows(this.#buckets.get(id), table, name))) {
          row.cells.delete(name);
        }
      }
    }
    for (const [name, value] of cells) {
      if (value === null) row.cells.delete(name);
      else row.cells.set(name, value);
    }
    for (const name of unset) row.cells.delete(name);
  }

  /** Rows of a bucket that came whole, and that were not mentioned, are not in it. */
  #leave(
    [table, rows]: readonly [string, Map<string, HeldRow>],
    left: ReadonlySet<string>,
    before: ReadonlyMap<string, HeldBucket>,
    mentioned: ReadonlySet<string>,
  ): void {
    for (const [rowId, row] of rows) {
      if (mentioned.has(`${table} ${rowId}`) || row.buckets.isDisjointFrom(left)) continue;
      const was = row.buckets;
      row.buckets = was.difference(left);
      if (row.buckets.size === 0) rows.delete(rowId);
      for (const name of [...row.cells.keys()]) {
        const had = [...was].some((id) => shows(before.get(id), table, name));
        const has = [...row.buckets].some((id) => shows(this.#buckets.get(id), table, name));
        if (had && !has) row.cells.delete(name);
      }
    }
  }

  /**
   * Compares its buckets with what was told of them.
   *
   * @throws {BrokenPage} where they differ
   */
  checkBuckets(): void {
    for (const [table, rows] of this.tables) {
      for (const [rowId, { buckets }] of rows) {
        if (buckets.size === 0) throw new BrokenPage(`${table} ${rowId} is in no bucket`);
        for (const id of buckets) {
          if (!this.#buckets.has(id)) {
            throw new BrokenPage(`${table} ${rowId} is in the bucket ${id}, which is not granted`);
          }
        }
      }
    }
    for (const [id, bucket] of this.#buckets) this.#checkBucket(id, bucket);
  }

  #checkBucket(id: string, bucket: HeldBucket): void {
    const { state, version } = bucket;
    // What was told in the names of another version is told anew when something changes.
    if (state.checksum === undefined || version !== this.version) return;
    let count = 0;
    const sums = tablesIn(this.#plan, version).map((table) => {
      let rows = 0;
      const columns = columnsIn(table, version).filter(({ name }) =>
        !table.primaryKey.includes(name) && shows(bucket, table.name, name)
      );
      const cells = columns.map((column) => [nameIn(column, version), 0] as [string, number]);
      for (const [rowId, row] of this.tables.get(table.name) ?? []) {
        if (!row.buckets.has(id)) continue;
        const hash = rowHash(rowId);
        count++;
        rows = (rows + hash) >>> 0;
        for (const [i, { name }] of columns.entries()) {
          const sum = cells[i];
          if (sum !== undefined) {
            sum[1] = (sum[1] + cellHash(hash, row.cells.get(name) ?? null)) >>> 0;
          }
        }
      }
      return { table: nameIn(table, version), rows, columns: cells };
    });
    if (count !== state.rows) {
      throw new BrokenPage(`the bucket ${id} has ${count} rows, ${state.rows} were told`);
    }
    const checksum = combine(sums);
    if (checksum !== state.checksum) {
      throw new BrokenPage(`the bucket ${id} sums up to ${checksum}, told was ${state.checksum}`);
    }
  }

  /**
   * Damages some of its buckets.
   *
   * @returns the ids of those
   */
  damage(random: Random, phantom: string): readonly string[] {
    const ids = random.some(this.bucketIds, 0.5, 1);
    for (const [table, rows] of this.tables) {
      for (const [rowId, row] of [...rows]) {
        if (!ids.some((id) => row.buckets.has(id)) || !random.chance(0.3)) continue;
        const shown = [...row.cells.keys()].filter((name) =>
          ids.some((id) => row.buckets.has(id) && shows(this.#buckets.get(id), table, name))
        );
        if (shown.length === 0 || random.chance(0.4)) rows.delete(rowId);
        else if (random.chance(0.5)) row.cells.delete(random.pick(shown));
        else row.cells.set(random.pick(shown), "damaged");
      }
      const [id] = ids;
      if (id !== undefined && random.chance(0.3)) {
        rows.set(phantom, { cells: new Map(), buckets: new Set([id]) });
      }
    }
    return ids;
  }
}

function shows(bucket: HeldBucket | undefined, table: string, column: string): boolean {
  return bucket !== undefined && (bucket.columns.get(table)?.has(column) ?? true);
}

function checkOnce(changes: readonly Told[]): void {
  const seen = new Set<string>();
  for (const { table, rowId } of changes) {
    const key = `${table} ${rowId}`;
    if (seen.has(key)) throw new BrokenPage(`${key} is there twice in one page`);
    seen.add(key);
  }
}
