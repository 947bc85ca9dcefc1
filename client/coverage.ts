/**
 * Which of this database's transactions a checkpoint contains. It says how many of the clientId's it
 * contains, and the chain of the last one: where a copy of this database goes on under the same
 * clientId, or the gateway was put back to a time when one did, some of them are the other's.
 *
 * @module
 */

import type { PullResult } from "@lakesync/core";
import type { SqliteConnection } from "./database/driver.ts";
import type { Findings } from "./findings.ts";
import { lastNumber, type State } from "./state.ts";

/** What a checkpoint contains. */
export interface Coverage {
  /** The last of this database's transactions that is known to be in it. */
  readonly mutationId: number;
  /** The outbox number at which that one ends. */
  readonly number: number;
  /**
   * Whether the gateway is to be asked for what it accepted: `yes` when it counts transactions that
   * are not this database's, `no` when it has all that it counts, undefined when that is not known.
   */
  readonly doubt: "yes" | "no" | undefined;
}

/**
 * Finds out what a checkpoint contains.
 *
 * @param db the writer, in a transaction
 * @param page the last page
 * @param state where the database stands
 * @param found what is here
 * @param chainOf computes the chain of a transaction that is here and was never read for sending
 */
export async function coverageOf(
  db: SqliteConnection,
  { lastMutationId, chain }: PullResult,
  { settledMutationId, highestMutationId, toldChain }: State,
  found: Findings,
  chainOf: ((mutationId: number) => Promise<string>) | undefined,
): Promise<Coverage> {
  const told = { mutationId: lastMutationId, number: found.lastNumber, doubt: undefined };
  if (chain === undefined || chainOf === undefined) return told;
  if (!found.isThere && lastMutationId <= highestMutationId) return told;
  const own = found.isThere ? found.chain ?? await chainOf(lastMutationId) : undefined;
  if (own === chain) return { ...told, doubt: "no" };
  const mutationId = Math.min(settledMutationId, lastMutationId - (own === undefined ? 0 : 1));
  // What was told before has been asked about.
  const doubt = chain === toldChain ? undefined : "yes";
  return { mutationId, number: await lastNumber(db, mutationId), doubt };
}
