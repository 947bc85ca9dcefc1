/**
 * Replays a log onto an older copy of the same history: by the same merge, under the same schemas
 * and rules, with the same commit numbers. What becomes of each change is held to what the log says
 * became of it then, so a replay is exact or it fails.
 *
 * @module
 */

import type { ClientRecord, LargeCommit, LogEntry, Store } from "../store/store.ts";
import { type Base, baseWrites, markDay } from "./base.ts";
import { seen } from "./census.ts";
import { Committer } from "./committer.ts";
import type { Edit } from "./edits.ts";
import type { GatewayEnvironment } from "./environment.ts";
import { takePages } from "./links.ts";
import { buildRules } from "./rebuild.ts";
import {
  type Consuming,
  extendChain,
  ReplayedClients,
  type ReplaySource,
} from "./replay_clients.ts";
import { greatest, inexact, readEntry, ReplayCommit, type ReplayedEntry } from "./replay_entry.ts";

/** What one commit touches that changes no bucket that anyone reads yet. */
const NOBODY = { buckets: new Set<string>(), clientIds: new Set<string>() };

/** A log that is being replayed onto a store. */
export class Replay {
  readonly #committer: Committer;
  readonly #clients: ReplayedClients;
  readonly #clock: { ms: number };

  private constructor(committer: Committer, clients: ReplayedClients, clock: { ms: number }) {
    this.#committer = committer;
    this.#clients = clients;
    this.#clock = clock;
  }

  /**
   * Begins a replay.
   *
   * @param store the older copy, which nobody else has open
   * @param source the data that the log is of
   * @param env hashing, turns of the event loop and chance; the time is that of the log
   */
  static async begin(
    store: Store,
    source: ReplaySource,
    env: GatewayEnvironment,
  ): Promise<Replay> {
    const clock = { ms: 0 };
    const own: GatewayEnvironment = { ...env, now: () => clock.ms };
    const committer = await Committer.open(store, own, () => {});
    return new Replay(committer, new ReplayedClients(source, store, env.hash), clock);
  }

  get #store(): Store {
    return this.#committer.store;
  }

  /** Puts a schema or rules, as they came into force then. */
  async edit(edit: Edit): Promise<void> {
    const { kind, seq, ms, spec } = edit;
    this.#clock.ms = ms;
    const committer = this.#committer;
    const { head, catalog } = await committer.base();
    if (kind === "schema") {
      await this.#pass(seq);
      await committer.putSchema(spec, true);
      return;
    }
    if (head.seq >= seq || catalog === undefined) {
      throw inexact(seq, "the commit before it is not there");
    }
    await this.#pass(seq - 1);
    if (await committer.putAgain(edit)) await buildRules(committer);
    if ((await committer.base()).head.seq !== seq) {
      throw inexact(seq, "its rules came into force with another commit");
    }
  }

  /** Goes on to a commit that brought nothing to the log, as the beginning of an epoch does. */
  async #pass(seq: number): Promise<void> {
    const before = await this.#committer.base();
    if (before.head.seq >= seq) return;
    const after: Base = { ...before, head: { ...before.head, seq } };
    await this.#committer.guarded(() =>
      this.#store.commit({
        expectedSeq: before.head.seq,
        head: after.head,
        ...baseWrites(before, after),
      })
    );
    this.#committer.published(after, NOBODY, before);
  }

  /** Commits transactions together that were committed whole, each in one entry. */
  async transactions(entries: readonly LogEntry[]): Promise<void> {
    const last = entries.at(-1);
    if (last === undefined) return;
    const { before, catalog, book } = await this.#before(last);
    const replayed = entries.map((entry) => readEntry(catalog, entry));
    const touched = new ReplayCommit(this.#committer, catalog, book, before);
    await touched.load(replayed, (keys) => this.#store.readRows(keys));
    const clients = await this.#clients.load([...new Set(entries.map(({ clientId }) => clientId))]);
    for (const one of replayed) {
      const { entry } = one;
      const client = clients.get(entry.clientId);
      if (client === undefined) throw new Error("A client was not taken in");
      if (entry.mutationId <= client.lastMutationId) {
        throw inexact(entry.seq, "its transaction is in the copy already");
      }
      const consuming = await this.#clients.begin(client, entry);
      await touched.merge(one);
      this.#extend(consuming, one);
      clients.set(entry.clientId, this.#clients.end(consuming, entry.committedMs));
    }
    const rows = await touched.working.takeRows((names) => this.#committer.readBuckets(names));
    const after = this.#after(before, touched, replayed);
    const { records, pages } = await this.#paged(clients, touched.working.orphans);
    const writes = baseWrites(before, after);
    await this.#committer.guarded(() =>
      this.#store.commit({
        expectedSeq: before.head.seq,
        head: after.head,
        rows,
        buckets: touched.ledger.writes(),
        log: entries,
        clients: records,
        ...writes,
        meta: [...writes.meta ?? [], ...pages],
      })
    );
    touched.lookups.committed(touched.ledger);
    this.#committer.published(after, NOBODY, before);
  }

  /**
   * Commits a transaction that was committed in slices. Each has the time when it was written; the
   * last one's is that of the commit.
   *
   * @param first its first slice
   * @param rest the others, in order
   * @param untilMs when it must have been committed, in milliseconds since 1970
   * @returns when it was committed; undefined when that was later, and nothing was done
   */
  async sliced(
    first: LogEntry,
    rest: AsyncIterable<LogEntry>,
    untilMs: number,
  ): Promise<number | undefined> {
    const large = await this.#store.beginLarge();
    try {
      const committedMs = await this.#sliced(large, first, rest, untilMs);
      if (committedMs === undefined) await large.abort();
      return committedMs;
    } catch (error) {
      await large.abort();
      throw error;
    }
  }

  async #sliced(
    large: LargeCommit,
    first: LogEntry,
    rest: AsyncIterable<LogEntry>,
    untilMs: number,
  ): Promise<number | undefined> {
    const { before, catalog, book } = await this.#before(first);
    const touched = new ReplayCommit(this.#committer, catalog, book, before);
    const { clientId, mutationId } = first;
    const clients = await this.#clients.load([clientId]);
    const client = clients.get(clientId);
    if (client === undefined) throw new Error("A client was not taken in");
    const consuming = await this.#clients.begin(client, first);
    let { hlc } = before.head;
    let last = first;
    let version = 0;
    for await (const entry of prefixed(first, rest)) {
      const one = readEntry(catalog, entry);
      await touched.load([one], (keys) => large.readRows(keys));
      await touched.merge(one);
      this.#extend(consuming, one);
      hlc = greatest(hlc, [one]);
      version = one.version;
      last = entry;
      const rows = await touched.working.takeRows((names) => this.#store.readBuckets(names));
      await large.write({ rows, log: [entry] });
      touched.ledger.rest();
      await this.#committer.env.nextTurn();
    }
    if (last.committedMs > untilMs) return undefined;
    clients.set(clientId, this.#clients.end(consuming, last.committedMs));
    const after = {
      ...this.#after(before, touched, [{ entry: last, version, deltas: [], claims: undefined }]),
      head: { ...before.head, seq: first.seq, hlc },
    };
    const { records, pages } = await this.#paged(clients, touched.working.orphans);
    const writes = baseWrites(before, after);
    await this.#committer.guarded(() =>
      large.commit({
        expectedSeq: before.head.seq,
        head: after.head,
        clients: records,
        dropParts: [{ clientId, mutationId }],
        buckets: touched.ledger.writes(),
        ...writes,
        meta: [...writes.meta ?? [], ...pages],
      })
    );
    touched.lookups.committed(touched.ledger);
    this.#committer.published(after, NOBODY, before);
    return last.committedMs;
  }

  /**
   * Takes in what was refused after what is in the log.
   *
   * @param untilMs until when, in milliseconds since 1970
   */
  async refused(untilMs: number): Promise<void> {
    for await (const clients of this.#clients.refusedUntil(untilMs)) {
      const paged = clients.map(takePages);
      await this.#committer.note(await this.#committer.base(), {
        clients: paged.map(({ client }) => client),
        meta: paged.flatMap(({ pages }) => pages),
      });
    }
  }

  async #before({ seq, committedMs }: LogEntry) {
    this.#clock.ms = committedMs;
    const before = await this.#committer.base();
    const { catalog, book } = before;
    if (catalog === undefined || book === undefined) {
      throw inexact(seq, "there is no schema before it");
    }
    return { before, catalog, book };
  }

  #extend(consuming: Consuming, { deltas }: ReplayedEntry): void {
    extendChain(consuming, deltas.map(({ delta }) => delta), this.#committer.env.hash);
  }

  /** The gateway's own records after a commit. */
  #after(
    before: Base,
    { ledger, working }: ReplayCommit,
    replayed: readonly ReplayedEntry[],
  ): Base {
    let { census, marks } = before;
    let { seq } = before.head;
    for (const { entry, version } of replayed) {
      census = seen(census, version, entry.committedMs);
      marks = markDay({ ...before, marks, head: { ...before.head, seq } }, entry.committedMs);
      seq = entry.seq;
    }
    const hlc = greatest(before.head.hlc, replayed);
    return {
      ...before,
      head: { ...before.head, seq, hlc },
      nextBucket: ledger.next,
      counts: working.counts,
      census,
      marks,
    };
  }

  /** Clients as they are written, with how many rows of theirs wait for an INSERT. */
  async #paged(clients: Map<string, ClientRecord>, orphans: ReadonlyMap<string, number>) {
    const others = [...orphans.keys()].filter((id) => !clients.has(id));
    for (const other of await this.#store.readClients(others)) {
      if (other !== undefined) clients.set(other.clientId, other);
    }
    const paged = [...clients.values()].map((client) =>
      takePages({
        ...client,
        orphans: Math.max(0, client.orphans + (orphans.get(client.clientId) ?? 0)),
      })
    );
    return {
      records: paged.map(({ client }) => client),
      pages: paged.flatMap(({ pages }) => pages),
    };
  }
}

async function* prefixed<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield first;
  yield* rest;
}
