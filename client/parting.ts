/**
 * Finds where this database and another one under the same clientId have parted: the last transaction
 * that is the gateway's too. What comes after it is this database's own, whatever was accepted: a
 * gateway that was put back may hold another copy's transactions under numbers that it had accepted
 * from here.
 *
 * @module
 */

import { type ErrorDetails, LakeSyncError, type Transaction } from "@lakesync/core";
import type { Replica } from "./replica.ts";

/** What finding it works with. */
export interface PartingContext {
  /** The local database. */
  readonly replica: Pick<Replica, "chains">;
  /** Repeats a transaction, without its changes, which the gateway answers by its chain alone. */
  readonly repeat: (transaction: Transaction) => Promise<unknown>;
}

/**
 * Finds the last common transaction. The links that the gateway told nearly always suffice; where the
 * parting lies before them, transactions are repeated, at most 2 × log2 of all.
 *
 * @param context the database and the gateway
 * @param details what the gateway told with `CLIENT_FORKED`
 * @param settledMutationId the transaction through which outcomes are known
 * @returns its mutationId; 0 when nothing is common
 */
export async function lastCommon(
  { replica, repeat }: PartingContext,
  { mutationId, links = [] }: ErrorDetails,
  settledMutationId: number,
): Promise<number> {
  let high = mutationId ?? settledMutationId + 1;
  let low = 0;
  const [first] = links;
  if (first === undefined) return high - 1;
  const own = await replica.chains(first.mutationId, high - 1);
  for (const { mutationId, hash } of links) {
    const chain = own.get(mutationId);
    if (chain === undefined || mutationId >= high) continue;
    if (chain.startsWith(hash)) low = mutationId;
    else high = mutationId;
  }
  while (low + 1 < high) {
    const middle = Math.floor((low + high) / 2);
    const chain = (await replica.chains(middle, middle)).get(middle);
    // What is no longer kept was accepted, and cannot be given back.
    if (chain === undefined || await isKnown(repeat, middle, chain)) low = middle;
    else high = middle;
  }
  return low;
}

async function isKnown(
  repeat: PartingContext["repeat"],
  mutationId: number,
  chain: string,
): Promise<boolean> {
  try {
    await repeat({ mutationId, deltas: [], chain });
    return true;
  } catch (error) {
    if (!(error instanceof LakeSyncError)) throw error;
    if (error.code !== "CLIENT_FORKED" && error.code !== "MUTATION_GAP") throw error;
    return false;
  }
}
