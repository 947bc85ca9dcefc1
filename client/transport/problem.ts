/**
 * What a request to the gateway can fail by, sorted by what the client does about it.
 *
 * @module
 */

import { type ErrorBody, LakeSyncError } from "@lakesync/core";

/** The gateway could not be reached, or its answer was not one of a gateway. */
export class OfflineError extends Error {
  override readonly name = "OfflineError";
}

/** The app gave no token, or the gateway refused it after one refresh. */
export class NeedsTokenError extends Error {
  override readonly name = "NeedsTokenError";
}

/** What to do about a failure. */
export type Remedy =
  /** Try again after a while. */
  | { readonly kind: "retry"; readonly atLeastMs: number }
  /** Wait for a new token. */
  | { readonly kind: "token" }
  /** Somebody must mend something; try again rarely. */
  | { readonly kind: "mend" };

/** Makes the error of an error answer. */
export function toError(body: ErrorBody): LakeSyncError {
  const { error, code, lastMutationId, mutationId, links, clientId, retryAfterSeconds } = body;
  return new LakeSyncError(code, error, {
    ...(lastMutationId === undefined ? {} : { lastMutationId }),
    ...(mutationId === undefined ? {} : { mutationId }),
    ...(links === undefined ? {} : { links }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  });
}

/**
 * Sorts a failure of a request.
 *
 * @param error what was thrown
 * @returns what to do about it
 */
export function remedyFor(error: unknown): Remedy {
  if (error instanceof NeedsTokenError) return { kind: "token" };
  if (!(error instanceof LakeSyncError)) return { kind: "retry", atLeastMs: 0 };
  if (error.code === "AUTH_ERROR") return { kind: "token" };
  if (error.status >= 500 || error.code === "RATE_LIMITED") {
    return { kind: "retry", atLeastMs: (error.details.retryAfterSeconds ?? 0) * 1000 };
  }
  return { kind: "mend" };
}
