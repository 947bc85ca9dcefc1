/**
 * Pushes that are too much for one commit: many transactions, or one large transaction that comes
 * whole or in parts. A large transaction is written in slices that nobody sees before the last one,
 * with turns of the event loop between them.
 *
 * @module
 */

import {
  encodeDeltas,
  LakeSyncError,
  type PushRequest,
  type Rejection,
  type Transaction,
} from "@lakesync/core";
import type { ClientRecord, StagedSummary } from "../store/store.ts";
import { AnswerRooms } from "./answer_rooms.ts";
import {
  checkOrder,
  checkOwner,
  checkRepeatedChain,
  forgetSeen,
  gap,
  newClient,
  refusalsOf,
} from "./clients.ts";
import type { Committer, PushJob } from "./committer.ts";
import { limitsOf, retentionOf } from "./environment.ts";
import type { PushOutcome } from "./gateway.ts";
import { checkForks, checkOrigin } from "./forks.ts";
import { judge, reject } from "./judge.ts";
import { commitLarge, judgeContext, refuse, slices, stagedSlices } from "./large.ts";
import { readOlderLinks } from "./links.ts";
import { CommitTally } from "./observer.ts";
import { checkOpen } from "./scope.ts";
import { GROUP_WEIGHT, weightOfAll } from "./weight.ts";

/**
 * Whether a push must be committed in steps.
 *
 * @param request the push
 * @param weight what its deltas weigh
 */
export function needsSteps(request: PushRequest, weight: number): boolean {
  return weight > GROUP_WEIGHT ||
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
  const { request, caller, idempotency } = job;
  const { sub } = caller;
  const replayed = await kept(committer, job);
  if (replayed !== undefined) return { replayed };
  if (idempotency !== undefined) {
    (await AnswerRooms.load(committer.store, committer.env, [sub])).check(sub);
  }
  checkOpen((await committer.base()).book, caller, committer.env.openAccess ?? false);
  const [known] = await committer.store.readClients([request.clientId]);
  checkOwner(known, sub);
  const client = forgetSeen(known ?? newClient(request.clientId, sub), request.refusalsSeen);
  checkOrder(client, request.transactions);
  let result: StepResult | undefined;
  let isKept = false;
  const all = [...steps(request.transactions)];
  for (const [i, transactions] of all.entries()) {
    const step = { ...request, transactions };
    const [first] = transactions;
    const large = first !== undefined &&
      (first.part !== undefined || weightOfAll(first.deltas) > GROUP_WEIGHT);
    if (large) result = await commitLargeStep(committer, { ...job, request: step }, first);
    else {
      isKept = i === all.length - 1;
      result = await commitStep(committer, {
        caller,
        request: step,
        whole: request,
        idempotency: isKept ? idempotency : undefined,
      });
    }
    if (result.stopped !== undefined) break;
    await committer.env.nextTurn();
  }
  const outcome = await summary(committer, job, result);
  if (idempotency !== undefined && !isKept && outcome.stopped === undefined) {
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
  { caller: { sub }, idempotency }: PushJob,
  result: StepResult,
): Promise<void> {
  if (idempotency === undefined) return;
  const { key, bodyHash } = idempotency;
  const expiresMs = committer.env.now() +
    retentionOf(committer.env).answerKeepMs;
  const answer = idempotency.render(result);
  const before = await committer.base();
  const rooms = await AnswerRooms.load(committer.store, committer.env, [sub]);
  rooms.add(sub, answer, expiresMs);
  await committer.note(before, {
    answers: [{ key, bodyHash, answer, expiresMs }],
    meta: rooms.meta(),
  });
}

async function summary(
  committer: Committer,
  { request, caller }: PushJob,
  last: StepResult | undefined,
): Promise<StepResult> {
  const [client = newClient(request.clientId, caller.sub)] = await committer.store
    .readClients([request.clientId]);
  const older = await readOlderLinks(committer.store, client, request.transactions);
  return committer.result(
    client,
    refusalsOf(client, request, older),
    last?.stopped,
    await committer.base(),
  );
}

/** Cuts a push into steps: a large transaction or a part alone, others together up to a group. */
function* steps(
  transactions: readonly Transaction[],
): Generator<readonly Transaction[]> {
  let step: Transaction[] = [];
  let weight = 0;
  for (const transaction of transactions) {
    const own = weightOfAll(transaction.deltas);
    const alone = transaction.part !== undefined || own > GROUP_WEIGHT;
    if (
      step.length > 0 &&
      (alone || weight + own > GROUP_WEIGHT)
    ) {
      yield step;
      step = [];
      weight = 0;
    }
    step.push(transaction);
    weight += own;
    if (alone) {
      yield step;
      step = [];
      weight = 0;
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
  const { request, caller } = job;
  await committer.base(); // before the client, so that the commit fails if that changes meanwhile
  const [known] = await committer.store.readClients([request.clientId]);
  const client = forgetSeen(
    known ?? newClient(request.clientId, caller.sub),
    request.refusalsSeen,
  );
  const older = await readOlderLinks(committer.store, client, [transaction]);
  const answer = async (now: ClientRecord, stopped?: StepResult["stopped"]) =>
    committer.result(
      now,
      refusalsOf(now, request, older),
      stopped,
      await committer.base(),
    );
  if (transaction.mutationId <= client.lastMutationId) {
    checkRepeatedChain(client, transaction, older);
    repeated(committer, transaction);
    return answer(client);
  }
  if (transaction.mutationId > client.lastMutationId + 1) {
    throw gap(client.lastMutationId);
  }
  await checkOtherNames(committer, client, request);
  const judged = judge(judgeContext(committer, job), transaction);
  if ("stop" in judged) {
    const tally = new CommitTally();
    tally.stop(judged.stop.code);
    committer.env.observer?.committed(tally);
    return answer(client, judged.stop);
  }
  if ("rejection" in judged) {
    const delta = judged.rejection.delta + await deltasBefore(committer, client, transaction);
    const rejection = { ...judged.rejection, delta };
    return answer(await refuse(committer, client, transaction, rejection));
  }
  if (transaction.part === undefined) {
    return answer(
      await commitLarge(committer, job, client, transaction, slices(transaction.deltas)),
    );
  }
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

/** Tells that a transaction came again, with its last part where it comes in parts. */
function repeated({ env }: Committer, { part, parts }: Transaction): void {
  if (part !== parts) return;
  const tally = new CommitTally();
  tally.duplicates = 1;
  env.observer?.committed(tally);
}

/** Holds a large transaction to what is known under the names before and after a fork. */
async function checkOtherNames(
  committer: Committer,
  client: ClientRecord,
  request: PushRequest,
): Promise<void> {
  const { store, env } = committer;
  const before = await committer.base();
  const read = (clientIds: readonly string[]) => store.readClients(clientIds);
  const context = { store, read, hash: env.hash };
  const chained = request.transactions.filter(({ chain }) => chain !== undefined);
  await checkForks(context, client, chained);
  const origin = await checkOrigin(context, client, request);
  if (origin !== undefined) await committer.note(before, { clients: [origin] });
}

/** How many deltas of a transaction are in the parts before this one. */
async function deltasBefore(
  { store }: Committer,
  { clientId }: ClientRecord,
  { mutationId, part = 1 }: Transaction,
): Promise<number> {
  if (part === 1) return 0;
  const staged = await store.stagedSummary(clientId, mutationId);
  let deltas = 0;
  for (const earlier of staged?.present ?? []) {
    if (earlier >= part) break;
    deltas += (await store.readPart(clientId, mutationId, earlier))?.deltas ?? 0;
  }
  return deltas;
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
    const message = `A transaction holds at most ${limits.maxTransactionDeltas} deltas and ` +
      `${limits.maxTransactionBytes} bytes`;
    return reject(mutationId, total - 1, "PAYLOAD_TOO_LARGE", message);
  }
  await store.stagePart({
    clientId,
    mutationId,
    part,
    parts,
    deltas: deltas.length,
    stagedMs: env.now(),
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
  await committer.note(await committer.base(), { dropParts: [{ clientId, mutationId }] });
}
