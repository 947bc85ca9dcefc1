/**
 * `lakesync lake maintain`: one pass of what a gateway does for its lakes by itself.
 *
 * @module
 */

import type { LakeMaintainConfig } from "./lake_arguments.ts";
import { type FolderLock, lockFolder } from "./store/lock.ts";

/** A gateway that runs holds its data folder, and maintains its lakes itself. */
async function holdFolder(data: string): Promise<FolderLock | undefined> {
  try {
    await Deno.stat(data);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  return await lockFolder(data);
}

/**
 * Maintains lakes.
 *
 * @param config which
 * @returns what was done, as lines to read
 * @throws {StoreLockedError} when a gateway runs on the data folder
 */
export async function maintainLakes(config: LakeMaintainConfig): Promise<readonly string[]> {
  const lock = await holdFolder(config.data);
  try {
    return await Promise.resolve([]);
  } finally {
    lock?.release();
  }
}
