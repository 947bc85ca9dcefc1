/**
 * The lock on a data folder: one process at a time. The operating system holds it and lets it go
 * when the process ends, however it ends; the file's text only says who holds it.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { inFolder } from "./folder_access.ts";

/** Another process, or another store of this one, has the data folder open. */
export class StoreLockedError extends LakeSyncError {
  /**
   * Says who holds it.
   *
   * @param message who holds it and what to do
   */
  constructor(message: string) {
    super("INTERNAL_ERROR", message);
  }
}

/** A held lock. */
export interface FolderLock {
  /** Lets it go. */
  release(): void;
}

/** Who holds a lock, as written into its file. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly since: string;
}

/** The file that is in a data folder as long as a restore into it has not come to its end. */
export const UNFINISHED_RESTORE = "restore-unfinished";

async function isUnfinished(folder: string): Promise<boolean> {
  try {
    await Deno.stat(`${folder}/${UNFINISHED_RESTORE}`);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Makes a data folder that only its owner reads, if it is not there, and locks it.
 *
 * @param folder its path
 * @param restoring whether it is locked to restore into it
 * @returns the lock
 * @throws {StoreLockedError} when it is held already
 * @throws {LakeSyncError} `INTERNAL_ERROR` when a restore into it has not come to its end, or the
 * system keeps this process out of it
 */
export async function lockFolder(folder: string, restoring = false): Promise<FolderLock> {
  const path = `${folder}/lock`;
  const file = await inFolder(folder, async () => {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    return await Deno.open(path, { read: true, write: true, create: true });
  });
  try {
    if (!await file.tryLock(true)) {
      throw new StoreLockedError(
        `The data folder ${folder} is held by ${await nameHolder(path)}, ` +
          "stop that process or choose another folder",
      );
    }
    if (!restoring && await isUnfinished(folder)) {
      throw new LakeSyncError(
        "INTERNAL_ERROR",
        `The data folder ${folder} holds a restore that did not come to its end, ` +
          "run lakesync restore on it again",
      );
    }
    await writeHolder(file);
  } catch (error) {
    file.close();
    throw error;
  }
  return {
    release() {
      // A child that this process begins at this moment has the file too until it runs its program,
      // so closing alone might let go later.
      file.unlockSync();
      file.close();
    },
  };
}

async function writeHolder(file: Deno.FsFile): Promise<void> {
  const holder: Holder = {
    pid: Deno.pid,
    host: await hostname(),
    since: new Date().toISOString(),
  };
  await file.truncate();
  await file.write(new TextEncoder().encode(JSON.stringify(holder)));
}

async function hostname(): Promise<string> {
  const permission = await Deno.permissions.query({
    name: "sys",
    kind: "hostname",
  });
  return permission.state === "granted" ? Deno.hostname() : "unknown";
}

async function nameHolder(path: string): Promise<string> {
  const holder = parseHolder(await Deno.readTextFile(path));
  return holder
    ? `process ${holder.pid} on ${holder.host} since ${holder.since}`
    : "another process";
}

function parseHolder(json: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return isHolder(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isHolder(value: unknown): value is Holder {
  return typeof value === "object" && value !== null &&
    "pid" in value && typeof value.pid === "number" &&
    "host" in value && typeof value.host === "string" &&
    "since" in value && typeof value.since === "string";
}
