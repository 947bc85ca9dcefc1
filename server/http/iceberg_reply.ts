/**
 * Errors in the form of an Iceberg REST catalog, for everything under `/v1/iceberg`.
 *
 * Source: Apache Iceberg REST catalog specification, "ErrorModel".
 *
 * @module
 */

import { ERROR_STATUS, type ErrorCode, LakeSyncError } from "@lakesync/core";
import { CONTENT_TYPE } from "./media.ts";
import { errorBody } from "./reply.ts";
import { retryAfterHeader } from "./retry.ts";

/** Where the catalog is. */
export const ICEBERG_PATH = "/v1/iceberg";

/** What a catalog calls each error that it may answer. */
export const ICEBERG_TYPES: Readonly<Partial<Record<ErrorCode, string>>> = {
  VALIDATION_ERROR: "BadRequestException",
  AUTH_ERROR: "NotAuthorizedException",
  FORBIDDEN: "ForbiddenException",
  NOT_FOUND: "NotFoundException",
  METHOD_NOT_ALLOWED: "UnsupportedOperationException",
  RATE_LIMITED: "TooManyRequestsException",
  INTERNAL_ERROR: "InternalServerError",
  ADAPTER_ERROR: "ServiceFailureException",
  BACKPRESSURE: "SlowDownException",
  DRAINING: "ServiceUnavailableException",
  TIMEOUT: "GatewayTimeoutException",
};

/** What is asked for is not there. */
export class IcebergNotFound extends LakeSyncError {
  /** What a catalog calls it. */
  readonly type: string;

  /**
   * Makes the error.
   *
   * @param kind what is not there
   * @param message says so
   */
  constructor(kind: "Namespace" | "Table", message: string) {
    super("NOT_FOUND", message);
    this.type = `NoSuch${kind}Exception`;
  }
}

/** Whether a path is the catalog's. */
export function isIcebergPath(path: string): boolean {
  return path === ICEBERG_PATH || path.startsWith(`${ICEBERG_PATH}/`);
}

/**
 * Answers with an error.
 *
 * @param error what was thrown
 * @param requestId finds it in the log
 * @param headers further headers
 */
export function replyIcebergError(
  error: unknown,
  requestId: string,
  headers: Record<string, string> = {},
): Response {
  const { error: message, code, retryAfterSeconds } = errorBody(error, requestId);
  const status = ERROR_STATUS[code];
  const type = error instanceof IcebergNotFound ? error.type : ICEBERG_TYPES[code] ?? code;
  const all = new Headers({
    ...headers,
    "Content-Type": CONTENT_TYPE.json,
    "Cache-Control": "no-store",
  });
  if (retryAfterSeconds !== undefined) {
    all.set("Retry-After", retryAfterHeader(retryAfterSeconds));
  }
  if (status === 401) all.set("WWW-Authenticate", 'Bearer realm="lakesync"');
  return Response.json({ error: { message, type, code: status } }, { status, headers: all });
}
