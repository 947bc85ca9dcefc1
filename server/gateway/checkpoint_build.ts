/**
 * Reads a bucket for snapshots: all its rows, in pages between which others write or from elsewhere,
 * and what has changed in it since.
 *
 * @module
 */

import type { RowChange, Value } from "@lakesync/core";
import { readSnapshot } from "../store/snapshot.ts";
import type { ScanPosition, Store } from "../store/store.ts";
import { BucketSums, sumsOf } from "./bucket_sums.ts";
import type { Catalog } from "./catalog.ts";
import { type ChunkRows, rowName, writeChunk, writeIndex } from "./checkpoint_chunk.ts";
import { written } from "./checkpoint_forms.ts";
import { isSame, type RowPlan, type SourceRow, stateOf } from "./checkpoint_rows.ts";
import type { CheckpointSettings } from "./checkpoint_settings.ts";
import type { BucketChanges, Snapshot } from "./checkpoint_snapshot.ts";
import { placementsOf, rowReader } from "./placement.ts";
import type { PlacedFamily } from "./rule_book.ts";

/** Rows read at once. */
const PAGE = 1_000;

/** What a build stands on. */
export interface BuildContext {
  /** The gateway's data. */
  readonly store: Store;
  /** The bounds of chunks. */
  readonly settings: CheckpointSettings;
  /** Writes the bucket's rows. */
  readonly rows: ChunkRows;
  /** A later turn of the event loop. */
  readonly nextTurn: () => Promise<void>;
  /** Throws when the build is to end. */
  readonly check: () => void;
}

/** Rows on their way into a chunk. */
interface Draft {
  readonly changes: RowChange[];
  readonly names: string[];
  bytes: number;
}

function newDraft(): Draft {
  return { changes: [], names: [], bytes: 0 };
}

/** Puts rows together to chunks. */
class ChunkDrafts {
  readonly #snapshot: Snapshot;
  readonly #context: BuildContext;
  #draft: Draft = newDraft();

  constructor(snapshot: Snapshot, context: BuildContext) {
    this.#snapshot = snapshot;
    this.#context = context;
  }

  /** Takes a row; `bytes` is about its size. */
  async take(change: RowChange, name: string, bytes: number): Promise<void> {
    const { chunkRows, chunkBytes } = this.#context.settings;
    this.#draft.changes.push(change);
    this.#draft.names.push(name);
    this.#draft.bytes += bytes;
    if (this.#draft.names.length < chunkRows && this.#draft.bytes < chunkBytes) return;
    await this.flush();
  }

  /** Writes what is left. */
  async flush(): Promise<void> {
    const { changes, names } = this.#draft;
    if (names.length === 0) return;
    this.#draft = newDraft();
    const chunk = await writeChunk(changes, this.#context.nextTurn);
    await this.#snapshot.add(chunk, writeIndex(names), names);
  }
}

/**
 * Builds a snapshot: adds chunk after chunk of the rows that were unchanged in the bucket since its
 * seq. What changed after that is behind the place where the scan ends.
 */
export async function buildSnapshot(snapshot: Snapshot, context: BuildContext): Promise<void> {
  const { store, rows, nextTurn, check } = context;
  const { bucket, seq } = snapshot.facts;
  const drafts = new ChunkDrafts(snapshot, context);
  let after: ScanPosition = { seq: 0, tie: "" };
  for (let complete = false; !complete;) {
    check();
    const page = await readSnapshot(store, async (view) => {
      snapshot.readAt(view.head.seq);
      return await view.scan({ bucket, gone: false, after, limit: PAGE });
    });
    complete = page.complete;
    for (const row of page.rows) {
      if (row.position.seq > seq) {
        complete = true;
        break;
      }
      after = row.position;
      const change = rows.change(row);
      if (change === undefined) continue;
      await drafts.take(change, rowName(row), row.data.length);
    }
    await nextTurn();
  }
  await drafts.flush();
}

/** What is read from elsewhere, and by which rules. */
export interface ForeignRows {
  /** What the snapshot is made of. */
  readonly plan: RowPlan;
  /** The newest schema, by which rules are written. */
  readonly catalog: Catalog;
  /** The bucket's family. */
  readonly placed: PlacedFamily;
}

/**
 * Builds a snapshot of rows from elsewhere: of those that are in the bucket and have not moved.
 *
 * @returns whether these are the rows that the gateway has, value for value; if not, the snapshot is
 * to be begun anew
 */
export async function buildFromRows(
  snapshot: Snapshot,
  { plan, catalog, placed }: ForeignRows,
  context: BuildContext,
): Promise<boolean> {
  const { rows, nextTurn, check } = context;
  const { bucketId } = snapshot.facts;
  const drafts = new ChunkDrafts(snapshot, context);
  const columns = rows.columns();
  const sums = new BucketSums("");
  for (const table of columns.keys()) {
    const newest = catalog.tableById(table);
    if (newest === undefined) return false;
    for await (const page of plan.rows.read(table)) {
      check();
      for (const row of page) {
        const key = { table, rowId: row.rowId };
        const name = rowName(key);
        if (plan.moved.has(name)) continue;
        const state = stateOf(written(row, plan.digits.get(table)));
        const reader = rowReader(newest, row.rowId, state);
        const places = placementsOf([placed], newest.table.name, reader);
        if (!places.some(({ id }) => id === bucketId)) continue;
        sums.change(table, undefined, sumsOf(row.rowId, state));
        const change = rows.changeOf(key, state);
        if (change !== undefined) await drafts.take(change, name, weightOf(row));
      }
      await nextTurn();
    }
  }
  await drafts.flush();
  return isSame(sums, plan.sums, columns);
}

/** About the size that a row would have in the store. */
function weightOf({ rowId, cells }: SourceRow): number {
  const weight = (value: Value): number => {
    if (typeof value === "string" || value instanceof Uint8Array) return value.length;
    return typeof value === "object" ? JSON.stringify(value).length : 8;
  };
  return cells.reduce((sum, [, value]) => sum + weight(value), rowId.length);
}

/**
 * Reads which rows left a bucket after a commit, and how many changed.
 *
 * @param store the gateway's data
 * @param bucket the bucket's number
 * @param after the commit
 * @param enough how many need be counted at most
 */
export async function readChanges(
  store: Store,
  bucket: number,
  after: number,
  enough: number,
): Promise<BucketChanges> {
  return await readSnapshot(store, async (view) => {
    const gone: string[] = [];
    let goneSeq = 0;
    let count = 0;
    for (const side of [true, false]) {
      let from: ScanPosition = { seq: after + 1, tie: "" };
      while (side || count < enough) {
        const limit = side ? PAGE : Math.min(PAGE, enough - count);
        const page = await view.scan({ bucket, gone: side, after: from, limit });
        count += page.rows.length;
        for (const row of page.rows) {
          if (side) gone.push(rowName(row));
          from = row.position;
        }
        if (side) goneSeq = Math.max(goneSeq, page.rows.at(-1)?.position.seq ?? 0);
        if (page.complete || page.rows.length === 0) break;
      }
    }
    return { through: view.head.seq, gone, goneSeq, count };
  });
}
