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
  let isSure = true;
  while (low + 1 < high) {
    const middle = Math.floor((low + high) / 2);
    const chain = (await replica.chains(middle, middle)).get(middle);
    // What is no longer kept here was accepted, and cannot be given back.
    const isCommon = chain === undefined ? true : await isKnown(repeat, middle, chain);
    if (isCommon === false) {
      high = middle;
      continue;
    }
    low = middle;
    isSure = isCommon !== undefined;
  }
  // Where the gateway no longer has the link, it has what it accepted.
  return isSure ? low : Math.min(low, settledMutationId);
}

/** Whether the gateway has a transaction; undefined when it no longer has the link. */
async function isKnown(
  repeat: PartingContext["repeat"],
  mutationId: number,
  chain: string,
): Promise<boolean | undefined> {
  try {
    await repeat({ mutationId, deltas: [], chain });
    return true;
  } catch (error) {
    if (!(error instanceof LakeSyncError)) throw error;
    if (error.code === "MUTATION_GAP") return false;
    if (error.code !== "CLIENT_FORKED") throw error;
    const { lastMutationId = 0, links = [] } = error.details;
    const differs = links.some((link) => link.mutationId === mutationId);
    return differs || mutationId > lastMutationId ? false : undefined;
  }
}
