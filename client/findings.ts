/**
 * What a checkpoint finds in the sidecar tables, read at once: for a checkpoint of few rows each
 * question costs as much as a row.
 *
 * @module
 */

import type { SqliteConnection } from "./database/driver.ts";
import { LAST_NUMBER } from "./state.ts";
import { PURGE_DUE } from "./purge.ts";

/** What is here before a checkpoint is applied. */
export interface Findings {
  /** The last outbox number of the transactions that the checkpoint contains. */
  readonly lastNumber: number;
  /** Whether the last of these transactions is here. */
  readonly isThere: boolean;
  /** Its chain, once it was computed. */
  readonly chain: string | undefined;
  /** How many buckets the stored chunks are of; undefined: no stream was begun, and there are none. */
  readonly chunkedBuckets: number | undefined;
  /** The greatest number that is in the outbox. */
  readonly newestKept: number;
  /** Whether the base of any row is kept aside. */
  readonly anyBase: boolean;
  /** Whether something is old enough to be purged. */
  readonly purgeDue: boolean;
}

/**
 * Reads it.
 *
 * @param db the writer, in a transaction
 * @param lastMutationId the last transaction that the checkpoint contains
 * @param keepMs how long accepted transactions are kept, in milliseconds
 */
export async function readFindings(
  db: SqliteConnection,
  lastMutationId: number,
  keepMs: number,
): Promise<Findings> {
  const [row = []] = await db.values(
    `SELECT (${LAST_NUMBER}), (SELECT coalesce(chain, '') FROM _lakesync_tx WHERE mutation_id = ?1),
      (SELECT buckets FROM _lakesync_stream),
      (SELECT max(n) FROM _lakesync_outbox), EXISTS (SELECT 1 FROM _lakesync_base), (${PURGE_DUE})`,
    [lastMutationId, keepMs],
  );
  const [lastNumber, chain, chunked, newest, base, due] = row;
  return {
    lastNumber: Number(lastNumber ?? 0),
    isThere: typeof chain === "string",
    chain: typeof chain === "string" && chain !== "" ? chain : undefined,
    chunkedBuckets: typeof chunked === "number" ? chunked : undefined,
    newestKept: Number(newest ?? 0),
    anyBase: base === 1,
    purgeDue: due === 1,
  };
}
