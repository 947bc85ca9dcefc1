/**
 * Pushes that are too much for one commit: many transactions, or one large transaction that comes
 * whole or in parts. A large transaction is written in slices that nobody sees before the last one,
 * with turns of the event loop between them.
 *
 * @module
 */

import {
  decodeDeltas,
  type Delta,
  encodeDeltas,
  LakeSyncError,
  type PushRequest,
  type Rejection,
  type Transaction,
} from "@lakesync/core";
import type {
  ClientRecord,
  LargeCommit,
  RowKey,
  StagedSummary,
  Writes,
} from "../store/store.ts";
import { type Base, baseWrites, markDay } from "./base.ts";
import {
  checkNextChain,
  checkOrder,
  checkOwner,
  consume,
  deltaIdsOf,
  forgetSeen,
  gap,
} from "./clients.ts";
import { newClient, refusalsOf } from "./clients.ts";
import { type Committer, GROUP_DELTAS, type PushJob } from "./committer.ts";
import { limitsOf, retentionOf } from "./environment.ts";
import type { PushOutcome } from "./gateway.ts";
import { judge, reject } from "./judge.ts";
import { writeLogPayload } from "./log.ts";
import { keyText, WorkingSet } from "./working.ts";

/**
 * Whether a push must be committed in steps.
 *
 * @param request the push
 * @param deltas how many deltas it holds
 */
export function needsSteps(request: PushRequest, deltas: number): boolean {
  return deltas > GROUP_DELTAS ||
    request.transactions.some(({ part }) => part !== undefined);
}

type StepResult = NonNullable<PushOutcome["result"]>;

/**
 * Commits a push step by step, in order; stops where a step stops.
 *
 * @throws {LakeSyncError} what a push throws; the steps before it stand
 */
export async function commitInSteps(
  committer: Committer,
  job: PushJob,
): Promise<PushOutcome> {
  const { request, sub, idempotency } = job;
  const replayed = await kept(committer, job);
  if (replayed !== undefined) return { replayed };
  const [known] = await committer.store.readClients([request.clientId]);
  checkOwner(known, sub);
  checkOrder(known ?? newClient(request.clientId, sub), request.transactions);
  let result: StepResult | undefined;
  for (const transactions of steps(request.transactions)) {
    const step = { ...request, transactions };
    const [first] = transactions;
    const large = first !== undefined &&
      (first.part !== undefined || first.deltas.length > GROUP_DELTAS);
    result = large
      ? await commitLargeStep(committer, { ...job, request: step }, first)
      : await commitStep(committer, {
        ...job,
        request: step,
        idempotency: undefined,
      });
    if (result.stopped !== undefined) break;
    await committer.env.nextTurn();
  }
  const outcome = await summary(committer, job, result);
  if (idempotency !== undefined && outcome.stopped === undefined) {
    await keep(committer, job, outcome);
  }
  return { result: outcome };
}

async function kept(
  committer: Committer,
  { idempotency }: PushJob,
): Promise<string | undefined> {
  if (idempotency === undefined) return undefined;
  const answer = await committer.store.readAnswer(idempotency.key);
  if (answer === undefined || answer.expiresMs <= committer.env.now()) {
    return undefined;
  }
  if (answer.bodyHash === idempotency.bodyHash) return answer.answer;
  throw new LakeSyncError(
    "IDEMPOTENCY_MISMATCH",
    "This Idempotency-Key was used with another body, use a new one",
  );
}

async function keep(
  committer: Committer,
  { idempotency }: PushJob,
  result: StepResult,
): Promise<void> {
  if (idempotency === undefined) return;
  const { head } = await committer.base();
  const { key, bodyHash } = idempotency;
  const expiresMs = committer.env.now() +
    retentionOf(committer.env).answerKeepMs;
  await committer.guarded(() =>
    committer.store.commit({
      expectedSeq: head.seq,
      head,
      answers: [{
        key,
        bodyHash,
        answer: idempotency.render(result),
        expiresMs,
      }],
    })
  );
}

async function summary(
  committer: Committer,
  { request, sub }: PushJob,
  last: StepResult | undefined,
): Promise<StepResult> {
  const [client = newClient(request.clientId, sub)] = await committer.store
    .readClients([request.clientId]);
  return committer.result(
    client,
    refusalsOf(client, request),
    last?.stopped,
    await committer.base(),
  );
}

/** Cuts a push into steps: a large transaction or a part alone, others together up to a group. */
function* steps(
  transactions: readonly Transaction[],
): Generator<readonly Transaction[]> {
  let step: Transaction[] = [];
  let deltas = 0;
  for (const transaction of transactions) {
    const alone = transaction.part !== undefined ||
      transaction.deltas.length > GROUP_DELTAS;
    if (
      step.length > 0 &&
      (alone || deltas + transaction.deltas.length > GROUP_DELTAS)
    ) {
      yield step;
      step = [];
      deltas = 0;
    }
    step.push(transaction);
    deltas += transaction.deltas.length;
    if (alone) {
      yield step;
      step = [];
      deltas = 0;
    }
  }
  if (step.length > 0) yield step;
}

async function commitStep(
  committer: Committer,
  job: PushJob,
): Promise<StepResult> {
  const [outcome] = await committer.commitPushes([job]);
  if (outcome instanceof LakeSyncError) throw outcome;
  if (outcome?.result === undefined) {
    throw new LakeSyncError(
      "INTERNAL_ERROR",
      "A step of the push got no answer, send it again",
    );
  }
  return outcome.result;
}

async function commitLargeStep(
  committer: Committer,
  job: PushJob,
  transaction: Transaction,
): Promise<StepResult> {
  const { request, sub } = job;
  const [known] = await committer.store.readClients([request.clientId]);
  const client = forgetSeen(
    known ?? newClient(request.clientId, sub),
    request.refusalsSeen,
  );
  const answer = async (now: ClientRecord, stopped?: StepResult["stopped"]) =>
    committer.result(
      now,
      refusalsOf(now, request),
      stopped,
      await committer.base(),
    );
  if (transaction.mutationId <= client.lastMutationId) return answer(client);
  if (transaction.mutationId > client.lastMutationId + 1) {
    throw gap(client.lastMutationId);
  }
  const context = judgeContext(committer, job);
  if (transaction.part === undefined) {
    const judged = judge(context, transaction);
    if ("stop" in judged) return answer(client, judged.stop);
    if ("rejection" in judged) {
      return answer(
        await refuse(committer, client, transaction, judged.rejection),
      );
    }
    return answer(
      await commitLarge(
        committer,
        job,
        client,
        transaction,
        slices(transaction.deltas),
      ),
    );
  }
  const judged = judge(context, transaction);
  if ("stop" in judged) return answer(client, judged.stop);
  const staged = await stage(committer, client, transaction);
  if ("rejection" in staged) {
    return answer(
      await refuse(committer, client, transaction, staged.rejection),
    );
  }
  if (transaction.part !== transaction.parts) return answer(client);
  if (staged.present.length !== transaction.parts) {
    throw gap(client.lastMutationId);
  }
  const source = stagedSlices(
    committer,
    client.clientId,
    transaction.mutationId,
    staged,
  );
  return answer(await commitLarge(committer, job, client, transaction, source));
}

function judgeContext(committer: Committer, { request }: PushJob) {
  const { catalog, clock, env } = committer;
  if (catalog === undefined) {
    throw new LakeSyncError(
      "SCHEMA_ERROR",
      "The gateway has no schema yet, put one at /v1/admin/schema",
    );
  }
  return {
    catalog,
    clock,
    env,
    clientId: request.clientId,
    schemaVersion: request.schemaVersion,
  };
}

/** Keeps a part durably, and says what there is then. */
async function stage(
  committer: Committer,
  { clientId }: ClientRecord,
  transaction: Transaction,
): Promise<StagedSummary | { readonly rejection: Rejection }> {
  const { mutationId, deltas, part = 1, parts = 1 } = transaction;
  const { store, env } = committer;
  const limits = limitsOf(env);
  if (part > parts || parts > limits.maxTransactionDeltas) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "A part's number must be from 1 to the number of parts",
    );
  }
  const earlier = await store.stagedSummary(clientId, mutationId);
  const others = earlier?.parts === parts ? earlier : undefined;
  if (earlier !== undefined && others === undefined) {
    await dropParts(committer, clientId, mutationId);
  }
  const payload = encodeDeltas(deltas);
  const replaced = others?.present.includes(part) ?? false;
  const total = (replaced ? 0 : deltas.length) + (others?.deltas ?? 0);
  const bytes = (replaced ? 0 : payload.length) + (others?.bytes ?? 0);
  if (
    total > limits.maxTransactionDeltas || bytes > limits.maxTransactionBytes
  ) {
    const message =
      `A transaction holds at most ${limits.maxTransactionDeltas} deltas and ` +
      `${limits.maxTransactionBytes} bytes`;
    return reject(mutationId, total - 1, "PAYLOAD_TOO_LARGE", message);
  }
  await store.stagePart({
    clientId,
    mutationId,
    part,
    parts,
    deltas: deltas.length,
    payload,
  });
  const now = await store.stagedSummary(clientId, mutationId);
  return now ?? { present: [], parts, deltas: 0, bytes: 0 };
}

async function dropParts(
  committer: Committer,
  clientId: string,
  mutationId: number,
): Promise<void> {
  const { head } = await committer.base();
  await committer.guarded(() =>
    committer.store.commit({
      expectedSeq: head.seq,
      head,
      dropParts: [{ clientId, mutationId }],
    })
  );
}

async function* slices(
  deltas: readonly Delta[],
): AsyncGenerator<readonly Delta[]> {
  for (let at = 0; at < deltas.length; at += GROUP_DELTAS) {
    yield await Promise.resolve(deltas.slice(at, at + GROUP_DELTAS));
  }
}

async function* stagedSlices(
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

/** Consumes a transaction as refused. */
async function refuse(
  committer: Committer,
  client: ClientRecord,
  transaction: Transaction,
  rejection: Rejection,
): Promise<ClientRecord> {
  const { head } = await committer.base();
  const after = {
    ...consume(client, transaction, rejection),
    seenMs: committer.env.now(),
  };
  const { clientId } = client;
  await committer.guarded(() =>
    committer.store.commit({
      expectedSeq: head.seq,
      head,
      clients: [after],
      dropParts: [{ clientId, mutationId: transaction.mutationId }],
    })
  );
  committer.published(
    { ...(await committer.base()), head },
    false,
    new Set([clientId]),
  );
  return after;
}

/** Commits a large transaction in slices; gives the client as it is then. */
async function commitLarge(
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
  readonly #working: WorkingSet;
  readonly #deltaIds: string[] = [];
  readonly #seq: number;
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
    this.#working = new WorkingSet(
      before.buckets,
      before.counts,
      before.horizonSeq,
    );
    this.#seq = before.head.seq + 1;
  }

  /** Adds a slice; gives a refusal when it cannot be. */
  async slice(deltas: readonly Delta[]): Promise<Rejection | undefined> {
    const { committer, client, transaction } = this;
    const { clientId } = client;
    const { mutationId } = transaction;
    const { env, clock } = committer;
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
      const key = { table: compiled.table.id, rowId: delta.rowId };
      keys.set(keyText(key), key);
    }
    const list = [...keys.values()];
    this.#working.load(list, await this.large.readRows(list));
    const maxOrphans = limitsOf(env).maxOrphanRows - client.orphans;
    const applied = this.#working.apply(
      clientId,
      mutationId,
      judged.deltas,
      this.#seq,
      maxOrphans,
      this.#deltas,
    );
    if ("rejection" in applied) return applied.rejection;
    const stamped = judged.deltas.map(({ delta }) => delta);
    for (const { hlc } of stamped) clock.receive(hlc);
    if (transaction.chain !== undefined) {
      this.#deltaIds.push(...(deltaIdsOf(clientId, stamped, env.hash) ?? []));
    }
    const payload = writeLogPayload(stamped, applied.outcomes);
    const entry = {
      seq: this.#seq,
      slice: this.#slice++,
      clientId,
      mutationId,
      payload,
    };
    this.#deltas += deltas.length;
    const writes: Writes = {
      rows: this.#working.takeRows(),
      log: [{ ...entry, committedMs: env.now() }],
    };
    await this.large.write(writes);
    return undefined;
  }

  /** Makes all slices visible in one durable step. */
  async publish(): Promise<ClientRecord> {
    const { committer, before, transaction } = this;
    const { env, clock } = committer;
    checkNextChain(this.client, transaction, () => this.#deltaIds, env.hash);
    const orphans = this.#working.orphans;
    const after: Base = {
      ...before,
      head: { ...before.head, seq: this.#seq, hlc: clock.last.toString() },
      buckets: this.#working.buckets,
      counts: this.#working.counts,
      marks: markDay(before, env.now()),
    };
    const client: ClientRecord = {
      ...consume(this.client, transaction, undefined),
      orphans: Math.max(
        0,
        this.client.orphans + (orphans.get(this.client.clientId) ?? 0),
      ),
      seenMs: env.now(),
    };
    const others = [...orphans.keys()].filter((clientId) =>
      clientId !== client.clientId
    );
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
    await committer.guarded(() =>
      this.large.commit({
        expectedSeq: before.head.seq,
        head: after.head,
        clients: [client, ...touched],
        dropParts: [{
          clientId: client.clientId,
          mutationId: transaction.mutationId,
        }],
        ...baseWrites(before, after),
      })
    );
    committer.published(after, true, new Set([client.clientId]));
    return client;
  }
}
