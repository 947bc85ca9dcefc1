/**
 * Giving transactions new stamps or new numbers, where the gateway asks for it.
 *
 * @module
 */

import { forgetChains } from "./batch.ts";
import { NOW_MS } from "./capture.ts";
import { forgetPages } from "./checkpoint.ts";
import type { SqliteConnection } from "./database/driver.ts";
import type { HashFactory } from "./hash.ts";
import { makePendingAgain } from "./pending_again.ts";
import type { Layout } from "./layout.ts";
import { lastNumber, readState } from "./state.ts";
import { slicer } from "./timer.ts";

/** How many changes are stamped in one go. */
const STEP = 20_000;
/** Far beyond any number that is in use; keeps old and new ones apart while they change. */
const APART = 2 ** 45;

/**
 * Gives new stamps to everything after a transaction, in order, from the clock as it is set now.
 * Runs inside a transaction.
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
    `SELECT max(received_hlc, coalesce((SELECT hlc FROM _lakesync_outbox WHERE n <= ?
       ORDER BY n DESC LIMIT 1), 0)) + 1, ${NOW_MS} << 16
     FROM _lakesync_state, _lakesync_clock`,
    [kept],
  );
  const [floor, now] = (row ?? [0, 0]).map((cell) => BigInt(String(cell)));
  const start = (floor ?? 0n) > (now ?? 0n) ? floor ?? 0n : now ?? 0n;
  const pause = slicer();
  for (let from = kept + 1; from <= newest; from += STEP) {
    await db.run(
      "UPDATE _lakesync_outbox SET hlc = ? + (n - ?) WHERE n BETWEEN ? AND ?",
      [start, kept + 1, from, Math.min(from + STEP - 1, newest)],
    );
    await pause();
  }
  await db.run("UPDATE _lakesync_clock SET hlc = ?", [
    start + BigInt(Math.max(0, newest - kept)) - 1n,
  ]);
  await forgetChains(db, mutationId);
}

/**
 * The clientId under which a database goes on that has parted from its own. It is a function of what
 * is sent again, so that all copies with the same pending transactions go on under the same name, and
 * the gateway knows what the second one sends for a repetition.
 *
 * @param clientId the name before
 * @param chain the link, under that name, of the first transaction that is sent again
 * @param hash begins hashes
 * @returns a name in the form of a UUID of version 8
 */
export function forkedClientId(clientId: string, chain: string, hash: HashFactory): string {
  const running = hash();
  running.update(`lakesync fork\n${clientId}\n${chain}`);
  const hex = running.hex();
  const variant = "89ab"[Number.parseInt(hex.charAt(16), 16) % 4];
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
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
 * through it from 0 down, so that the next checkpoint, whatever it says, contains them. Runs
 * inside a transaction with capture off.
 *
 * @param db the writer
 * @param layout where columns are kept
 * @param lastCommon the last transaction that the gateway and this database have in common
 * @param clientId the new name
 */
export async function forkAfter(
  db: SqliteConnection,
  layout: Layout,
  lastCommon: number,
  clientId: string,
): Promise<void> {
  const state = await readState(db);
  const covered = Math.min(
    state.coveredN,
    await lastNumber(db, lastCommon),
  );
  if (covered < state.coveredN) {
    await makePendingAgain(db, layout, covered, state.coveredN, slicer());
  }
  await db.run("UPDATE _lakesync_clock SET covered_n = ?", [covered]);
  await db.run("UPDATE _lakesync_tx SET mutation_id = mutation_id - ?", [
    lastCommon + APART,
  ]);
  await db.run(
    "UPDATE _lakesync_tx SET mutation_id = mutation_id + ?, chain = NULL",
    [APART],
  );
  await db.run(
    `UPDATE _lakesync_state SET client_id = ?1, highest_mutation_id = max(0, highest_mutation_id - ?2),
      last_mutation_id = min(last_mutation_id, ?2) - ?2, settled_mutation_id = 0,
      refusals_seen = 0`,
    [clientId, lastCommon],
  );
  await forgetPages(db);
}
