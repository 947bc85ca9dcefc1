/**
 * One large transaction on its way into the store: written in slices that nobody sees before the
 * last one, with turns of the event loop between them.
 *
 * @module
 */

import {
  beginChain,
  decodeDeltas,
  type Delta,
  LakeSyncError,
  type Rejection,
  type RunningChain,
  type Transaction,
} from "@lakesync/core";
import type { ClientRecord, LargeCommit, RowKey, StagedSummary, Writes } from "../store/store.ts";
import { type Base, baseWrites, markDay } from "./base.ts";
import { chainedIdsOf, checkNextChain, consume, previousChain } from "./clients.ts";
import type { Catalog } from "./catalog.ts";
import type { Committer, PushJob } from "./committer.ts";
import type { RuleBook } from "./rule_book.ts";
import { limitsOf } from "./environment.ts";
import { judge, type JudgeContext } from "./judge.ts";
import { withLookups, writtenVersion } from "./group.ts";
import { BucketLedger } from "./ledger.ts";
import { takePages } from "./links.ts";
import { writeLogPayload } from "./log.ts";
import { Lookups } from "./lookups.ts";
import { CommitTally } from "./observer.ts";
import { GROUP_WEIGHT, weightOf } from "./weight.ts";
import { keyText, WorkingSet } from "./working.ts";
import { WriteGuard } from "./write_guard.ts";

/** Cuts deltas into slices. */
export async function* slices(
  deltas: readonly Delta[],
): AsyncGenerator<readonly Delta[]> {
  let from = 0;
  let weight = 0;
  for (const [at, delta] of deltas.entries()) {
    const own = weightOf(delta);
    if (at > from && weight + own > GROUP_WEIGHT) {
      yield await Promise.resolve(deltas.slice(from, at));
      from = at;
      weight = 0;
    }
    weight += own;
  }
  if (from < deltas.length) yield await Promise.resolve(deltas.slice(from));
}

/** Reads the parts of a transaction, in slices. */
export async function* stagedSlices(
  { store }: Committer,
  clientId: string,
  mutationId: number,
  { present }: StagedSummary,
): AsyncGenerator<readonly Delta[]> {
  for (const part of present) {
    const staged = await store.readPart(clientId, mutationId, part);
    if (staged === undefined) throw new Error("A staged part is gone");
    yield* slices(decodeDeltas(staged.payload));
  }
}

/**
 * What judging a push of this gateway needs.
 *
 * @throws {LakeSyncError} `SCHEMA_ERROR` when there is no schema yet
 */
export function judgeContext(committer: Committer, { request }: PushJob): JudgeContext {
  const { catalog, clock, env } = committer;
  if (catalog === undefined) {
    throw new LakeSyncError(
      "SCHEMA_ERROR",
      "The gateway has no schema yet, put one at /v1/admin/schema",
    );
  }
  return { catalog, clock, env, clientId: request.clientId, schemaVersion: request.schemaVersion };
}

/** The schema and the rules that a commit goes by. */
function rulesOf({ catalog, book }: Base): { catalog: Catalog; book: RuleBook } {
  if (catalog === undefined || book === undefined) {
    throw new Error("A commit was begun without a schema");
  }
  return { catalog, book };
}

/** Consumes a transaction as refused. */
export async function refuse(
  committer: Committer,
  client: ClientRecord,
  transaction: Transaction,
  rejection: Rejection,
): Promise<ClientRecord> {
  const before = await committer.base();
  const { client: after, pages } = takePages({
    ...consume(client, transaction, rejection, committer.env.now()),
    seenMs: committer.env.now(),
  });
  const { clientId } = client;
  const tally = new CommitTally();
  tally.reject(rejection.code);
  await committer.note(before, {
    clients: [after],
    meta: pages,
    dropParts: [{ clientId, mutationId: transaction.mutationId }],
  }, { buckets: new Set(), clientIds: new Set([clientId]) });
  committer.env.observer?.committed(tally);
  return after;
}

/** Commits a large transaction in slices; gives the client as it is then. */
export async function commitLarge(
  committer: Committer,
  job: PushJob,
  client: ClientRecord,
  transaction: Transaction,
  source: AsyncIterable<readonly Delta[]>,
): Promise<ClientRecord> {
  const before = await committer.base();
  const large = await committer.store.beginLarge();
  try {
    const commit = new LargeTransaction(
      committer,
      job,
      client,
      transaction,
      before,
      large,
    );
    for await (const deltas of source) {
      const rejection = await commit.slice(deltas);
      if (rejection !== undefined) {
        await large.abort();
        return await refuse(committer, client, transaction, rejection);
      }
      await committer.env.nextTurn();
    }
    return await commit.publish();
  } catch (error) {
    await large.abort();
    throw error;
  }
}

/** One large transaction on its way. */
class LargeTransaction {
  readonly #ledger: BucketLedger;
  readonly #lookups: Lookups;
  readonly #guard: WriteGuard;
  readonly #working: WorkingSet;
  readonly #chain: RunningChain | undefined;
  readonly #seq: number;
  readonly #version: number;
  readonly #tally = new CommitTally();
  #deltas = 0;
  #slice = 0;

  constructor(
    readonly committer: Committer,
    readonly job: PushJob,
    readonly client: ClientRecord,
    readonly transaction: Transaction,
    readonly before: Base,
    readonly large: LargeCommit,
  ) {
    const { catalog, book } = rulesOf(before);
    this.#version = writtenVersion(catalog, job.request.schemaVersion);
    this.#ledger = new BucketLedger(book, before.nextBucket);
    this.#lookups = new Lookups(book, catalog, committer.lookups);
    this.#guard = new WriteGuard(job.caller, this.#lookups);
    this.#working = new WorkingSet(
      this.#ledger,
      this.#lookups,
      before.counts,
      before.horizonSeq,
    );
    this.#seq = before.head.seq + 1;
    const previous = transaction.chain === undefined ? undefined : previousChain(client);
    this.#chain = previous === undefined ? undefined : beginChain(previous);
  }

  /** Adds a slice; gives a refusal when it cannot be. */
  async slice(deltas: readonly Delta[]): Promise<Rejection | undefined> {
    const { committer, client, transaction } = this;
    const { clientId } = client;
    const { mutationId } = transaction;
    const { env } = committer;
    const judged = judge(judgeContext(committer, this.job), {
      mutationId,
      deltas,
    }, this.#deltas);
    if ("stop" in judged) {
      throw new LakeSyncError("BACKPRESSURE", judged.stop.message, {
        retryAfterSeconds: 1,
      });
    }
    if ("rejection" in judged) return judged.rejection;
    const keys = new Map<string, RowKey>();
    for (const { compiled, delta } of judged.deltas) {
      if (this.#ledger.book.active.modeOf(compiled.table.table.name) === "upload-only") continue;
      const key = { table: compiled.table.id, rowId: delta.rowId };
      keys.set(keyText(key), key);
    }
    const list = [...keys.values()];
    this.#working.load(list, await this.large.readRows(list));
    const maxOrphans = limitsOf(env).maxOrphanRows - client.orphans;
    const writer = { clientId, maxOrphans, guard: this.#guard };
    const applied = await withLookups(
      committer,
      this.#lookups,
      () => this.#working.apply(writer, mutationId, judged.deltas, this.#seq, this.#deltas),
    );
    if ("rejection" in applied) return applied.rejection;
    const stamped = judged.deltas.map(({ delta }) => delta);
    if (this.#chain !== undefined) {
      for (const id of chainedIdsOf(clientId, stamped, env.hash) ?? []) this.#chain.add(id);
    }
    const payload = writeLogPayload(this.#version, stamped, applied.outcomes);
    const entry = {
      seq: this.#seq,
      slice: this.#slice++,
      clientId,
      mutationId,
      payload,
    };
    this.#deltas += deltas.length;
    this.#tally.apply(judged.deltas, applied.outcomes);
    const writes: Writes = {
      rows: await this.#working.takeRows((names) => committer.store.readBuckets(names)),
      log: [{ ...entry, committedMs: env.now() }],
    };
    await this.large.write(writes);
    this.#ledger.rest();
    return undefined;
  }

  /** Makes all slices visible in one durable step. */
  async publish(): Promise<ClientRecord> {
    const { committer, before, transaction } = this;
    const { env, clock } = committer;
    checkNextChain(this.client, transaction, this.#chain?.end());
    const orphans = this.#working.orphans;
    const after: Base = {
      ...before,
      head: { ...before.head, seq: this.#seq, hlc: clock.last.toString() },
      nextBucket: this.#ledger.next,
      counts: this.#working.counts,
      marks: markDay(before, env.now()),
      lives: committer.livesAfter(before),
    };
    const { client, pages } = takePages({
      ...consume(this.client, transaction, undefined),
      orphans: Math.max(
        0,
        this.client.orphans + (orphans.get(this.client.clientId) ?? 0),
      ),
      seenMs: env.now(),
    });
    const others = [...orphans.keys()].filter((clientId) => clientId !== client.clientId);
    const touched = (await committer.store.readClients(others)).flatMap((
      other,
    ) =>
      other === undefined ? [] : [{
        ...other,
        orphans: Math.max(
          0,
          other.orphans + (orphans.get(other.clientId) ?? 0),
        ),
      }]
    );
    const writes = baseWrites(before, after);
    await committer.guarded(() =>
      this.large.commit({
        expectedSeq: before.head.seq,
        head: after.head,
        clients: [client, ...touched],
        dropParts: [{
          clientId: client.clientId,
          mutationId: transaction.mutationId,
        }],
        buckets: this.#ledger.writes(),
        ...writes,
        meta: [...writes.meta ?? [], ...pages],
      })
    );
    this.#lookups.committed(this.#ledger);
    committer.published(after, {
      buckets: new Set(this.#ledger.changed()),
      clientIds: new Set([client.clientId]),
    }, before);
    env.observer?.committed(this.#tally);
    return client;
  }
}
