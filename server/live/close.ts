/**
 * Why live connections end, as WebSocket close codes.
 *
 * @module
 */

import type { ErrorCode } from "@lakesync/core";

/** The close codes. */
export const CLOSE = {
  /** It broke a rule on rates or bounds. */
  rate: 1008,
  /** The gateway failed; connecting again may help. */
  failed: 1011,
  /** The server stops; connect again. */
  draining: 1012,
  /** A frame did not parse or was out of place. */
  malformed: 4400,
  /** The token has ended. */
  tokenEnded: 4401,
  /** The right has ended. */
  forbidden: 4403,
} as const;

/** The close code after an error that ends a connection. */
export function closeCodeOf(code: ErrorCode): number {
  switch (code) {
    case "VALIDATION_ERROR":
      return CLOSE.malformed;
    case "AUTH_ERROR":
      return CLOSE.tokenEnded;
    case "FORBIDDEN":
    case "CLIENT_NOT_YOURS":
      return CLOSE.forbidden;
    case "DRAINING":
      return CLOSE.draining;
    default:
      return CLOSE.failed;
  }
}
