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
import type { ClientRecord, CommitBatch, KeptAnswer, LogEntry, RowKey } from "../store/store.ts";
import { type Base, baseWrites, markDay } from "./base.ts";
import type { Catalog } from "./catalog.ts";
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
import { limitsOf, retentionOf } from "./environment.ts";
import { judge, type Judgment } from "./judge.ts";
import { withLife } from "./lives.ts";
import { writeLogPayload } from "./log.ts";
import { keyText, WorkingSet } from "./working.ts";

/** What one push came to within its group, before the group is committed. */
export type Verdict =
  | { readonly error: LakeSyncError }
  | { readonly replayed: string }
  | { readonly client: ClientRecord; readonly stopped: Stop | undefined };

/** The judgments of a push's transactions, those that were consumed before left out. */
export type Judged = ReadonlyMap<Transaction, Judgment>;

/** Pushes that are committed together. */
export class Group {
  readonly #working: WorkingSet;
  readonly #log: LogEntry[] = [];
  readonly #answers: KeptAnswer[] = [];
  readonly #changed = new Set<string>();
  /** The clients whose lastMutationId advanced. */
  readonly advanced: Set<string> = new Set();
  /** Whether any row changed. */
  rowsChanged = false;
  #seq: number;

  constructor(
    readonly committer: Committer,
    readonly catalog: Catalog,
    readonly before: Base,
    readonly clients: Map<string, ClientRecord>,
    readonly kept: Map<string, KeptAnswer>,
  ) {
    this.#working = new WorkingSet(
      before.buckets,
      before.counts,
      before.horizonSeq,
    );
    this.#seq = before.head.seq;
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
  take(job: PushJob, judged: Judged): Verdict {
    const { request, idempotency, sub } = job;
    const replay = idempotency && this.kept.get(idempotency.key);
    if (replay !== undefined) {
      if (replay.bodyHash === idempotency?.bodyHash) {
        return { replayed: replay.answer };
      }
      const message = "This Idempotency-Key was used with another body, use a new one";
      return { error: new LakeSyncError("IDEMPOTENCY_MISMATCH", message) };
    }
    try {
      const known = this.clients.get(request.clientId);
      checkOwner(known, sub);
      const client = forgetSeen(
        known ?? newClient(request.clientId, sub),
        request.refusalsSeen,
      );
      this.#check(client, request);
      return this.#apply(client, known, job, judged);
    } catch (error) {
      if (error instanceof LakeSyncError) return { error };
      throw error;
    }
  }

  #check(client: ClientRecord, request: PushRequest): void {
    const { hash } = this.committer.env;
    checkOrder(client, request.transactions);
    let last = client;
    for (const transaction of request.transactions) {
      if (transaction.mutationId <= last.lastMutationId) {
        checkRepeatedChain(last, transaction);
      } else {
        checkNextChain(last, transaction, expectedChain(last, transaction, hash));
        last = consume(last, transaction, undefined);
      }
    }
  }

  #apply(
    start: ClientRecord,
    known: ClientRecord | undefined,
    job: PushJob,
    judged: Judged,
  ): Verdict {
    let client = start;
    let stopped: Stop | undefined;
    for (const transaction of job.request.transactions) {
      if (transaction.mutationId <= client.lastMutationId) continue;
      const judgment = judged.get(transaction);
      if (judgment === undefined) break;
      if ("stop" in judgment) {
        stopped = judgment.stop;
        break;
      }
      const rejection = "rejection" in judgment
        ? judgment.rejection
        : this.#commitTransaction(client, transaction, judgment.deltas);
      client = consume(client, transaction, rejection);
      this.advanced.add(client.clientId);
    }
    if (client !== known) {
      client = { ...client, seenMs: this.committer.env.now() };
      this.clients.set(client.clientId, client);
      this.#changed.add(client.clientId);
    }
    this.#keepAnswer(job, client, stopped);
    return { client, stopped };
  }

  #commitTransaction(
    client: ClientRecord,
    transaction: Transaction,
    deltas: Extract<Judgment, { deltas: unknown }>["deltas"],
  ): Rejection | undefined {
    const { env, clock } = this.committer;
    const { clientId } = client;
    const { mutationId } = transaction;
    const seq = this.#seq + 1;
    const maxOrphans = limitsOf(env).maxOrphanRows - client.orphans;
    const applied = this.#working.apply(
      clientId,
      mutationId,
      deltas,
      seq,
      maxOrphans,
    );
    if ("rejection" in applied) return applied.rejection;
    this.#seq = seq;
    if (deltas.length > 0) this.rowsChanged = true;
    for (const { delta } of deltas) clock.receive(delta.hlc);
    const stamped = deltas.every(({ delta }, i) => delta.hlc === transaction.deltas[i]?.hlc)
      ? transaction.deltas
      : deltas.map(({ delta }) => delta);
    const payload = writeLogPayload(stamped, applied.outcomes);
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
    { idempotency, request, whole = request }: PushJob,
    client: ClientRecord,
    stopped: Stop | undefined,
  ): void {
    if (idempotency === undefined || stopped !== undefined) return;
    const { committer } = this;
    const after = {
      ...this.before,
      head: { ...this.before.head, seq: this.#seq },
    };
    const kept: KeptAnswer = {
      key: idempotency.key,
      bodyHash: idempotency.bodyHash,
      answer: idempotency.render(
        committer.result(client, refusalsOf(client, whole), undefined, after),
      ),
      expiresMs: committer.env.now() + retentionOf(committer.env).answerKeepMs,
    };
    this.kept.set(kept.key, kept);
    this.#answers.push(kept);
  }

  async #loadClients(clientIds: readonly string[]): Promise<void> {
    const missing = clientIds.filter((clientId) => !this.clients.has(clientId));
    for (const client of await this.committer.store.readClients(missing)) {
      if (client !== undefined) this.clients.set(client.clientId, client);
    }
    for (const clientId of clientIds) this.#changed.add(clientId);
  }

  /** Puts the batch together, and the gateway's own records after it. */
  async finish(): Promise<
    { readonly after: Base; readonly batch: CommitBatch }
  > {
    const { before, committer } = this;
    const head = {
      ...before.head,
      seq: this.#seq,
      hlc: committer.clock.last.toString(),
    };
    const after: Base = {
      ...before,
      head,
      buckets: this.#working.buckets,
      counts: this.rowsChanged ? this.#working.counts : before.counts,
      marks: markDay(before, committer.env.now()),
      lives: withLife(before.lives, committer.life, before.head.seq),
    };
    const orphans = this.#working.orphans;
    await this.#loadClients([...orphans.keys()]);
    const clients = [...this.#changed].flatMap((clientId) => {
      const client = this.clients.get(clientId);
      return client === undefined ? [] : [{
        ...client,
        orphans: Math.max(0, client.orphans + (orphans.get(clientId) ?? 0)),
      }];
    });
    return {
      after,
      batch: {
        expectedSeq: before.head.seq,
        head: { seq: head.seq, hlc: head.hlc },
        rows: this.#working.takeRows(),
        log: this.#log,
        clients,
        answers: this.#answers,
        ...baseWrites(before, after),
      },
    };
  }
}
