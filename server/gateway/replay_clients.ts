/**
 * Clients while a log is replayed. The log has what was accepted of each; what was refused, to whom
 * a client belongs and the links of its chain are read from the data that the log is of.
 *
 * @module
 */

import {
  beginChain,
  type Delta,
  LakeSyncError,
  type RunningChain,
  type TextHash,
  type Transaction,
} from "@lakesync/core";
import type { ClientRecord, LogEntry, Store, StoredLink } from "../store/store.ts";
import { chainedIdsOf, consume, newClient, previousChain } from "./clients.ts";
import { readOlderLinks } from "./links.ts";

/** The data that a log is of, at a moment after all that is replayed. */
export interface ReplaySource extends Pick<Store, "readClients" | "readMeta" | "readLog"> {
  /** The names of all clients. */
  clientIds(): Promise<readonly string[]>;
}

/** The length of a chain that was not cut. */
const WHOLE_DIGITS = 64;

/** Clients read at once. */
const PAGE = 500;

/** A transaction of the log, on its way. */
export interface Consuming {
  /** The client with everything before it. */
  readonly client: ClientRecord;
  /** The transaction. */
  readonly mutationId: number;
  /** Its chain so far; undefined when the client sends none, or it is not known. */
  readonly chain: RunningChain | undefined;
}

/** Takes changes into the chain of a transaction, where there is one. */
export function extendChain(
  { client, chain }: Consuming,
  deltas: readonly Delta[],
  hash: TextHash,
): void {
  if (chain === undefined) return;
  for (const id of chainedIdsOf(client.clientId, deltas, hash) ?? []) chain.add(id);
}

/** Clients as a replay leaves them. */
export class ReplayedClients {
  readonly #source: ReplaySource;
  readonly #store: Pick<Store, "readClients">;
  readonly #hash: TextHash;

  /**
   * @param source the data that the log is of
   * @param store the data it is replayed onto
   * @param hash how to hash
   */
  constructor(source: ReplaySource, store: Pick<Store, "readClients">, hash: TextHash) {
    this.#source = source;
    this.#store = store;
    this.#hash = hash;
  }

  /**
   * Reads clients as they are before a part of the log.
   *
   * @param ids whose
   * @returns them by name
   */
  async load(ids: readonly string[]): Promise<Map<string, ClientRecord>> {
    const known = await this.#store.readClients(ids);
    const later = await this.#source.readClients(ids);
    const clients = new Map<string, ClientRecord>();
    for (const [i, id] of ids.entries()) {
      const { sub, forked } = later[i] ?? {};
      if (sub === undefined) {
        throw new LakeSyncError(
          "VALIDATION_ERROR",
          "The log has a client that its data do not know, they are damaged or of another gateway",
        );
      }
      const client = known[i] ?? newClient(id, sub);
      clients.set(id, forked === undefined ? client : { ...client, forked });
    }
    return clients;
  }

  /** A client's link in the data of the log. */
  async #link(
    later: ClientRecord | undefined,
    mutationId: number,
  ): Promise<StoredLink | undefined> {
    if (later === undefined) return undefined;
    const recent = later.chain.find((link) => link.mutationId === mutationId);
    if (recent !== undefined) return recent;
    const asked: Transaction = { mutationId, deltas: [], chain: "" };
    return (await readOlderLinks(this.#source, later, [asked])).get(mutationId);
  }

  /**
   * Begins a transaction of the log: what the client sent before it and is not in the log was
   * refused.
   */
  async begin(
    client: ClientRecord,
    { clientId, mutationId }: Pick<LogEntry, "clientId" | "mutationId">,
  ): Promise<Consuming> {
    const [later] = await this.#source.readClients([clientId]);
    let before = client;
    while (before.lastMutationId < mutationId - 1) {
      before = refused(before, await this.#link(later, before.lastMutationId + 1), later);
    }
    const previous = previousChain(before);
    const link = await this.#link(later, mutationId);
    const hasChain = link !== undefined || isForgotten(later, mutationId);
    const chain = hasChain && previous !== undefined ? beginChain(previous) : undefined;
    return { client: before, mutationId, chain };
  }

  /** The client after a transaction whose changes were all taken in. */
  end({ client, mutationId, chain }: Consuming, committedMs: number): ClientRecord {
    const link = chain === undefined ? {} : { chain: chain.end() };
    return {
      ...consume(client, { mutationId, deltas: [], ...link }, undefined),
      seenMs: committedMs,
    };
  }

  /**
   * What clients had sent by a time and was refused, after all of theirs that is in the log, and
   * which of them were forked.
   *
   * @param untilMs the time, in milliseconds since 1970
   * @returns the clients that are others then, some at a time
   */
  async *refusedUntil(untilMs: number): AsyncGenerator<readonly ClientRecord[]> {
    const ids = await this.#source.clientIds();
    for (let from = 0; from < ids.length; from += PAGE) {
      const page = ids.slice(from, from + PAGE);
      const later = await this.#source.readClients(page);
      const known = await this.#store.readClients(page);
      const changed: ClientRecord[] = [];
      for (const [i, before] of [...(await this.load(page)).values()].entries()) {
        const client = await this.#refusedUntil(before, later[i], untilMs);
        if (client.lastMutationId > 0 && !isSame(client, known[i])) changed.push(client);
      }
      if (changed.length > 0) yield changed;
    }
  }

  async #refusedUntil(
    before: ClientRecord,
    later: ClientRecord | undefined,
    untilMs: number,
  ): Promise<ClientRecord> {
    let client = before;
    while (client.lastMutationId < (later?.lastMutationId ?? 0)) {
      const link = await this.#link(later, client.lastMutationId + 1);
      const { refused: code, refusedMs = 0 } = link ?? {};
      if (code === undefined || refusedMs === 0 || refusedMs > untilMs) break;
      client = refused(client, link, later);
    }
    return client;
  }
}

/** Whether a client is as it was; also one that sent nothing may be the name before a fork. */
function isSame(client: ClientRecord, known: ClientRecord | undefined): boolean {
  return client.lastMutationId === known?.lastMutationId && client.forked === known.forked;
}

/** Whether a link of a client that sends them may be older than those that are kept. */
function isForgotten(later: ClientRecord | undefined, mutationId: number): boolean {
  return mutationId < (later?.chain[0]?.mutationId ?? 0);
}

/** The client after a transaction that was refused, as far as its link tells. */
function refused(
  client: ClientRecord,
  link: StoredLink | undefined,
  later: ClientRecord | undefined,
): ClientRecord {
  const mutationId = client.lastMutationId + 1;
  const isWhole = link?.hash.length === WHOLE_DIGITS;
  const known = later?.refusals.find((refusal) => refusal.mutationId === mutationId);
  const code = link?.refused ?? known?.code ?? "VALIDATION_ERROR";
  const transaction = { mutationId, deltas: [], ...(isWhole ? { chain: link.hash } : {}) };
  const rejection = known ?? { mutationId, code, message: "", delta: 0 };
  const after = consume(client, transaction, rejection, link?.refusedMs ?? 0);
  return known === undefined ? { ...after, refusals: client.refusals } : after;
}
