/**
 * The port to where the rows of snapshots may come from instead of the gateway's own store, and what
 * must hold before they do. See docs/adr/0017-checkpoints-from-the-lake.md.
 *
 * @module
 */

import { type RowState, type Value, ZERO_HLC } from "@lakesync/core";
import { readSnapshot } from "../store/snapshot.ts";
import type { BucketRecord, ReadView, ScanPosition, Store } from "../store/store.ts";
import { BucketSums, sumsOf } from "./bucket_sums.ts";
import { rowName } from "./checkpoint_chunk.ts";
import { type ColumnsByTable, type Digits, Samples } from "./checkpoint_forms.ts";
import type { Past } from "./pull.ts";
import { readRecord } from "./record.ts";
import type { PlacedFamily } from "./rule_book.ts";

/** A row as a source has it: its id, and the cells that are not null, without the key's. */
export interface SourceRow {
  /** The row's id. */
  readonly rowId: string;
  /** Columns by number, with their values as merged. */
  readonly cells: readonly (readonly [column: number, value: Value])[];
}

/** The rows of some tables, as they are at one moment of the source. */
export interface SourceRows {
  /** They have everything that was committed up to this commit. */
  readonly seq: number;
  /** They have nothing of a later commit than this one. */
  readonly through: number;
  /** Seqs with the lives in which they were given out: the rows are of the history that has all. */
  readonly places: readonly { readonly life: string; readonly seq: number }[];
  /**
   * Reads the visible rows of a table, page by page, each row once.
   *
   * @param table the table's number
   */
  read(table: number): AsyncIterable<readonly SourceRow[]>;
}

/** Where rows come from. */
export interface RowSource {
  /**
   * Finds the rows of tables.
   *
   * @param tables the tables' numbers
   * @returns undefined when it does not have them, or not yet
   */
  open(tables: readonly number[]): Promise<SourceRows | undefined>;
}

/** What a snapshot is to be made of. */
export interface RowPlan {
  /** The rows. */
  readonly rows: SourceRows;
  /** The head at which the gateway's own index was read for it. */
  readonly headSeq: number;
  /** The last commit by then through which a row left; the rows' seq if none did. */
  readonly goneSeq: number;
  /** The names of all rows that left the bucket or changed in it since: the tail tells them. */
  readonly moved: ReadonlySet<string>;
  /** What all other rows of the bucket come to. */
  readonly sums: BucketSums;
  /** How times and decimals are written, by table. */
  readonly digits: ReadonlyMap<number, Digits>;
}

/** What a plan is made by. */
export interface PlanContext {
  /** The gateway's data. */
  readonly store: Store;
  /** Tells of the past as it is known in a read. */
  readonly past: (view: ReadView) => Promise<Past>;
  /** When more rows have moved, the gateway's own are read. */
  readonly maxMoved: number;
  /** The columns whose values have several texts. */
  readonly columnsOfDigits: ColumnsByTable;
  /** A later turn of the event loop. */
  readonly nextTurn: () => Promise<void>;
}

/** Rows of the index that are read in one turn. */
const PAGE = 250;

/** So many rows are looked at to see how values are written, beside those that moved. */
const SAMPLES = 100;

/**
 * Tells whether the rows of a source can stand for the gateway's own, and with which exceptions.
 *
 * @param rows the rows
 * @param bucket the bucket's number
 * @param placed its family
 * @param context the gateway
 * @returns undefined when they cannot
 * @throws {RulesChanged} when other rules were put in force meanwhile
 */
export async function planRows(
  rows: SourceRows,
  bucket: number,
  { liveSeq = Infinity }: PlacedFamily,
  context: PlanContext,
): Promise<RowPlan | undefined> {
  return await readSnapshot(context.store, async (view) => {
    const { horizonSeq, isOurs } = await context.past(view);
    const { seq, through, places } = rows;
    const headSeq = view.head.seq;
    // What left before the bucket was there, or before the horizon, is on no gone side.
    if (seq < Math.max(1, liveSeq, horizonSeq) || Math.max(seq, through) > headSeq) {
      return undefined;
    }
    if (!places.every((place) => isOurs(place.life, place.seq))) return undefined;
    const [record] = await view.buckets([bucket]);
    if (record === undefined) return undefined;
    const samples = new Samples(context.columnsOfDigits);
    const moved = await readMoved(view, record, seq, { ...context, samples });
    if (moved === undefined) return undefined;
    if (samples.isNeeded) await readSamples(view, bucket, samples);
    const digits = samples.digits();
    return digits && { rows, headSeq, ...moved, digits };
  });
}

/** Looks at the rows that have not changed for longest. */
async function readSamples(view: ReadView, bucket: number, samples: Samples): Promise<void> {
  const after = { seq: 0, tie: "" };
  const { rows } = await view.scan({ bucket, gone: false, after, limit: SAMPLES });
  for (const { table, data } of rows) samples.add(table, readRecord(data).state);
}

/** Reads what has moved in a bucket after a commit; undefined when that is too much. */
async function readMoved(
  view: ReadView,
  { bucket, data }: BucketRecord,
  seq: number,
  { maxMoved, samples, nextTurn }: PlanContext & { readonly samples: Samples },
): Promise<Pick<RowPlan, "moved" | "sums" | "goneSeq"> | undefined> {
  const moved = new Set<string>();
  const sums = new BucketSums(data);
  let goneSeq = seq;
  for (const gone of [true, false]) {
    let after: ScanPosition = { seq: seq + 1, tie: "" };
    for (let complete = false; !complete;) {
      const page = await view.scan({ bucket, gone, after, limit: PAGE });
      for (const row of page.rows) {
        moved.add(rowName(row));
        after = row.position;
        if (gone) {
          goneSeq = row.position.seq;
          continue;
        }
        const { state } = readRecord(row.data);
        samples.add(row.table, state);
        sums.change(row.table, sumsOf(row.rowId, state), undefined);
      }
      if (moved.size > maxMoved) return undefined;
      complete = page.complete || page.rows.length === 0;
      if (!complete) await nextTurn();
    }
  }
  return { moved, sums, goneSeq };
}

/** A source's row as the gateway keeps rows. */
export function stateOf({ cells }: SourceRow): RowState {
  const columns = cells.map(([column]) => column);
  const values = cells.map(([, value]) => value);
  return {
    born: undefined,
    died: undefined,
    cells: [{ hlc: ZERO_HLC, clientId: "", seq: 0, columns, values }],
  };
}

/**
 * Whether rows come to what they are to come to.
 *
 * @param found what was read
 * @param wanted what the gateway has
 * @param columns of the tables that count, the columns that count
 */
export function isSame(
  found: BucketSums,
  wanted: BucketSums,
  columns: ColumnsByTable,
): boolean {
  const [ours, theirs] = [new Map(wanted.tables()), new Map(found.tables())];
  for (const [table, numbers] of columns) {
    const [a, b] = [ours.get(table), theirs.get(table)];
    if ((a?.count ?? 0) !== (b?.count ?? 0) || (a?.rows ?? 0) !== (b?.rows ?? 0)) return false;
    for (const number of numbers) {
      if ((a?.cells.get(number) ?? 0) !== (b?.cells.get(number) ?? 0)) return false;
    }
  }
  return true;
}
