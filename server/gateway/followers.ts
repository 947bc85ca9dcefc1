/**
 * Who is to be told of a commit: the clients that wait for a change of one of its buckets, found by
 * the buckets, so that a commit costs what it concerns and not what is connected.
 *
 * @module
 */

import type { CommitListener } from "./gateway.ts";

/** With more buckets than this a client is asked at each commit, since an entry for each costs more. */
const MAX_INDEXED = 100;

/** A client that is told of commits that may concern it, from its making on. */
export interface Follower {
  /**
   * Says what the client waits for: the ids, within the gateway, of buckets. Until the first time,
   * and where it says that it does not know, every commit may concern it.
   */
  awaits(watched: ReadonlySet<string> | undefined): void;
  /** Ends it. */
  stop(): void;
}

type Commit = Parameters<CommitListener>[0];

interface Entry {
  readonly clientId: string;
  readonly changed: () => void;
  watched: ReadonlySet<string>;
}

const NOTHING: ReadonlySet<string> = new Set();

/** Sets by a key, none of them empty. */
class Index {
  readonly #entries = new Map<string, Set<Entry>>();

  get(key: string): ReadonlySet<Entry> | undefined {
    return this.#entries.get(key);
  }

  add(key: string, entry: Entry): void {
    const entries = this.#entries.get(key);
    if (entries === undefined) this.#entries.set(key, new Set([entry]));
    else entries.add(entry);
  }

  delete(key: string, entry: Entry): void {
    const entries = this.#entries.get(key);
    if (entries?.delete(entry) === true && entries.size === 0) this.#entries.delete(key);
  }
}

function isSame(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && a.isSubsetOf(b);
}

/** The clients of a gateway that follow it. */
export class Followers {
  readonly #all = new Set<Entry>();
  /** Those that do not know what concerns them. */
  readonly #unsure = new Set<Entry>();
  /** Those with many buckets. */
  readonly #wide = new Set<Entry>();
  readonly #byBucket = new Index();
  readonly #byClient = new Index();

  /** How many there are. */
  get size(): number {
    return this.#all.size;
  }

  /**
   * Follows from now on.
   *
   * @param clientId the client; a commit of its own transactions concerns it
   * @param changed told after a commit that may concern it
   */
  follow(clientId: string, changed: () => void): Follower {
    const entry: Entry = { clientId, changed, watched: NOTHING };
    this.#all.add(entry);
    this.#unsure.add(entry);
    this.#byClient.add(clientId, entry);
    return {
      awaits: (watched) => this.#awaits(entry, watched),
      stop: () => {
        this.#all.delete(entry);
        this.#unsure.delete(entry);
        this.#byClient.delete(clientId, entry);
        this.#unwatch(entry);
      },
    };
  }

  /** Tells those whom a commit may concern. */
  tell({ buckets, clientIds, everything }: Commit): void {
    for (const { changed } of everything === true ? [...this.#all] : this.#of(buckets, clientIds)) {
      changed();
    }
  }

  #of(buckets: ReadonlySet<string>, clientIds: ReadonlySet<string>): ReadonlySet<Entry> {
    const concerned = new Set(this.#unsure);
    for (const bucket of buckets) {
      for (const entry of this.#byBucket.get(bucket) ?? []) concerned.add(entry);
    }
    for (const clientId of clientIds) {
      for (const entry of this.#byClient.get(clientId) ?? []) concerned.add(entry);
    }
    for (const entry of this.#wide) {
      if (!entry.watched.isDisjointFrom(buckets)) concerned.add(entry);
    }
    return concerned;
  }

  #awaits(entry: Entry, watched: ReadonlySet<string> | undefined): void {
    if (!this.#all.has(entry)) return;
    if (watched === undefined) {
      this.#unsure.add(entry);
      return;
    }
    this.#unsure.delete(entry);
    if (isSame(entry.watched, watched)) return;
    this.#unwatch(entry);
    entry.watched = watched;
    if (watched.size > MAX_INDEXED) this.#wide.add(entry);
    else for (const bucket of watched) this.#byBucket.add(bucket, entry);
  }

  #unwatch(entry: Entry): void {
    if (!this.#wide.delete(entry)) {
      for (const bucket of entry.watched) this.#byBucket.delete(bucket, entry);
    }
    entry.watched = NOTHING;
  }
}
