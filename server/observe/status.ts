/**
 * What a push, a pull or a request came to, in the few words that metrics have for it.
 *
 * @module
 */

import { ERROR_STATUS, type ErrorCode, LakeSyncError } from "@lakesync/core";

/**
 * It was done (`ok`), refused for what it is (`refused`), turned away for now (`shed`), given up
 * since its time was over or its caller had gone (`aborted`), or failed on the server (`failed`).
 */
export type Status = "ok" | "refused" | "shed" | "aborted" | "failed";

/** All of them. */
export const STATUSES: readonly Status[] = ["ok", "refused", "shed", "aborted", "failed"];

/** What a code comes to. */
export function statusOf(code: ErrorCode): Status {
  if (code === "TIMEOUT") return "aborted";
  const status = ERROR_STATUS[code];
  if (status === 429 || status === 503) return "shed";
  return status >= 500 ? "failed" : "refused";
}

/** The code of whatever was thrown. */
export function codeOf(error: unknown): ErrorCode {
  return error instanceof LakeSyncError ? error.code : "INTERNAL_ERROR";
}
