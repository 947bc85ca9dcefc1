/**
 * Whether a request is within a rate, and what its caller is told of that.
 *
 * Source of the headers: draft-ietf-httpapi-ratelimit-headers-11 for `RateLimit` and
 * `RateLimit-Policy`, and its sixth version, which more clients read, for the other three.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { TokenBucket } from "./token_bucket.ts";

/** Whose rate it is. */
export type RatePolicy = "address" | "user";

/** Whether one request is within a rate. */
export interface RateVerdict {
  /** Whose rate it is. */
  readonly policy: RatePolicy;
  /** Whether the request goes on. */
  readonly admitted: boolean;
  /** Requests at once after a pause. */
  readonly limit: number;
  /** How long all of them take to come back, in milliseconds. */
  readonly windowMs: number;
  /** Requests that are left now. */
  readonly remaining: number;
  /** When all of them are back, in milliseconds. */
  readonly fullMs: number;
  /** When the next one is, in milliseconds; 0 when there is one. */
  readonly waitMs: number;
}

/** Makes the verdict of one request. */
export function verdictOf(
  policy: RatePolicy,
  bucket: TokenBucket,
  admitted: boolean,
  fullAt: bigint,
  now: bigint,
): RateVerdict {
  const state = bucket.state(fullAt, now);
  return { policy, admitted, limit: bucket.burst, windowMs: bucket.fillMs, ...state };
}

const WHOSE: Readonly<Record<RatePolicy, string>> = { address: "this address", user: "this user" };

/**
 * Lets a request that is within its rate go on.
 *
 * @throws {LakeSyncError} `RATE_LIMITED` for another one
 */
export function requireAdmitted({ admitted, policy, waitMs }: RateVerdict): void {
  if (admitted) return;
  throw new LakeSyncError(
    "RATE_LIMITED",
    `Too many requests from ${WHOSE[policy]}, wait and send fewer`,
    { retryAfterSeconds: Math.max(1, waitMs) / 1000 },
  );
}

/** The one of two verdicts that leaves less. */
export function tighter(one: RateVerdict | undefined, other: RateVerdict): RateVerdict {
  return one === undefined || other.remaining <= one.remaining ? other : one;
}

/** Tells a caller how a rate stands. */
export function setRateHeaders(headers: Map<string, string>, verdict: RateVerdict): void {
  const { policy, limit, remaining, fullMs, windowMs } = verdict;
  const resetSeconds = Math.ceil(fullMs / 1000);
  headers.set("RateLimit-Limit", String(limit));
  headers.set("RateLimit-Remaining", String(remaining));
  headers.set("RateLimit-Reset", String(resetSeconds));
  headers.set("RateLimit-Policy", `"${policy}";q=${limit};w=${Math.ceil(windowMs / 1000)}`);
  headers.set("RateLimit", `"${policy}";r=${remaining};t=${resetSeconds}`);
}
