/**
 * Reads a bucket for snapshots: all its rows, in pages between which others write, and what has
 * changed in it since.
 *
 * @module
 */

import type { RowChange } from "@lakesync/core";
import { readSnapshot } from "../store/snapshot.ts";
import type { ScanPosition, Store } from "../store/store.ts";
import { type ChunkRows, rowName, writeChunk, writeIndex } from "./checkpoint_chunk.ts";
import type { CheckpointSettings } from "./checkpoint_settings.ts";
import type { BucketChanges, Snapshot } from "./checkpoint_snapshot.ts";

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

/**
 * Builds a snapshot: adds chunk after chunk of the rows that were unchanged in the bucket since its
 * seq. What changed after that is behind the place where the scan ends.
 */
export async function buildSnapshot(snapshot: Snapshot, context: BuildContext): Promise<void> {
  const { store, settings, rows, nextTurn, check } = context;
  const { bucket, seq } = snapshot.facts;
  const flush = async ({ changes, names }: Draft) => {
    const chunk = await writeChunk(changes, nextTurn);
    await snapshot.add(chunk, writeIndex(names), names);
  };
  let draft = newDraft();
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
      draft.changes.push(change);
      draft.names.push(rowName(row));
      draft.bytes += row.data.length;
      if (draft.names.length < settings.chunkRows && draft.bytes < settings.chunkBytes) continue;
      await flush(draft);
      draft = newDraft();
    }
    await nextTurn();
  }
  if (draft.names.length > 0) await flush(draft);
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
