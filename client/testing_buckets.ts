/**
 * A gateway that knows buckets, in memory: what docs/adr/0008-rules-and-buckets.md says a client is
 * told, made from two states of the data.
 *
 * @module
 */

import {
  type BucketState,
  cellHash,
  type ChangeShape,
  combine,
  type Hlc,
  type PullResult,
  type RowChange,
  rowHash,
  type Value,
} from "@lakesync/core";
import { type Cells, rowName } from "./testing_local.ts";

/** A row and the buckets it is in, granted or not. */
export interface BucketRow {
  /** Its table. */
  readonly table: string;
  /** Its rowId. */
  readonly rowId: string;
  /** Its cells. */
  readonly cells: Cells;
  /** The ids of its buckets. */
  readonly buckets: ReadonlySet<string>;
}

/** What one client holds of a row. */
export interface HeldRow extends BucketRow {
  /** Only those the client was granted, in the order of the checkpoint. */
  readonly buckets: ReadonlySet<string>;
}

/** The columns a bucket shows of a table; tables that are left out are shown whole. */
export type Projection = { readonly [table: string]: readonly string[] };

/** A gateway with one client. */
export class BucketGateway {
  /** All rows, by name. */
  readonly rows: Map<string, BucketRow> = new Map();
  /** The buckets the client is granted. */
  readonly granted: Set<string> = new Set();
  /** What buckets show; those that are left out show everything. */
  readonly projections: ReadonlyMap<string, Projection>;
  /** What the client's base contains of its own transactions. */
  lastMutationId = 0;
  #held: ReadonlyMap<string, HeldRow> = new Map();
  #told: readonly string[] = [];
  /** The buckets that came in chunks, and what was in them then. */
  #chunked: readonly string[] = [];
  #sent: ReadonlyMap<string, HeldRow> = new Map();
  #rowsThen: ReadonlyMap<string, BucketRow> = new Map();
  #seq = 0;

  /** @param projections what buckets show */
  constructor(projections: ReadonlyMap<string, Projection> = new Map()) {
    this.projections = projections;
  }

  /** Writes a row. */
  put(
    table: string,
    rowId: string,
    cells: Cells,
    buckets: Iterable<string>,
  ): void {
    this.rows.set(rowName(table, rowId), { table, rowId, cells, buckets: new Set(buckets) });
  }

  /** Forgets what the client was told. */
  forget(): void {
    this.#held = new Map();
    this.#told = [];
    this.#chunked = [];
    this.#sent = new Map();
  }

  /**
   * Rows of some granted buckets in chunks, each of one bucket by its place. The next pull goes on
   * from there, whatever is written meanwhile.
   *
   * @param ids the buckets
   * @param chunkRows rows of one chunk
   */
  chunks(
    ids: readonly string[],
    chunkRows: number,
  ): { readonly place: number; readonly page: PullResult }[] {
    this.forget();
    this.#chunked = ids;
    this.#rowsThen = new Map(this.rows);
    const sent = new Map<string, HeldRow>();
    const chunks: { place: number; page: PullResult }[] = [];
    for (const [place, id] of ids.entries()) {
      const changes: RowChange[] = [];
      for (const [name, row] of this.rows) {
        if (!row.buckets.has(id)) continue;
        const columns = Object.keys(row.cells).filter((column) =>
          this.#shows(id, row.table, column)
        );
        const shown = Object.fromEntries(columns.map((name) => [name, row.cells[name] ?? null]));
        sent.set(name, { ...row, cells: { ...sent.get(name)?.cells, ...shown } });
        const shape: ChangeShape = { op: "PUT", table: row.table, columns };
        const values = columns.map((column): Value => row.cells[column] ?? null);
        changes.push({ shape, rowId: row.rowId, values });
      }
      for (let at = 0; at < changes.length; at += chunkRows) {
        const common = { cursor: "", complete: false, lastMutationId: 0, serverHlc: 0n as Hlc };
        chunks.push({ place, page: { ...common, changes: changes.slice(at, at + chunkRows) } });
      }
    }
    this.#sent = sent;
    return chunks;
  }

  /** What is told of a row that may have come in chunks; undefined: they told it all. */
  #afterChunks(name: string, row: HeldRow, order: readonly string[]): RowChange | undefined {
    const sent = this.#sent.get(name);
    const told = change(undefined, row, order, new Set());
    if (sent === undefined || told === undefined) return told;
    const now = this.rows.get(name);
    const inChunks = [...now?.buckets ?? []].filter((id) => this.#chunked.includes(id));
    const same = now === this.#rowsThen.get(name) &&
      inChunks.every((id) => this.granted.has(id)) &&
      [...row.buckets].every((id) => this.#chunked.includes(id));
    if (same) return undefined;
    const lost = Object.keys(sent.cells).filter((column) => !Object.hasOwn(row.cells, column));
    const shown = (column: string) =>
      [...row.buckets].some((id) => this.#shows(id, row.table, column));
    const nulls = lost.filter(shown);
    const unset = lost.filter((column) => !shown(column));
    const columns = [...told.shape.columns, ...nulls];
    const values = [...told.values, ...nulls.map(() => null)];
    return { shape: { ...told.shape, columns, unset }, rowId: row.rowId, values };
  }

  #shows(bucket: string, table: string, column: string): boolean {
    return this.projections.get(bucket)?.[table]?.includes(column) ?? true;
  }

  /** What the client holds now. */
  held(): Map<string, HeldRow> {
    const held = new Map<string, HeldRow>();
    for (const [name, row] of this.rows) {
      const buckets = new Set([...this.granted].sort().filter((id) => row.buckets.has(id)));
      if (buckets.size === 0) continue;
      const shown = Object.entries(row.cells).filter(([column]) =>
        [...buckets].some((id) => this.#shows(id, row.table, column))
      );
      held.set(name, { ...row, cells: Object.fromEntries(shown), buckets });
    }
    return held;
  }

  /** A bucket's rows and checksum. */
  stateOf(id: string): BucketState {
    const rows = [...this.rows.values()].filter(({ buckets }) => buckets.has(id));
    const checksum = combine(
      [...Map.groupBy(rows, ({ table }) => table)].map(([table, rows]) => {
        const columns = new Map<string, number>();
        for (const { rowId, cells } of rows) {
          for (const [name, value] of Object.entries(cells)) {
            if (!this.#shows(id, table, name)) continue;
            columns.set(name, ((columns.get(name) ?? 0) + cellHash(rowHash(rowId), value)) | 0);
          }
        }
        const sum = rows.reduce((sum, { rowId }) => (sum + rowHash(rowId)) | 0, 0);
        return { table, rows: sum, columns };
      }),
    );
    const columns = this.projections.get(id);
    return { id, rows: rows.length, checksum, ...(columns === undefined ? {} : { columns }) };
  }

  /**
   * The pages from what the client was told last to now.
   *
   * @param repair buckets to be sent whole
   * @param pageRows rows of one page
   * @param loses buckets that are not granted any more when the last page is made, of which it says
   * nothing else
   */
  pull(
    repair: readonly string[] = [],
    pageRows: number = Infinity,
    loses: readonly string[] = [],
  ): PullResult[] {
    const after = this.held();
    const granted = [...this.granted].sort();
    const whole = new Set(repair.filter((id) => this.granted.has(id)));
    const before = this.#sent.size > 0 || this.#chunked.length > 0 ? this.#sent : this.#held;
    const gone = this.#told.filter((id) => !this.granted.has(id));
    const order = [...new Set([...this.#chunked, ...granted, ...gone])];
    const changes: RowChange[] = [];
    for (const [name, row] of after) {
      const told = this.#chunked.length > 0
        ? this.#afterChunks(name, row, order)
        : change(before.get(name), row, order, whole);
      if (told !== undefined) changes.push(told);
    }
    for (const [name, { table, rowId }] of before) {
      if (after.has(name)) continue;
      changes.push({ shape: { op: "REMOVE", table, columns: [] }, rowId, values: [] });
    }
    for (const id of loses) this.granted.delete(id);
    this.#held = loses.length === 0 ? after : this.held();
    this.#told = [...this.granted].sort();
    this.#chunked = [];
    this.#sent = new Map();
    const buckets = order.map((id): BucketState => {
      if (!this.granted.has(id)) return { id, rows: 0, gone: true };
      return { ...this.stateOf(id), ...(whole.has(id) ? { whole: true } : {}) };
    });
    return this.#pages(changes, buckets, pageRows);
  }

  #pages(changes: RowChange[], buckets: BucketState[], pageRows: number): PullResult[] {
    const common = { lastMutationId: this.lastMutationId, serverHlc: 1n as Hlc };
    const pages: PullResult[] = [];
    const seq = ++this.#seq;
    while (changes.length > pageRows) {
      const cursor = `${seq}/${pages.length}`;
      pages.push({ ...common, changes: changes.splice(0, pageRows), cursor, complete: false });
    }
    const checkpoint = { seq, buckets };
    pages.push({ ...common, changes, cursor: `${seq}`, complete: true, checkpoint });
    return pages;
  }
}

function change(
  before: HeldRow | undefined,
  { table, rowId, cells, buckets }: HeldRow,
  order: readonly string[],
  whole: ReadonlySet<string>,
): RowChange | undefined {
  const all = before === undefined || [...buckets].some((id) => whole.has(id));
  const columns = Object.keys(cells).filter((name) => all || before.cells[name] !== cells[name]);
  const unset = Object.keys(before?.cells ?? {}).filter((name) => !Object.hasOwn(cells, name));
  const moved = before?.buckets.symmetricDifference(buckets).size !== 0;
  if (!all && !moved && columns.length === 0 && unset.length === 0) return undefined;
  const indexes = [...buckets].map((id) => order.indexOf(id));
  const shape: ChangeShape = {
    op: "PUT",
    table,
    columns,
    ...(unset.length === 0 ? {} : { unset }),
    ...(indexes.join() === "0" ? {} : { buckets: indexes }),
  };
  return { shape, rowId, values: columns.map((name): Value => cells[name] ?? null) };
}
