/**
 * Errors that all stores throw in the same words.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";

/** The head is not where a commit expected it. */
export function headMoved(): LakeSyncError {
  return new LakeSyncError(
    "BACKPRESSURE",
    "Another commit came first, read again and retry",
    { retryAfterSeconds: 1 },
  );
}

/** The store was used after it was closed. */
export function storeClosed(): LakeSyncError {
  return new LakeSyncError(
    "INTERNAL_ERROR",
    "The store is closed, open it again",
  );
}

/** A commit was asked for while a large one is open. */
export function largeOpen(): LakeSyncError {
  return new LakeSyncError(
    "INTERNAL_ERROR",
    "A large commit is open, end it before another commit",
  );
}

/** A large commit was used after it had ended. */
export function largeEnded(): LakeSyncError {
  return new LakeSyncError(
    "INTERNAL_ERROR",
    "The large commit has ended, begin another one",
  );
}

/** A gateway's store was opened twice. */
export function openTwice(gatewayId: string): LakeSyncError {
  return new LakeSyncError(
    "INTERNAL_ERROR",
    `The store of gateway ${gatewayId} is open already, close it first`,
  );
}

/** A row was written with a handle that is not its own. */
export function wrongRef(): LakeSyncError {
  return new LakeSyncError(
    "INTERNAL_ERROR",
    "A row was written with another handle than the one it was read with",
  );
}

/** A view was read after it had ended. */
export function viewEnded(): LakeSyncError {
  return new LakeSyncError(
    "INTERNAL_ERROR",
    "The view has ended, open another one",
  );
}

/** What a view was to show is no longer there. */
export function snapshotLost(): LakeSyncError {
  return new LakeSyncError(
    "BACKPRESSURE",
    "The snapshot was lost while it was read, read again and retry",
    { retryAfterSeconds: 1 },
  );
}

/** So many seconds callers wait before they try again on a full disk. */
const FULL_RETRY_SECONDS = 2;

/**
 * What a store throws when it could not write.
 *
 * @param cause what its database threw; SQLite, also the one below Deno KV, says by the message
 * alone that the disk is full
 * @returns `BACKPRESSURE` for a full disk, which goes on by itself once there is space; else
 * `INTERNAL_ERROR`, or the cause when it is told in the words of stores already
 */
export function writeFailed(cause: unknown): LakeSyncError {
  if (cause instanceof LakeSyncError) return cause;
  if (isDiskFull(cause)) {
    return new LakeSyncError(
      "BACKPRESSURE",
      "The disk of the gateway is full and nothing was written, free space on it and retry",
      { retryAfterSeconds: FULL_RETRY_SECONDS },
      { cause },
    );
  }
  return new LakeSyncError(
    "INTERNAL_ERROR",
    "The store could not write and has written nothing, see the log",
    {},
    { cause },
  );
}

/** Whether an error says that there is no space left. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && error.message.includes("database or disk is full");
}
