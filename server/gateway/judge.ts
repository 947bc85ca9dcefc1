/**
 * Judges the content of a transaction by schema, clock and checksums, before any row is read.
 *
 * @module
 */

import {
  type Delta,
  deltaIdOf,
  type Hlc,
  hlcMs,
  type HybridClock,
  type Limits,
  type Rejection,
  type RejectionCode,
  type Stop,
  type Transaction,
} from "@lakesync/core";
import { type Catalog, type CompiledShape, deltaMisfit, notServed } from "./catalog.ts";
import { type GatewayEnvironment, limitsOf, retentionOf } from "./environment.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/** How much of the message of a refusal is kept that comes from another life, in UTF-16 code units. */
const MAX_MESSAGE_LENGTH = 1_000;

/** A delta whose content is valid. */
export interface JudgedDelta {
  /** The delta, with its stamp. */
  readonly delta: Delta & { readonly hlc: Hlc };
  /** Its shape by the catalog. */
  readonly compiled: CompiledShape;
}

/** What came of judging a transaction: valid deltas, a refusal, or a stop of the push. */
export type Judgment =
  | { readonly deltas: readonly JudgedDelta[] }
  | { readonly rejection: Rejection }
  | { readonly stop: Stop };

/** What judging needs. */
export interface JudgeContext {
  /** The gateway's schema. */
  readonly catalog: Catalog;
  /** The gateway's clock. */
  readonly clock: HybridClock;
  /** Time, hash and limits. */
  readonly env: GatewayEnvironment;
  /** Who sent it. */
  readonly clientId: string;
  /** The schema version whose names it uses; 0: not said, the newest. */
  readonly schemaVersion: number;
}

/** Refuses a transaction. */
export function reject(
  mutationId: number,
  delta: number,
  code: RejectionCode,
  message: string,
): { readonly rejection: Rejection } {
  return { rejection: { mutationId, code, message, delta } };
}

/**
 * Judges a transaction. One that a forgotten refusal comes with stays refused. Deltas without a stamp get one, and the clock takes in those with one.
 *
 * @param context schema, clock and sender
 * @param transaction the transaction, or one part of it
 * @param offset how many deltas of the transaction come before this part
 * @returns the valid deltas, or why there are none
 */
export function judge(
  context: JudgeContext,
  transaction: Transaction,
  offset = 0,
): Judgment {
  const { catalog, env, schemaVersion } = context;
  const { mutationId, deltas, refused } = transaction;
  const limits = limitsOf(env);
  if (refused !== undefined && deltas.length === 0) {
    const message = refused.message.slice(0, MAX_MESSAGE_LENGTH);
    return reject(mutationId, refused.delta, refused.code, message);
  }
  if (schemaVersion > catalog.schema.version) {
    const message =
      `The gateway has schema version ${catalog.schema.version}, push again when it has ${schemaVersion}`;
    return { stop: { mutationId, code: "SCHEMA_AHEAD", message } };
  }
  const version = catalog.version(schemaVersion);
  if (version === undefined) {
    // Whoever takes pushes in refuses them whole; this one was on its way when the version went.
    return { stop: { mutationId, code: "SCHEMA_AHEAD", message: notServed(schemaVersion) } };
  }
  const stop = drift(context, transaction, limits);
  if (stop !== undefined) return { stop };
  if (deltas.length > limits.maxPushDeltas) {
    const message =
      `At most ${limits.maxPushDeltas} deltas in one part, send a large transaction in parts`;
    return reject(mutationId, offset, "PAYLOAD_TOO_LARGE", message);
  }
  const staleMs = env.now() - retentionOf(env).tombstoneDays * DAY_MS;
  const judged: JudgedDelta[] = [];
  for (const [i, delta] of deltas.entries()) {
    const compiled = version.compile(delta.shape);
    if (typeof compiled === "string") {
      return reject(mutationId, offset + i, "SCHEMA_ERROR", compiled);
    }
    const misfit = deltaMisfit(compiled, delta);
    if (misfit !== undefined) {
      return reject(mutationId, offset + i, "VALIDATION_ERROR", misfit);
    }
    const refusal = stampMisfit(context, delta, staleMs);
    if (refusal !== undefined) {
      return reject(mutationId, offset + i, ...refusal);
    }
    judged.push({ delta: stamped(delta, context.clock), compiled });
  }
  return { deltas: judged };
}

/**
 * Stops at a stamp that is neither near the physical clock nor the very next one after the greatest
 * so far. Where the physical clock was ahead for a while, that next one is what devices write by; and
 * since each delta then moves the clock by one tick, nobody can drive it faster than time goes.
 */
function drift(
  { clock, env }: JudgeContext,
  transaction: Transaction,
  limits: Limits,
): Stop | undefined {
  const { mutationId, deltas } = transaction;
  const maxMs = env.now() + limits.maxClockDriftMs;
  for (const { hlc } of deltas) {
    if (hlc === undefined) continue;
    if (hlcMs(hlc) > maxMs && hlc > clock.last + 1n) {
      const message = "Stamped too far ahead of the gateway's clock, stamp it anew and push again";
      return { mutationId, code: "CLOCK_DRIFT", message };
    }
    clock.receive(hlc);
  }
  return undefined;
}

function stampMisfit(
  { clientId, env }: JudgeContext,
  delta: Delta,
  staleMs: number,
): [RejectionCode, string] | undefined {
  const { hlc, deltaId } = delta;
  if (hlc === undefined) {
    return deltaId === undefined ? undefined : [
      "VALIDATION_ERROR",
      "A delta with a deltaId needs the hlc it was taken over",
    ];
  }
  if (hlcMs(hlc) < staleMs) {
    return [
      "STALE_WRITE",
      `Written before the ${retentionOf(env).tombstoneDays} days that are kept`,
    ];
  }
  if (
    deltaId !== undefined &&
    deltaIdOf(clientId, delta, hlc, env.hash) !== deltaId
  ) {
    return [
      "CHECKSUM_MISMATCH",
      "The deltaId is not the SHA-256 of the delta's canonical JSON",
    ];
  }
  return undefined;
}

function stamped(delta: Delta, clock: HybridClock): JudgedDelta["delta"] {
  const { hlc } = delta;
  return hlc === undefined ? { ...delta, hlc: clock.tick() } : { ...delta, hlc };
}
