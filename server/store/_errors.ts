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
