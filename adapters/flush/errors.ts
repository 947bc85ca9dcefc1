/**
 * What a flush fails with by itself.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { DestinationError } from "../adapter.ts";

/** The flush was closed. */
export function closed(): LakeSyncError {
  return new LakeSyncError("DRAINING", "The flush is closed, try again");
}

/** A destination did not answer in time, in milliseconds. */
export function silent(name: string, ms: number): LakeSyncError {
  return new LakeSyncError("TIMEOUT", `${name} did not answer within ${ms} ms, it is asked again`);
}

/** A destination is another gateway's. */
export function taken(name: string): DestinationError {
  return new DestinationError(
    "stop",
    `${name} holds the changes of another gateway, or of one whose data is gone; ` +
      "give this gateway a schema, database, folder or prefix of its own, or empty that one",
  );
}

/** The log lacks what a destination lacks. */
export function lacking(): LakeSyncError {
  return new LakeSyncError(
    "RESYNC_REQUIRED",
    "The log no longer holds what the destination lacks, fill the destination anew",
  );
}
