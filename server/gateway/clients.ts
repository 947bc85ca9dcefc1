/**
 * What a push does to the client's own record: ownership, the order of its transactions, the chain
 * of its hashes and its refusals. Pure functions over the record.
 *
 * @module
 */

import {
  chainedIdOf,
  chainOf,
  type Delta,
  LakeSyncError,
  type PushRequest,
  type Rejection,
  type TextHash,
  type Transaction,
} from "@lakesync/core";
import type { ClientRecord, StoredLink } from "../store/store.ts";
import { type Links, RECENT_LINKS } from "./links.ts";

/** All links but the last, and those of refusals, are kept cut to so many hex digits. */
const KEPT_DIGITS = 16;

/** How many refusals wait for the client to say that it has seen them. */
const MAX_REFUSALS = 1_000;

/** A client that has not pushed yet. */
export function newClient(clientId: string, sub: string): ClientRecord {
  return {
    clientId,
    sub,
    lastMutationId: 0,
    refusals: [],
    chain: [],
    orphans: 0,
    seenMs: 0,
  };
}

/**
 * Holds a client to its owner.
 *
 * @throws {LakeSyncError} `CLIENT_NOT_YOURS`
 */
export function checkOwner(
  client: ClientRecord | undefined,
  sub: string,
): void {
  if (client !== undefined && client.sub !== sub) {
    throw new LakeSyncError(
      "CLIENT_NOT_YOURS",
      "This clientId belongs to another user, use one of your own",
    );
  }
}

/**
 * Holds the transactions of a push to their order.
 *
 * @throws {LakeSyncError} `MUTATION_GAP`, or `RATE_LIMITED` when too many refusals wait to be seen
 */
export function checkOrder(
  client: ClientRecord,
  transactions: readonly Transaction[],
): void {
  let last = client.lastMutationId;
  for (const { mutationId, part, parts } of transactions) {
    if (mutationId > last + 1) throw gap(client.lastMutationId);
    if (part === undefined || part === parts) last = Math.max(last, mutationId);
  }
  if (client.refusals.length > MAX_REFUSALS) {
    throw new LakeSyncError(
      "RATE_LIMITED",
      `More than ${MAX_REFUSALS} refusals wait to be seen, send refusalsSeen`,
      { retryAfterSeconds: 1 },
    );
  }
}

/** The error of a push that leaves something out. */
export function gap(lastMutationId: number): LakeSyncError {
  return new LakeSyncError(
    "MUTATION_GAP",
    `The last transaction consumed is ${lastMutationId}, send the next one after it`,
    { lastMutationId },
  );
}

/** What is said of a refusal whose message is forgotten. */
const SEEN_BEFORE = "Refused, as this client was told before";

const NO_LINKS: Links = new Map();

/** How many links a client that forked is told. */
const MAX_TOLD = 256;

/**
 * The error of a client whose history is not the gateway's.
 *
 * @param client the client as it is stored
 * @param mutationId where its history leaves the gateway's, or later
 * @param older links from before those of the record
 */
export function forked(
  client: ClientRecord,
  mutationId: number,
  older: Links = NO_LINKS,
): LakeSyncError {
  const links = [...older.values(), ...client.chain]
    .map(({ mutationId, hash }) => ({ mutationId, hash: hash.slice(0, KEPT_DIGITS) }))
    .sort((a, b) => a.mutationId - b.mutationId)
    .slice(-MAX_TOLD);
  return new LakeSyncError(
    "CLIENT_FORKED",
    "Another device goes on under this clientId, go on under a new one",
    { lastMutationId: client.lastMutationId, mutationId, links },
  );
}

/**
 * Holds repeated transactions to the chain they had.
 *
 * @param client the client
 * @param transaction the repeated transaction
 * @param older links from before those of the client's record
 * @throws {LakeSyncError} `CLIENT_FORKED`
 */
export function checkRepeatedChain(
  client: ClientRecord,
  { mutationId, chain }: Transaction,
  older: Links,
): void {
  if (chain === undefined || client.chain.length === 0) return;
  const kept = linkOf(client, mutationId, older)?.hash;
  const full = client.chain.length >= RECENT_LINKS;
  const tooOld = full && mutationId < (client.chain[0]?.mutationId ?? 0);
  if (kept === undefined ? tooOld : !chain.startsWith(kept)) {
    throw forked(client, mutationId, older);
  }
}

function linkOf(client: ClientRecord, mutationId: number, older: Links): StoredLink | undefined {
  return client.chain.find((link) => link.mutationId === mutationId) ?? older.get(mutationId);
}

/** What stands for deltas in a chain; undefined when one lacks the stamp that it is taken over. */
export function chainedIdsOf(
  clientId: string,
  deltas: readonly Delta[],
  hash: TextHash,
): readonly string[] | undefined {
  const ids: string[] = [];
  for (const delta of deltas) {
    const id = chainedIdOf(clientId, delta, hash);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}

/**
 * The link before a new transaction's.
 *
 * @returns the chain, "" before the first transaction, or undefined when it is not known
 */
export function previousChain(client: ClientRecord): string | undefined {
  if (client.lastMutationId === 0) return "";
  const last = client.chain.at(-1);
  return last?.mutationId === client.lastMutationId ? last.hash : undefined;
}

/**
 * Holds a new transaction's chain to what it must be.
 *
 * @param expected the chain by the gateway's reckoning; undefined when it cannot be known
 * @throws {LakeSyncError} `CLIENT_FORKED`
 */
export function checkNextChain(
  client: ClientRecord,
  { mutationId, chain }: Transaction,
  expected: string | undefined,
): void {
  if (chain !== undefined && expected !== undefined && chain !== expected) {
    throw forked(client, mutationId);
  }
}

/**
 * The chain after a transaction by the gateway's reckoning; undefined when it cannot be known. One
 * that was refused comes without its changes when a gateway that forgot it is given it again, and
 * keeps its link, so that it stays the same transaction to one that knows it with them.
 */
export function expectedChain(
  client: ClientRecord,
  { chain, deltas, refused }: Transaction,
  hash: TextHash,
): string | undefined {
  const previous = chain === undefined ? undefined : previousChain(client);
  if (previous === undefined) return undefined;
  if (deltas.length === 0 && refused?.previous === previous) return chain;
  const ids = chainedIdsOf(client.clientId, deltas, hash);
  return ids === undefined ? undefined : chainOf(previous, ids, hash);
}

/** The client after a transaction was consumed, refused at a time in milliseconds since 1970. */
export function consume(
  client: ClientRecord,
  { mutationId, chain }: Transaction,
  rejection: Rejection | undefined,
  refusedMs: number = 0,
): ClientRecord {
  return {
    ...client,
    lastMutationId: mutationId,
    chain: chain === undefined ? [] : nextChain(client.chain, {
      mutationId,
      hash: chain,
      ...(rejection === undefined ? {} : { refused: rejection.code, refusedMs }),
    }),
    refusals: rejection === undefined ? client.refusals : [...client.refusals, rejection],
  };
}

function nextChain(links: readonly StoredLink[], next: StoredLink): readonly StoredLink[] {
  const last = links.at(-1);
  if (last === undefined) return [next];
  // The log does not have what was refused, so who replays it needs its link whole.
  const kept = last.refused === undefined
    ? { ...last, hash: last.hash.slice(0, KEPT_DIGITS) }
    : last;
  return [...links.slice(0, -1), kept, next];
}

/** The client after it said which refusals it has seen. */
export function forgetSeen(
  client: ClientRecord,
  refusalsSeen: number | undefined,
): ClientRecord {
  if (
    refusalsSeen === undefined ||
    !client.refusals.some(({ mutationId }) => mutationId <= refusalsSeen)
  ) {
    return client;
  }
  return {
    ...client,
    refusals: client.refusals.filter(({ mutationId }) => mutationId > refusalsSeen),
  };
}

/**
 * The refusals of the transactions a push holds, first sent now or before. A copy of the client's
 * database, or one that was put back, is told of those too that the client has said it has seen: who
 * has seen one sends it as refused. The highest one seen does not tell, since what comes before that
 * may have been accepted then, and refused when a gateway that was put back was given it again.
 */
export function refusalsOf(
  client: ClientRecord,
  { transactions, refusalsSeen = 0 }: PushRequest,
  older: Links = NO_LINKS,
): readonly Rejection[] {
  const refusals: Rejection[] = [];
  for (const { mutationId, refused } of transactions) {
    const code = linkOf(client, mutationId, older)?.refused;
    const known = client.refusals.find((refusal) => refusal.mutationId === mutationId);
    if (known !== undefined) refusals.push(known);
    else if (code !== undefined && (refused === undefined || mutationId > refusalsSeen)) {
      refusals.push({ mutationId, code, message: SEEN_BEFORE, delta: 0 });
    }
  }
  return refusals;
}
