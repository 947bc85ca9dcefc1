/**
 * The older links of a client's chain. The client's own record holds the recent ones, since it is
 * written with every push; those before them go, a page of links at a time, into a ring of small
 * records, and are read when a client repeats what is that old: a copy of a database that was put
 * back, or one that was offline while another went on.
 *
 * @module
 */

import type { RejectionCode, Transaction } from "@lakesync/core";
import type { ClientRecord, CommitBatch, Store, StoredLink } from "../store/store.ts";

/** How many links a client's own record holds at least, once there are so many. */
export const RECENT_LINKS = 64;

/** How many links a page holds. */
const PAGE_LINKS = 16;

/** How many pages the ring holds; then the oldest one is written over. */
const RING_PAGES = 128;

/** Links by mutationId. */
export type Links = ReadonlyMap<number, StoredLink>;

/** A link as a page has it: the transaction, its chain, and why it was refused. */
type PagedLink = readonly [
  mutationId: number,
  hash: string,
  refused?: RejectionCode,
  refusedMs?: number,
];

const NONE: Links = new Map();

function pageOf(mutationId: number): number {
  return Math.floor(mutationId / PAGE_LINKS);
}

function nameOf(clientId: string, page: number): string {
  return `links ${clientId} ${page % RING_PAGES}`;
}

/** A client, and the pages that went out of its record. */
export interface Paged {
  /** The record without them. */
  readonly client: ClientRecord;
  /** The pages, to be written in the same commit. */
  readonly pages: NonNullable<CommitBatch["meta"]>;
}

/**
 * Takes the pages out of a client's record that lie before its recent links.
 *
 * @param client the client, about to be written
 * @returns the client to write, and the pages to write with it
 */
export function takePages(client: ClientRecord): Paged {
  const { clientId, chain } = client;
  const kept = pageOf(client.lastMutationId + 1 - RECENT_LINKS);
  const from = chain.findIndex(({ mutationId }) => pageOf(mutationId) >= kept);
  if (from <= 0) return { client, pages: [] };
  const byPage = Map.groupBy(chain.slice(0, from), ({ mutationId }) => pageOf(mutationId));
  const pages = [...byPage].slice(-RING_PAGES).map(([page, links]) =>
    [
      nameOf(clientId, page),
      JSON.stringify(
        links.map(({ mutationId, hash, refused, refusedMs = 0 }): PagedLink =>
          refused === undefined ? [mutationId, hash] : [mutationId, hash, refused, refusedMs]
        ),
      ),
    ] as const
  );
  return { client: { ...client, chain: chain.slice(from) }, pages };
}

/**
 * Reads the links of what a push repeats from before the recent ones.
 *
 * @param store where the pages are
 * @param client the client
 * @param transactions the push
 * @returns the links that are still there
 */
export async function readOlderLinks(
  store: Pick<Store, "readMeta">,
  { clientId, chain }: ClientRecord,
  transactions: readonly Transaction[],
): Promise<Links> {
  const oldest = chain[0]?.mutationId ?? 0;
  const wanted = new Set<number>();
  for (const { mutationId, chain } of transactions) {
    if (chain !== undefined && mutationId < oldest) wanted.add(pageOf(mutationId));
  }
  if (wanted.size === 0) return NONE;
  const links = new Map<number, StoredLink>();
  for (const page of wanted) {
    const text = await store.readMeta(nameOf(clientId, page));
    const stored: readonly PagedLink[] = JSON.parse(text ?? "[]");
    for (const [mutationId, hash, refused, refusedMs = 0] of stored) {
      const refusal = refused === undefined ? {} : { refused, refusedMs };
      links.set(mutationId, { mutationId, hash, ...refusal });
    }
  }
  return links;
}
