/**
 * Giving transactions new stamps or new numbers, where the gateway asks for it.
 *
 * @module
 */

import type { Origin } from "@lakesync/core";
import { NOW_MS } from "./capture.ts";
import { forgetPages } from "./checkpoint.ts";
import type { SqliteConnection } from "./database/driver.ts";
import { makePendingAgain } from "./pending_again.ts";
import type { Layout } from "./layout.ts";
import { lastNumber, readState } from "./state.ts";
import { slicer } from "./timer.ts";

/** How many changes are stamped in one go. */
const STEP = 20_000;
/** Far beyond any number that is in use; keeps old and new ones apart while they change. */
const APART = 2 ** 45;
/** How many names before this one are remembered. */
const MAX_ORIGINS = 32;

/**
 * Gives new stamps to everything after a transaction, in order, from the clock as it is set now. The
 * stamps that changes were written with are kept beside them: links of the chain are taken over those,
 * so they stay as they are. What comes before was consumed, and the answer that said so told a stamp
 * that is not less than any by which the gateway has it; a copy of this database may have sent it under
 * other stamps than it has here. Runs inside a transaction.
 *
 * @param db the writer
 * @param mutationId the first transaction to get new stamps
 */
export async function restampFrom(
  db: SqliteConnection,
  mutationId: number,
): Promise<void> {
  const { n: newest } = await readState(db);
  const kept = await lastNumber(db, mutationId - 1);
  const [row] = await db.values(
    `SELECT received_hlc + 1, ${NOW_MS} << 16 FROM _lakesync_state, _lakesync_clock`,
  );
  const [floor, now] = (row ?? [0, 0]).map((cell) => BigInt(String(cell)));
  const start = (floor ?? 0n) > (now ?? 0n) ? floor ?? 0n : now ?? 0n;
  const pause = slicer();
  for (let from = kept + 1; from <= newest; from += STEP) {
    await db.run(
      `UPDATE _lakesync_outbox SET written = coalesce(written, hlc), hlc = ? + (n - ?)
       WHERE n BETWEEN ? AND ?`,
      [start, kept + 1, from, Math.min(from + STEP - 1, newest)],
    );
    await pause();
  }
  await db.run("UPDATE _lakesync_clock SET hlc = ?", [
    start + BigInt(Math.max(0, newest - kept)) - 1n,
  ]);
}

/**
 * The last transaction that cannot be sent again, since some of it was purged.
 *
 * @param db any connection
 * @returns its mutationId; 0 when everything is kept
 */
export async function lastPurged(db: SqliteConnection): Promise<number> {
  const [row] = await db.values(
    `SELECT max(mutation_id) FROM _lakesync_tx
     WHERE first_n <= (SELECT purged_n FROM _lakesync_state)`,
  );
  return Math.max(0, Number(row?.[0] ?? 0));
}

/**
 * Goes on under a new clientId: transactions after the last common one are numbered from 1, those
 * through it from 0 down, so that the next checkpoint, whatever it says, contains them. Those keep
 * their links, for the way back. Runs inside a transaction with capture off.
 *
 * @param db the writer
 * @param layout where columns are kept
 * @param lastCommon the last transaction that the gateway and this database have in common
 * @param clientId the new name
 * @param origins the names before it
 */
export async function forkAfter(
  db: SqliteConnection,
  layout: Layout,
  lastCommon: number,
  clientId: string,
  origins: readonly Origin[],
): Promise<void> {
  await coverAtMost(db, layout, lastCommon);
  await db.run("UPDATE _lakesync_tx SET mutation_id = mutation_id - ?", [
    lastCommon + APART,
  ]);
  await db.run(
    `UPDATE _lakesync_tx SET mutation_id = mutation_id + ?1,
      chain = CASE WHEN mutation_id + ?1 > 0 THEN NULL ELSE chain END`,
    [APART],
  );
  await db.run(
    `UPDATE _lakesync_state SET client_id = ?1, highest_mutation_id = max(0, highest_mutation_id - ?2),
      last_mutation_id = min(last_mutation_id, ?2) - ?2, settled_mutation_id = 0,
      refusals_seen = 0, told_mutation_id = 0, told_chain = '', doubts = 0, origins = ?3`,
    [clientId, lastCommon, JSON.stringify(origins.slice(-MAX_ORIGINS))],
  );
  await forgetPages(db);
}

/**
 * Goes back to the name before the last fork, with everything that has happened since under numbers of
 * that name. Runs inside a transaction with capture off.
 *
 * @param db the writer
 * @param layout where columns are kept
 * @param clientId the name
 * @returns whether it was the name before, and everything since is kept
 */
export async function goBackTo(
  db: SqliteConnection,
  layout: Layout,
  clientId: string,
): Promise<boolean> {
  const { origins } = await readState(db);
  const origin = origins.at(-1);
  if (origin?.clientId !== clientId || await lastPurged(db) > 0) return false;
  const { mutationId } = origin;
  await coverAtMost(db, layout, 0);
  await db.run("UPDATE _lakesync_tx SET mutation_id = mutation_id + ?", [mutationId + APART]);
  await db.run(
    `UPDATE _lakesync_tx SET mutation_id = mutation_id - ?1,
      chain = CASE WHEN mutation_id - ?1 > ?2 THEN NULL ELSE chain END`,
    [APART, mutationId],
  );
  await db.run(
    `UPDATE _lakesync_state SET client_id = ?1, highest_mutation_id = highest_mutation_id + ?2,
      last_mutation_id = min(last_mutation_id, 0) + ?2, settled_mutation_id = ?2,
      refusals_seen = 0, told_mutation_id = 0, told_chain = '', doubts = 0, origins = ?3`,
    [clientId, mutationId, JSON.stringify(origins.slice(0, -1))],
  );
  await forgetPages(db);
  return true;
}

/** Makes pending again what the base contains of transactions after one. */
async function coverAtMost(
  db: SqliteConnection,
  layout: Layout,
  mutationId: number,
): Promise<void> {
  const { coveredN } = await readState(db);
  const covered = Math.min(coveredN, await lastNumber(db, mutationId));
  if (covered < coveredN) await makePendingAgain(db, layout, covered, coveredN, slicer());
  await db.run("UPDATE _lakesync_clock SET covered_n = ?", [covered]);
}
