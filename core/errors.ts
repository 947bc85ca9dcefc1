/**
 * The one closed list of error codes and the error that carries them. Every code is part of
 * the protocol: it is what a caller decides on, the message is what a person reads.
 *
 * @module
 */

/** The HTTP status that answers a request refused with each code. */
export const ERROR_STATUS = {
  VALIDATION_ERROR: 400,
  AUTH_ERROR: 401,
  FORBIDDEN: 403,
  CLIENT_NOT_YOURS: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  MUTATION_GAP: 409,
  CLIENT_FORKED: 409,
  SCHEMA_CONFLICT: 409,
  RESYNC_REQUIRED: 410,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  SCHEMA_ERROR: 422,
  IDEMPOTENCY_MISMATCH: 422,
  RATE_LIMITED: 429,
  INTERNAL_ERROR: 500,
  ADAPTER_ERROR: 502,
  BACKPRESSURE: 503,
  DRAINING: 503,
  TIMEOUT: 504,
} as const;

/** A code that refuses a whole request. */
export type ErrorCode = keyof typeof ERROR_STATUS;

/** A code that refuses one transaction of a push; the rest of the push goes on. */
export type RejectionCode =
  | "SCHEMA_ERROR"
  | "VALIDATION_ERROR"
  | "CHECKSUM_MISMATCH"
  | "FORBIDDEN_WRITE"
  | "NO_SUCH_ROW"
  | "STALE_WRITE"
  | "PAYLOAD_TOO_LARGE";

/** A code that stops a push at a transaction the client must first mend. */
export type StopCode = "CLOCK_DRIFT" | "SCHEMA_AHEAD";

/** All rejection codes, in the order of the protocol page. */
export const REJECTION_CODES: readonly RejectionCode[] = [
  "SCHEMA_ERROR",
  "VALIDATION_ERROR",
  "CHECKSUM_MISMATCH",
  "FORBIDDEN_WRITE",
  "NO_SUCH_ROW",
  "STALE_WRITE",
  "PAYLOAD_TOO_LARGE",
];

/** Facts beside the message that a caller acts on; every value is safe to show. */
export interface ErrorDetails {
  /** Seconds after which a retry makes sense (429 and 503). */
  readonly retryAfterSeconds?: number;
  /** The last mutationId the gateway has consumed (`MUTATION_GAP`, `CLIENT_FORKED`). */
  readonly lastMutationId?: number;
  /** The transaction at which a client's history leaves the gateway's (`CLIENT_FORKED`). */
  readonly mutationId?: number;
  /** Links of the gateway's chain, by which a client finds where they parted (`CLIENT_FORKED`). */
  readonly links?: readonly ChainLink[];
  /** The name that a client is to go back to, which it had before a fork (`CLIENT_FORKED`). */
  readonly clientId?: string;
}

/** A link of a client's chain. */
export interface ChainLink {
  /** The transaction. */
  readonly mutationId: number;
  /** Its chain, or at least the first 16 digits of it, in lower-case hex. */
  readonly hash: string;
}

/**
 * The error public functions throw.
 *
 * @example
 * ```ts
 * import { LakeSyncError } from "@lakesync/core";
 *
 * const error = new LakeSyncError("NOT_FOUND", "No gateway named notes, create it with PUT schema");
 * console.assert(error.status === 404);
 * ```
 */
export class LakeSyncError extends Error {
  /** Tells the error's class apart where `instanceof` cannot. */
  override readonly name = "LakeSyncError";
  /** What went wrong, from the closed list. */
  readonly code: ErrorCode;
  /** Facts beside the message that a caller acts on. */
  readonly details: ErrorDetails;

  /**
   * Makes an error.
   *
   * @param code what went wrong
   * @param message what happened and what to do, without secrets or row values
   * @param details facts a caller acts on
   * @param options the underlying cause, for logs only
   */
  constructor(
    code: ErrorCode,
    message: string,
    details: ErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  /** The HTTP status that answers this error. */
  get status(): number {
    return ERROR_STATUS[this.code];
  }
}

/**
 * Tells whether a text is a code of the closed list.
 *
 * @param code a text, for instance from an answer of the gateway
 * @returns whether it is an {@linkcode ErrorCode}
 */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(ERROR_STATUS, code);
}
