/**
 * Forgets rows that were deleted so long ago that no write of that time is taken any more. All rows
 * are walked, a piece at a time, whenever history is compacted.
 *
 * @module
 */

import { hlcMs, isVisible } from "@lakesync/core";
import type { RowWrite, StoredRow } from "../store/store.ts";
import type { Base } from "./base.ts";
import type { Committer } from "./committer.ts";
import { retentionOf } from "./environment.ts";
import { entryOf } from "./placement.ts";
import { readRecord } from "./record.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/** Rows looked at in one piece. */
const PIECE = 500;

/** Pieces of one run; the next run goes on. */
const MAX_PIECES = 20;

/** The last commit of the days before a time, by the marks of each day. */
function seqBefore(marks: Base["marks"], beforeMs: number): number {
  return marks.filter(([ms]) => ms < beforeMs).at(-1)?.[1] ?? 0;
}

/**
 * Removes the keys of rows deleted before the days that are kept; must run alone in the gateway's
 * writer. A client that has not pulled since then starts anew.
 *
 * @param committer the gateway's writer
 */
export async function purgeTombstones(committer: Committer): Promise<void> {
  const { env } = committer;
  const staleMs = env.now() - retentionOf(env).tombstoneDays * DAY_MS;
  const { marks, horizonSeq } = await committer.base();
  const horizon = seqBefore(marks, staleMs);
  if (horizon === 0) return;
  if (horizon > horizonSeq) {
    await committer.replaceBook({ ...(await committer.base()), horizonSeq: horizon }, []);
  }
  for (let piece = 0; piece < MAX_PIECES; piece++) {
    const before = await committer.base();
    const page = await committer.store.scanRows({ after: before.purged, limit: PIECE });
    const rows = page.rows.flatMap((row) => purged(row, before.horizonSeq, staleMs) ?? []);
    const position = page.complete ? "" : page.rows.at(-1)?.position ?? "";
    await committer.replaceBook({ ...before, purged: position }, rows);
    if (page.complete) return;
    await env.nextTurn();
  }
}

function purged(row: StoredRow, horizonSeq: number, staleMs: number): RowWrite | undefined {
  const { state, memberships } = readRecord(row.data);
  const { died, cells, merged } = state;
  if (isVisible(state) || died === undefined || hlcMs(died.hlc) >= staleMs) return undefined;
  if (cells.length > 0 || (merged?.length ?? 0) > 0) return undefined;
  if (memberships.some(({ seq }) => seq > horizonSeq)) return undefined;
  const { table, rowId, ref } = row;
  return { table, rowId, data: undefined, ref, drop: memberships.map(entryOf), add: [] };
}
