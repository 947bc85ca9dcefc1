/**
 * Sealing: what was captured since the last time becomes one transaction with the next
 * mutationId.
 *
 * @module
 */

import { NOW_MS } from "./capture.ts";
import type { SqliteConnection } from "./database/driver.ts";

const SEAL = `
INSERT INTO _lakesync_tx (mutation_id, first_n, last_n, bytes, sealed_ms)
SELECT highest_mutation_id + 1, sealed_n + 1, n, bytes, ${NOW_MS}
FROM _lakesync_clock, _lakesync_state WHERE n > sealed_n`;

/**
 * Seals what was captured. Runs inside a transaction.
 *
 * @param db the writer
 * @returns whether there was anything
 */
export async function seal(db: SqliteConnection): Promise<boolean> {
  const { changes } = await db.run(SEAL);
  if (changes === 0) return false;
  await db.run("UPDATE _lakesync_clock SET sealed_n = n, bytes = 0");
  await db.run(
    "UPDATE _lakesync_state SET highest_mutation_id = highest_mutation_id + 1",
  );
  return true;
}

/** Whether something was captured that is not sealed. */
export async function isUnsealed(db: SqliteConnection): Promise<boolean> {
  const [row] = await db.values(
    "SELECT n > sealed_n FROM _lakesync_clock",
  );
  return row?.[0] === 1;
}
