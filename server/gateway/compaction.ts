/**
 * Keeps history in bounds, a bounded piece at a time: the log by age and size, kept answers by
 * their expiry, parts of large transactions that never became whole by their age, deleted rows when
 * no write of their time is taken any more.
 *
 * @module
 */

import { LOG_START, type Store } from "../store/store.ts";
import type { Committer } from "./committer.ts";
import { retentionOf } from "./environment.ts";
import { ALL_SLICES } from "./history.ts";
import { purgeTombstones } from "./tombstones.ts";

/** How many entries one piece removes; it bounds how long it keeps the event loop. */
const PIECE = 1_000;

/** The greatest number of pieces of one run; the next run goes on. */
const MAX_PIECES = 100;

/**
 * Removes what is no longer kept; must run alone in the gateway's writer. Log entries that are
 * still needed are removed only when the log is larger than it may be and is to be trimmed then.
 *
 * @param committer the gateway's writer
 * @param neededAfter log entries after this seq are still needed
 */
export async function compact(
  committer: Committer,
  neededAfter: number = Infinity,
): Promise<void> {
  const { store, env } = committer;
  const now = env.now();
  const { logKeepMs, logMaxBytes, logWhenFull, partKeepMs } = retentionOf(env);
  for (let piece = 0; piece < MAX_PIECES; piece++) {
    const [oldest] = await store.readLog(LOG_START, 1);
    if (oldest === undefined) break;
    const { logBytes } = await store.stats();
    const old = oldest.committedMs < now - logKeepMs;
    if (!old && logBytes <= logMaxBytes) break;
    const before = await committer.base();
    const { head } = before;
    const isFull = logBytes > logMaxBytes;
    const unneeded = isFull
      ? Math.min(head.seq, oldest.seq + PIECE)
      : await lastBefore(store, now - logKeepMs, oldest.seq, head.seq);
    const throughSeq = isFull && logWhenFull === "trim"
      ? unneeded
      : Math.min(unneeded, neededAfter);
    if (throughSeq < oldest.seq) break;
    if (throughSeq > before.trimmedSeq) {
      await committer.replaceBook({ ...before, trimmedSeq: throughSeq }, []);
    }
    if ((await store.trimLog(throughSeq, PIECE)) === 0) break;
    await env.nextTurn();
  }
  while ((await store.sweepAnswers(now, PIECE)) === PIECE) await env.nextTurn();
  while ((await store.sweepParts(now - partKeepMs, PIECE)) === PIECE) await env.nextTurn();
  await purgeTombstones(committer);
}

/**
 * Finds the last commit before a time by halving the log, as entries are in the order of time but
 * for jumps of the clock.
 *
 * @param store keeps the log
 * @param beforeMs the time, in milliseconds since 1970
 * @param oldSeq a commit before it that is in the log
 * @param headSeq the last commit
 * @returns its seq
 */
async function lastBefore(
  store: Store,
  beforeMs: number,
  oldSeq: number,
  headSeq: number,
): Promise<number> {
  let old = oldSeq;
  let young = headSeq + 1;
  while (young - old > 1) {
    const middle = Math.floor((old + young) / 2);
    const [entry] = await store.readLog({ seq: middle - 1, slice: ALL_SLICES }, 1);
    if (entry !== undefined && entry.committedMs < beforeMs) old = entry.seq;
    else young = middle;
  }
  return old;
}
