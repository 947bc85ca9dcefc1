/**
 * What holds between a client and those that a copy of its database became, however often the gateway
 * goes back to an older copy of its own data:
 *
 * - where a forked name is known, its history is: the name before has the transaction after which it
 *   was forked;
 * - nothing is known under two names: what a forked name begins with is not in the name before.
 *
 * By the two, one transaction of an app is in the log once, under whichever names it comes.
 *
 * @module
 */

import {
  forkedClientId,
  LakeSyncError,
  type Origin,
  type PushRequest,
  type TextHash,
  type Transaction,
} from "@lakesync/core";
import type { ClientRecord, Store } from "../store/store.ts";
import { checkOwner, forked, newClient } from "./clients.ts";
import { readOlderLinks } from "./links.ts";

/** What looking at other clients needs. */
export interface ForkContext {
  /** Where links are. */
  readonly store: Pick<Store, "readMeta">;
  /** Reads clients as they are now. */
  readonly read: (clientIds: readonly string[]) => Promise<readonly (ClientRecord | undefined)[]>;
  /** How to hash. */
  readonly hash: TextHash;
}

/**
 * Holds the first push under a forked name to the history it goes on from.
 *
 * @param context where clients are
 * @param client the client that pushes
 * @param request the push
 * @returns the name before, to be marked as forked with the same commit or an earlier one; undefined
 * when there is nothing to be marked
 * @throws {LakeSyncError} `CLIENT_FORKED` with `clientId` when the client is to go back to the name
 * before; `CLIENT_NOT_YOURS`, `VALIDATION_ERROR`
 */
export async function checkOrigin(
  { store, read, hash }: ForkContext,
  { clientId, sub, lastMutationId }: ClientRecord,
  { origin, transactions }: PushRequest,
): Promise<ClientRecord | undefined> {
  if (origin === undefined || lastMutationId > 0) return undefined;
  if (transactions[0]?.mutationId !== 1) return undefined;
  if (forkedClientId(origin.clientId, origin.next, hash) !== clientId) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "The clientId is not the one that its origin leads to, leave the origin out",
    );
  }
  const [known] = await read([origin.clientId]);
  checkOwner(known, sub);
  const before = known ?? newClient(origin.clientId, sub);
  const last = await linkOf(store, before, origin.mutationId);
  const next = await linkOf(store, before, origin.mutationId + 1);
  const lacks = origin.mutationId > before.lastMutationId ||
    (last !== undefined && !origin.chain.startsWith(last));
  if (lacks || (next !== undefined && origin.next.startsWith(next))) throw goBack(origin);
  return before.forked === true ? undefined : { ...before, forked: true };
}

function goBack({ clientId, mutationId }: Origin): LakeSyncError {
  return new LakeSyncError(
    "CLIENT_FORKED",
    "The gateway lacks what this goes on from, or has it already; go back to the name before",
    { lastMutationId: 0, mutationId, clientId },
  );
}

async function linkOf(
  store: ForkContext["store"],
  client: ClientRecord,
  mutationId: number,
): Promise<string | undefined> {
  if (mutationId === 0) return "";
  const recent = client.chain.find((link) => link.mutationId === mutationId)?.hash;
  if (recent !== undefined || mutationId > client.lastMutationId) return recent;
  const asked: Transaction = { mutationId, deltas: [], chain: "" };
  return (await readOlderLinks(store, client, [asked])).get(mutationId)?.hash;
}

/**
 * Holds new transactions to what is known under the names that were forked from this one.
 *
 * @param context where clients are
 * @param client the client that pushes
 * @param transactions its transactions
 * @throws {LakeSyncError} `CLIENT_FORKED` when one of them is the first under a forked name
 */
export async function checkForks(
  { read, hash }: ForkContext,
  client: ClientRecord,
  transactions: readonly Transaction[],
): Promise<void> {
  if (client.forked !== true) return;
  const fresh = transactions.filter(({ mutationId }) => mutationId > client.lastMutationId);
  const names = fresh.map(({ chain = "" }) => forkedClientId(client.clientId, chain, hash));
  for (const [i, fork] of (await read(names)).entries()) {
    if (fork === undefined || fork.lastMutationId === 0) continue;
    throw forked(client, fresh[i]?.mutationId ?? 0);
  }
}
