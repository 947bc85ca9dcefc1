/**
 * Pushes that are committed together: judged, applied to the rows they touch, and written as one
 * batch.
 *
 * @module
 */

import {
  LakeSyncError,
  type PushRequest,
  type Rejection,
  type Stop,
  type Transaction,
} from "@lakesync/core";
import type {
  ClientRecord,
  CommitBatch,
  Head,
  KeptAnswer,
  LogEntry,
  RowKey,
} from "../store/store.ts";
import { readSnapshot } from "../store/snapshot.ts";
import type { AnswerRooms } from "./answer_rooms.ts";
import { type Base, baseWrites, markDay } from "./base.ts";
import type { Catalog } from "./catalog.ts";
import { type Census, seen } from "./census.ts";
import {
  checkNextChain,
  checkOrder,
  checkOwner,
  checkRepeatedChain,
  consume,
  expectedChain,
  forgetSeen,
  newClient,
  refusalsOf,
} from "./clients.ts";
import type { Committer, PushJob } from "./committer.ts";
import { checkForks, checkOrigin, type ForkContext } from "./forks.ts";
import { limitsOf, retentionOf } from "./environment.ts";
import { judge, type JudgedDelta, type Judgment } from "./judge.ts";
import { BucketLedger } from "./ledger.ts";
import { type Links, readOlderLinks, takePages } from "./links.ts";
import { writeLogPayload } from "./log.ts";
import { Lookups } from "./lookups.ts";
import { CommitTally } from "./observer.ts";
import type { RuleBook } from "./rule_book.ts";
import { checkOpen } from "./scope.ts";
import { keyText, WorkingSet } from "./working.ts";
import { MissingLookups, WriteGuard } from "./write_guard.ts";

/** What one push came to within its group, before the group is committed. */
export type Verdict =
  | { readonly error: LakeSyncError }
  | { readonly replayed: string }
  | { readonly client: ClientRecord; readonly older: Links; readonly stopped: Stop | undefined };

/** The judgments of a push's transactions, those that were consumed before left out. */
export type Judged = ReadonlyMap<Transaction, Judgment>;

/** Pushes that are committed together. */
export class Group {
  readonly #ledger: BucketLedger;
  readonly #lookups: Lookups;
  readonly #working: WorkingSet;
  readonly #log: LogEntry[] = [];
  readonly #answers: KeptAnswer[] = [];
  readonly #changed = new Set<string>();
  /** The clients whose lastMutationId advanced. */
  readonly advanced: Set<string> = new Set();
  /** What it did, for whoever watches. */
  readonly tally: CommitTally = new CommitTally();
  /** Whether any row changed. */
  rowsChanged = false;
  #census: Census;
  #seq: number;

  constructor(
    readonly committer: Committer,
    readonly catalog: Catalog,
    readonly book: RuleBook,
    readonly before: Base,
    readonly clients: Map<string, ClientRecord>,
    readonly kept: Map<string, KeptAnswer>,
    readonly rooms: AnswerRooms,
  ) {
    this.#ledger = new BucketLedger(book, before.nextBucket);
    this.#lookups = new Lookups(book, catalog, committer.lookups);
    this.#working = new WorkingSet(
      this.#ledger,
      this.#lookups,
      before.counts,
      before.horizonSeq,
    );
    this.#seq = before.head.seq;
    this.#census = before.census;
  }

  /** The stored ids of the buckets that were changed. */
  get changedBuckets(): ReadonlySet<string> {
    return new Set(this.#ledger.changed());
  }

  /** Told when the batch is committed. */
  committed(): void {
    this.#lookups.committed(this.#ledger);
  }

  /** Whether there is anything to commit. */
  get dirty(): boolean {
    return this.#changed.size > 0 || this.#answers.length > 0;
  }

  judge({ request }: PushJob): Judged {
    const { clock, env } = this.committer;
    const { clientId, schemaVersion } = request;
    const consumed = this.clients.get(clientId)?.lastMutationId ?? 0;
    const context = {
      catalog: this.catalog,
      clock,
      env,
      clientId,
      schemaVersion,
    };
    const served = this.catalog.version(schemaVersion);
    if (served !== undefined && schemaVersion > 0) {
      this.#census = seen(this.#census, served.schema.version, env.now());
    }
    const judged = new Map<Transaction, Judgment>();
    for (const transaction of request.transactions) {
      if (transaction.mutationId <= consumed) continue;
      const judgment = judge(context, transaction);
      judged.set(transaction, judgment);
      if ("stop" in judgment) break;
    }
    return judged;
  }

  async loadRows(judged: readonly Judged[]): Promise<void> {
    const keys = new Map<string, RowKey>();
    for (const push of judged) {
      for (const judgment of push.values()) {
        if (!("deltas" in judgment)) continue;
        for (const { compiled, delta } of judgment.deltas) {
          if (this.book.active.modeOf(compiled.table.table.name) === "upload-only") continue;
          const key = { table: compiled.table.id, rowId: delta.rowId };
          keys.set(keyText(key), key);
        }
      }
    }
    const list = [...keys.values()];
    if (list.length > 0) {
      this.#working.load(list, await this.committer.store.readRows(list));
    }
  }

  /** Takes a push into the group, or says why not; a push that fails leaves nothing. */
  async take(job: PushJob, judged: Judged): Promise<Verdict> {
    const { request, idempotency, caller } = job;
    const replay = idempotency && this.kept.get(idempotency.key);
    if (replay !== undefined) {
      if (replay.bodyHash === idempotency?.bodyHash) {
        return { replayed: replay.answer };
      }
      const message = "This Idempotency-Key was used with another body, use a new one";
      return { error: new LakeSyncError("IDEMPOTENCY_MISMATCH", message) };
    }
    try {
      if (idempotency !== undefined) this.rooms.check(caller.sub);
      // A schema may have come between the push and its commit, and with it a gateway without rules.
      checkOpen(this.book, caller, this.committer.env.openAccess ?? false);
      const known = this.clients.get(request.clientId);
      checkOwner(known, caller.sub);
      const client = forgetSeen(
        known ?? newClient(request.clientId, caller.sub),
        request.refusalsSeen,
      );
      const older = await readOlderLinks(this.committer.store, client, request.transactions);
      this.#check(client, request, older);
      await this.#checkForks(client, request);
      const { client: after, stopped } = await this.#apply(client, known, job, judged);
      this.#keepAnswer(job, after, older, stopped);
      return { client: after, older, stopped };
    } catch (error) {
      if (error instanceof LakeSyncError) return { error };
      throw error;
    }
  }

  #check(client: ClientRecord, request: PushRequest, older: Links): void {
    const { hash } = this.committer.env;
    checkOrder(client, request.transactions);
    let last = client;
    for (const transaction of request.transactions) {
      if (transaction.mutationId <= last.lastMutationId) {
        checkRepeatedChain(last, transaction, older);
      } else {
        checkNextChain(client, transaction, expectedChain(last, transaction, hash));
        last = consume(last, transaction, undefined);
      }
    }
  }

  async #checkForks(client: ClientRecord, request: PushRequest): Promise<void> {
    const { store, env } = this.committer;
    const context: ForkContext = { store, read: (ids) => this.#readClients(ids), hash: env.hash };
    await checkForks(context, client, request.transactions);
    const origin = await checkOrigin(context, client, request);
    if (origin === undefined) return;
    this.clients.set(origin.clientId, origin);
    this.#changed.add(origin.clientId);
  }

  async #readClients(
    clientIds: readonly string[],
  ): Promise<readonly (ClientRecord | undefined)[]> {
    const missing = clientIds.filter((clientId) => !this.clients.has(clientId));
    for (const client of await this.committer.store.readClients(missing)) {
      if (client !== undefined) this.clients.set(client.clientId, client);
    }
    return clientIds.map((clientId) => this.clients.get(clientId));
  }

  async #apply(
    start: ClientRecord,
    known: ClientRecord | undefined,
    job: PushJob,
    judged: Judged,
  ): Promise<{ readonly client: ClientRecord; readonly stopped: Stop | undefined }> {
    const guard = new WriteGuard(job.caller, this.#lookups);
    let client = start;
    let stopped: Stop | undefined;
    for (const transaction of job.request.transactions) {
      if (transaction.mutationId <= client.lastMutationId) {
        this.tally.duplicates++;
        continue;
      }
      const judgment = judged.get(transaction);
      if (judgment === undefined) break;
      if ("stop" in judgment) {
        stopped = judgment.stop;
        this.tally.stop(stopped.code);
        break;
      }
      const rejection = "rejection" in judgment
        ? judgment.rejection
        : await this.#commitTransaction(guard, job.request, client, transaction, judgment.deltas);
      if (rejection !== undefined) this.tally.reject(rejection.code);
      client = consume(client, transaction, rejection, this.committer.env.now());
      this.advanced.add(client.clientId);
    }
    if (client !== known) {
      client = { ...client, seenMs: this.committer.env.now() };
      this.clients.set(client.clientId, client);
      this.#changed.add(client.clientId);
    }
    return { client, stopped };
  }

  async #commitTransaction(
    guard: WriteGuard,
    { schemaVersion }: PushRequest,
    client: ClientRecord,
    transaction: Transaction,
    deltas: readonly JudgedDelta[],
  ): Promise<Rejection | undefined> {
    const { env } = this.committer;
    const { clientId } = client;
    const { mutationId } = transaction;
    const seq = this.#seq + 1;
    const maxOrphans = limitsOf(env).maxOrphanRows - client.orphans;
    const applied = await withLookups(
      this.committer,
      this.#lookups,
      () => this.#working.apply({ clientId, maxOrphans, guard }, mutationId, deltas, seq),
    );
    if ("rejection" in applied) return applied.rejection;
    this.#seq = seq;
    this.tally.apply(deltas, applied.outcomes);
    if (deltas.length > 0) this.rowsChanged = true;
    const stamped = deltas.every(({ delta }, i) => delta.hlc === transaction.deltas[i]?.hlc)
      ? transaction.deltas
      : deltas.map(({ delta }) => delta);
    const payload = writeLogPayload(
      writtenVersion(this.catalog, schemaVersion),
      stamped,
      applied.outcomes,
    );
    this.#log.push({
      seq,
      slice: 0,
      clientId,
      mutationId,
      committedMs: env.now(),
      payload,
    });
    return undefined;
  }

  #keepAnswer(
    { caller, idempotency, request, whole = request }: PushJob,
    client: ClientRecord,
    older: Links,
    stopped: Stop | undefined,
  ): void {
    if (idempotency === undefined || stopped !== undefined) return;
    const { committer } = this;
    const after = { ...this.before, head: this.#head() };
    const kept: KeptAnswer = {
      key: idempotency.key,
      bodyHash: idempotency.bodyHash,
      answer: idempotency.render(
        committer.result(client, refusalsOf(client, whole, older), undefined, after),
      ),
      expiresMs: committer.env.now() + retentionOf(committer.env).answerKeepMs,
    };
    this.kept.set(kept.key, kept);
    this.#answers.push(kept);
    this.rooms.add(caller.sub, kept.answer, kept.expiresMs);
  }

  async #loadClients(clientIds: readonly string[]): Promise<void> {
    await this.#readClients(clientIds);
    for (const clientId of clientIds) this.#changed.add(clientId);
  }

  /** The head after what was taken. Other processes notice a greater stamp by the seq alone. */
  #head(): Head {
    const { head } = this.before;
    if (this.#seq === head.seq) return this.committer.quiet(this.before).head;
    return { ...head, seq: this.#seq, hlc: this.committer.clock.last.toString() };
  }

  /** Puts the batch together, and the gateway's own records after it. */
  async finish(): Promise<
    { readonly after: Base; readonly batch: CommitBatch }
  > {
    const { before, committer } = this;
    const head = this.#head();
    const unplaced: Base = {
      ...before,
      head,
      counts: this.rowsChanged ? this.#working.counts : before.counts,
      census: this.#census,
      marks: markDay(before, committer.env.now()),
      lives: committer.livesAfter(before),
    };
    const rows = await this.#working.takeRows((names) => committer.readBuckets(names));
    const after: Base = { ...unplaced, nextBucket: this.#ledger.next };
    const orphans = this.#working.orphans;
    await this.#loadClients([...orphans.keys()]);
    const paged = [...this.#changed].flatMap((clientId) => {
      const client = this.clients.get(clientId);
      return client === undefined ? [] : [takePages({
        ...client,
        orphans: Math.max(0, client.orphans + (orphans.get(clientId) ?? 0)),
      })];
    });
    const writes = baseWrites(before, after);
    return {
      after,
      batch: {
        expectedSeq: before.head.seq,
        head: { seq: head.seq, hlc: head.hlc },
        rows,
        buckets: this.#ledger.writes(),
        log: this.#log,
        clients: paged.map(({ client }) => client),
        answers: this.#answers,
        ...writes,
        meta: [
          ...writes.meta ?? [],
          ...paged.flatMap(({ pages }) => pages),
          ...this.rooms.meta(),
        ],
      },
    };
  }
}

/** The schema version whose names a push uses. */
export function writtenVersion(catalog: Catalog, schemaVersion: number): number {
  return (catalog.version(schemaVersion) ?? catalog).schema.version;
}

/** Does something that may need look-ups, loading those that are missing. */
export async function withLookups<T>(
  { store }: Pick<Committer, "store">,
  lookups: Lookups,
  work: () => T,
): Promise<T> {
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof MissingLookups)) throw error;
      const { missing } = error;
      await readSnapshot(store, (view) => {
        lookups.drop();
        return lookups.load(view, missing);
      });
      lookups.keep();
    }
  }
}
