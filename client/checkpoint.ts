/**
 * Receiving pages: they are stored as they came until the checkpoint is complete and then applied
 * at once, behind the chunks that came before them.
 *
 * @module
 */

import { decodePullResult, encodePullResult, type PullResult } from "@lakesync/core";
import { Applier } from "./apply.ts";
import { readDues } from "./buckets.ts";
import { forgetChunks, takeChunks } from "./chunks.ts";
import { coverageOf } from "./coverage.ts";
import type { SqliteConnection } from "./database/driver.ts";
import { readFindings } from "./findings.ts";
import { makePendingAgain } from "./pending_again.ts";
import type { Layout, SyncedTable } from "./layout.ts";
import { purge } from "./purge.ts";
import { lastNumber, readState, type State } from "./state.ts";
import { slicer } from "./timer.ts";

/**
 * Stores a page of a checkpoint that is not complete.
 *
 * @param db the writer, in a transaction
 * @param page the page
 * @param isFirst whether it was pulled without a cursor, so that no chunks came before it
 */
export async function storePage(
  db: SqliteConnection,
  page: PullResult,
  isFirst: boolean,
): Promise<void> {
  if (isFirst) await forgetChunks(db);
  await db.run("INSERT INTO _lakesync_page (bytes) VALUES (?)", [
    encodePullResult(page),
  ]);
  await db.run("UPDATE _lakesync_state SET staged_cursor = ?", [page.cursor]);
}

/** Forgets what is stored of a checkpoint that is not complete. */
export async function forgetStaged(db: SqliteConnection): Promise<void> {
  await forgetChunks(db);
  await forgetPages(db);
}

/** Forgets the stored pages alone: a stream of chunks goes on where it ended. */
export async function forgetPages(db: SqliteConnection): Promise<void> {
  await db.run("DELETE FROM _lakesync_page");
  await db.run("UPDATE _lakesync_state SET staged_cursor = NULL");
}

/** Forgets the cursor and what is stored of the next checkpoint, which replaces the base. */
export async function forgetCheckpoint(db: SqliteConnection): Promise<void> {
  await forgetStaged(db);
  await db.run("UPDATE _lakesync_state SET cursor = NULL, replacing = 1");
}

async function stagedPages(
  db: SqliteConnection,
  apply: (page: PullResult) => Promise<void>,
): Promise<void> {
  let id: unknown = 0;
  while (true) {
    const [row] = await db.values(
      "SELECT id, bytes FROM _lakesync_page WHERE id > ? ORDER BY id LIMIT 1",
      [Number(id)],
    );
    const bytes = row?.[1];
    if (!(bytes instanceof Uint8Array)) return;
    id = row?.[0];
    await apply(decodePullResult(bytes));
  }
}

/** Where the base stands in the outbox, once what the gateway forgot is pending again. */
async function settleCovered(
  db: SqliteConnection,
  layout: Layout,
  state: State,
  lastNumber: number,
  pause: () => Promise<void>,
): Promise<{ before: number; after: number }> {
  const after = Math.min(lastNumber, state.sealedN);
  if (after >= state.coveredN) return { before: state.coveredN, after };
  await makePendingAgain(db, layout, after, state.coveredN, pause);
  return { before: after, after };
}

/** What an applied checkpoint did. */
export interface AppliedCheckpoint {
  /** The tables that changed. */
  readonly touched: ReadonlySet<SyncedTable>;
  /** Whether buckets are to be asked for again. */
  readonly repair: boolean;
  /** Whether and when the base is to be compared with the checksums that were told. */
  readonly verify: "now" | "later" | undefined;
}

/** How a checkpoint is applied. */
export interface ApplyOptions {
  /** Where the database stands, as it was read in this transaction. */
  readonly state: State;
  /** How long accepted transactions are kept, in milliseconds. */
  readonly keepMs: number;
  /** The mutationId through which outcomes were known when its last page was asked for. */
  readonly settledMutationId?: number | undefined;
  /** Computes the chain of a transaction that is here; left out: links are not compared. */
  readonly chainOf?: ((mutationId: number) => Promise<string>) | undefined;
  /** Told how many rows of chunks and stored pages were applied since it was told last. */
  readonly onApplied?: ((rows: number) => void) | undefined;
}

/**
 * Applies the stored chunks, the stored pages and the last one. Runs inside a transaction with
 * capture off.
 *
 * @param db the writer
 * @param layout where columns are kept
 * @param page the last page
 * @param options how
 * @returns what changed, and what is to be done
 * @throws {DamagedChunkError} when a stored chunk cannot be read
 */
export async function applyCheckpoint(
  db: SqliteConnection,
  layout: Layout,
  page: PullResult,
  { state, keepMs, settledMutationId = 0, chainOf, onApplied = () => {} }: ApplyOptions,
): Promise<AppliedCheckpoint> {
  const pause = slicer();
  const found = await readFindings(db, page.lastMutationId, keepMs);
  const coverage = await coverageOf(db, page, state, found, chainOf);
  const { before, after } = await settleCovered(db, layout, state, coverage.number, pause);
  const applier = new Applier(db, layout, {
    coveredBefore: before,
    coveredAfter: after,
    newest: state.n,
    replacing: state.replacing,
    buckets: page.checkpoint?.buckets ?? [],
    anySpecial: found.anyBase || found.newestKept > before,
    chunkedBuckets: found.chunkedBuckets,
    pause,
  });
  await applier.begin();
  if (state.stagedCursor === undefined) {
    if (found.chunkedBuckets !== undefined) await forgetChunks(db);
  } else {
    await takeChunks(db, async (chunk, place) => {
      await applier.chunk(chunk, place);
      onApplied(chunk.changes.length);
    });
    await stagedPages(db, async (staged) => {
      await applier.page(staged);
      onApplied(staged.changes.length);
    });
    await db.run("DELETE FROM _lakesync_page");
  }
  await applier.page(page);
  await applier.end();
  await db.run("UPDATE _lakesync_clock SET hlc = max(hlc, ?), covered_n = ?", [
    page.serverHlc,
    after,
  ]);
  const forgotten = page.lastMutationId < Math.max(state.lastMutationId, settledMutationId);
  await db.run(
    `UPDATE _lakesync_state SET cursor = ?, staged_cursor = NULL, replacing = 0,
      received_hlc = max(?, ?), last_mutation_id = ?, settled_mutation_id = min(settled_mutation_id, ?),
      told_mutation_id = ?, told_chain = ?, doubts = CASE ? WHEN 'yes' THEN doubts + 1 WHEN 'no' THEN 0 ELSE doubts END`,
    [
      page.cursor,
      page.serverHlc,
      // A gateway that was put back may refuse what follows stamps that it has lost.
      state.replacing ? page.serverHlc : state.receivedHlc,
      coverage.mutationId,
      forgotten ? page.lastMutationId : Number.MAX_SAFE_INTEGER,
      page.lastMutationId,
      page.chain ?? "",
      coverage.doubt ?? null,
    ],
  );
  if (found.purgeDue) await purge(db, keepMs);
  const { repair, due, small } = await readDues(db);
  const first = state.replacing || state.cursor === undefined;
  const now = first || small || page.checkpoint?.buckets.some(({ whole }) => whole);
  return { touched: applier.touched, repair, verify: due ? now ? "now" : "later" : undefined };
}

/**
 * Takes out of the overlay what the base has contained since its checkpoint, which only the answer to
 * a push has shown to be this database's. Runs inside a transaction with capture off.
 *
 * @param db the writer
 * @param layout where columns are kept
 * @returns the tables that changed
 */
export async function coverAnswered(
  db: SqliteConnection,
  layout: Layout,
): Promise<ReadonlySet<SyncedTable>> {
  const state = await readState(db);
  const mutationId = Math.min(state.toldMutationId, state.settledMutationId);
  if (mutationId <= state.lastMutationId || state.replacing) return new Set();
  const after = Math.min(await lastNumber(db, mutationId), state.sealedN);
  const applier = new Applier(db, layout, {
    coveredBefore: state.coveredN,
    coveredAfter: after,
    newest: state.n,
    replacing: false,
    buckets: [],
    anySpecial: true,
    pause: slicer(),
  });
  await applier.begin();
  await applier.end();
  await db.run("UPDATE _lakesync_clock SET covered_n = ?", [after]);
  await db.run("UPDATE _lakesync_state SET last_mutation_id = ?", [mutationId]);
  return applier.touched;
}
