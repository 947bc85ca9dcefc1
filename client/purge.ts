/**
 * Accepted transactions are kept for some days, in case the gateway loses them, and then purged
 * a little with each checkpoint.
 *
 * @module
 */

import { NOW_MS } from "./capture.ts";
import type { SqliteConnection } from "./database/driver.ts";
import { sweepDeadLetters } from "./refusals.ts";

/** How many changes are purged in one go. */
const STEP = 2_000;
/** How many transactions are looked at, from the oldest on. */
const TRANSACTIONS = 100;

/** As SQL: whether the oldest transaction is older than a parameter says, in milliseconds. */
export const PURGE_DUE: string = `SELECT t.sealed_ms < ${NOW_MS} - ?
  FROM _lakesync_tx t, _lakesync_clock
  WHERE t.last_n > (SELECT purged_n FROM _lakesync_state) ORDER BY t.mutation_id LIMIT 1`;

/**
 * Purges some of what is old, accepted, and contained in the base. The last purged transaction's
 * row stays, for its chain and as the place where the outbox begins. Runs inside a transaction.
 *
 * @param db the writer
 * @param keepMs how long accepted transactions are kept, in milliseconds
 */
export async function purge(
  db: SqliteConnection,
  keepMs: number,
): Promise<void> {
  const [last] = await db.values(
    `SELECT t.mutation_id, t.last_n FROM
      (SELECT * FROM _lakesync_tx
       WHERE last_n > (SELECT purged_n FROM _lakesync_state)
       ORDER BY mutation_id LIMIT ${TRANSACTIONS}) t, _lakesync_state s, _lakesync_clock
     WHERE t.mutation_id <= min(s.settled_mutation_id, s.last_mutation_id)
       AND t.sealed_ms < ${NOW_MS} - ?
     ORDER BY t.mutation_id DESC LIMIT 1`,
    [keepMs],
  );
  if (last === undefined) return;
  const [mutationId, through] = last.map(Number);
  const { changes } = await db.run(
    `DELETE FROM _lakesync_outbox WHERE n IN
      (SELECT n FROM _lakesync_outbox WHERE n <= ? ORDER BY n LIMIT ${STEP})`,
    [through ?? 0],
  );
  const [first] = await db.values("SELECT min(n) FROM _lakesync_outbox");
  const next = Number(first?.[0] ?? Infinity);
  const purged = changes < STEP ? through ?? 0 : Math.min(next - 1, through ?? 0);
  await db.run("UPDATE _lakesync_state SET purged_n = max(purged_n, ?)", [
    purged,
  ]);
  await db.run(
    "DELETE FROM _lakesync_tx WHERE last_n <= ? AND mutation_id < ?",
    [purged, mutationId ?? 0],
  );
  await sweepDeadLetters(db);
}
