/**
 * `Idempotency-Key`: a request that is sent again has no second effect and gets the same answer.
 * A push keeps its answer in the commit of its effect, in the gateway. All other requests that
 * change something pass here, in one place for all routes.
 *
 * @module
 */

import { ERROR_STATUS, LakeSyncError } from "@lakesync/core";
import { createHash } from "node:crypto";
import type { RecordBatch } from "../store/records.ts";
import { boundsOf } from "./admin.ts";
import { readBody } from "./body.ts";
import type { Handler, RequestContext, ServerContext } from "./context.ts";
import { authenticate } from "./guard.ts";
import { AnswerClaims, Claim, type Outcome } from "./idempotency_claims.ts";
import { CONTENT_TYPE } from "./media.ts";
import { reply } from "./reply.ts";
import type { RequestScope } from "./request_scope.ts";
import type { Method, OperationId } from "./routes.ts";

/** Operations that are no admin's change, and why the key is not for them. */
export const WITHOUT_KEPT_ANSWER: Readonly<Partial<Record<OperationId, string>>> = {
  push: "the gateway keeps the answer in the commit of its effect",
  pullByPost: "it changes nothing",
  icebergTokens: "it has no user, and always the same answer",
};

/** Statuses of outcomes that may be others later, beside those of 500 and more. */
const NOT_FINAL: ReadonlySet<number> = new Set([401, 403, 409, 429]);

const claims = new WeakMap<RequestScope, Claim>();

/**
 * Reads the key of a request.
 *
 * @returns undefined when it has none
 * @throws {LakeSyncError} `VALIDATION_ERROR`
 */
export function idempotencyKey(headers: Headers): string | undefined {
  const key = headers.get("Idempotency-Key");
  if (key === null || /^[\x20-\x7e]{1,255}$/.test(key)) return key ?? undefined;
  throw new LakeSyncError(
    "VALIDATION_ERROR",
    "An Idempotency-Key is 1 to 255 printable ASCII characters",
  );
}

/**
 * Lets a handler answer requests with an `Idempotency-Key` once.
 *
 * @param context where answers are kept
 * @param method the method of its route
 * @param operation what it does
 * @param handler the handler
 * @returns a handler that does the same; the handler itself where the key is not for it
 */
export function idempotent(
  context: ServerContext,
  method: Method,
  operation: OperationId,
  handler: Handler,
): Handler {
  if (method === "GET" || WITHOUT_KEPT_ANSWER[operation] !== undefined) return handler;
  const keys = claimsOf(context);
  return async (c) => {
    const { scope } = c.env;
    const key = idempotencyKey(c.req.raw.headers);
    if (key === undefined) return handler(c);
    const token = await authenticate(context, scope);
    const body = await readBody(c.req.raw, boundsOf(c));
    const begun = await keys.begin(
      `answers/${sha256(JSON.stringify([token.sub, method, scope.path, key]))}`,
      sha256(token.sub),
      sha256(new URL(c.req.url).search, body),
      scope.signal,
    );
    if (!(begun instanceof Claim)) return replay(scope, begun);
    claims.set(scope, begun);
    try {
      c.req.raw = withBody(c.req.raw, body);
      return await keepAnswer(scope, begun, await handler(c));
    } catch (error) {
      if (claims.delete(scope)) await giveUp(begun, error);
      throw error;
    } finally {
      begun.end();
    }
  };
}

/**
 * Commits an effect on the records of the server, with its entry in the audit log. Where the request
 * has an `Idempotency-Key`, its answer is kept in the same commit, so that after a crash there are
 * all or none of them.
 *
 * @param context where the records are
 * @param c the request
 * @param batch the effect
 * @param response what is answered when it is committed
 * @returns the answer; undefined when a check of the batch does not hold
 * @throws {LakeSyncError} `BACKPRESSURE` when another request with the key has taken over
 */
export async function commitWithAnswer(
  context: ServerContext,
  c: RequestContext,
  batch: RecordBatch,
  response: Response,
): Promise<Response | undefined> {
  const { scope } = c.env;
  const claim = claims.get(scope);
  const entry = scope.doneEvent === undefined ? [] : [context.audit.entry(scope.doneEvent())];
  const effect = { ...batch, set: [...batch.set ?? [], ...entry] };
  if (claim === undefined) {
    if (!await context.records.commit(effect)) return undefined;
    scope.doneEvent = undefined;
    return response;
  }
  const outcome = await outcomeOf(response);
  if (!await claim.keep(outcome, effect)) return undefined;
  scope.doneEvent = undefined;
  claims.delete(scope);
  return answer(scope, outcome);
}

/** One set of claims for each set of records, so that all handlers know of each other's work. */
const known = new WeakMap<ServerContext["records"], AnswerClaims>();

function claimsOf({ records }: ServerContext): AnswerClaims {
  const made = known.get(records) ?? new AnswerClaims({ records });
  known.set(records, made);
  return made;
}

async function keepAnswer(
  scope: RequestScope,
  claim: Claim,
  response: Response,
): Promise<Response> {
  if (!claims.has(scope)) return response;
  const outcome = await outcomeOf(response);
  if (isFinal(response.status)) await claim.keep(outcome);
  else await claim.release();
  claims.delete(scope);
  return answer(scope, outcome);
}

/** A request was refused: for good, or so that it may be sent again. */
async function giveUp(claim: Claim, error: unknown): Promise<void> {
  if (error instanceof LakeSyncError && isFinal(ERROR_STATUS[error.code])) {
    const { code, message, details } = error;
    await claim.keep({ code, message, details });
  } else await claim.release();
}

function isFinal(status: number): boolean {
  return status < 500 && !NOT_FINAL.has(status);
}

async function outcomeOf(response: Response): Promise<Exclude<Outcome, { code: unknown }>> {
  const { status, headers } = response;
  return { status, headers: Object.fromEntries(headers), body: await response.text() };
}

/** Answers with an outcome, in the compression that the caller accepts. */
function answer(scope: RequestScope, outcome: Exclude<Outcome, { code: unknown }>): Response {
  const { "content-type": type = CONTENT_TYPE.json, ...headers } = outcome.headers;
  return reply(scope.request, type, outcome.body, headers, outcome.status);
}

function replay(scope: RequestScope, outcome: Outcome): Response {
  scope.headers.set("Idempotency-Replayed", "true");
  if ("code" in outcome) throw new LakeSyncError(outcome.code, outcome.message, outcome.details);
  const response = answer(scope, outcome);
  response.headers.set("Idempotency-Replayed", "true");
  return response;
}

/** The request with a body that was read, plain, and answered without compression. */
function withBody({ url, method, headers }: Request, body: Uint8Array): Request {
  const plain = new Headers(headers);
  for (const name of ["Content-Encoding", "Content-Length", "Accept-Encoding"]) plain.delete(name);
  return new Request(url, { method, headers: plain, body: new Uint8Array(body) });
}

function sha256(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}
