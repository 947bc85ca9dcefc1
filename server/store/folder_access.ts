/**
 * What is said when the operating system keeps this process out of a data folder: whose folder it
 * is, who this process is, and what to do.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";

/** Who this process is, where that may be asked. */
function ownUser(): number | undefined {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "uid" });
  return state === "granted" ? Deno.uid() ?? undefined : undefined;
}

async function ownerOf(folder: string): Promise<string> {
  try {
    const { uid, mode } = await Deno.stat(folder);
    if (uid === null || mode === null) return "is another user's";
    return `belongs to user ${uid} (mode ${(mode & 0o7777).toString(8).padStart(4, "0")})`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "is not there and cannot be made";
    return "or one above it is closed to this process";
  }
}

/** A folder of a disk that is mounted to be read only. */
function isReadOnly(error: unknown): boolean {
  return error instanceof Error && error.message.includes("(os error 30)");
}

/**
 * Does something in a data folder.
 *
 * @param folder its path
 * @param work what
 * @returns what the work gives
 * @throws {LakeSyncError} `INTERNAL_ERROR` when the system refuses; whatever else the work throws
 */
export async function inFolder<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (isReadOnly(cause)) {
      throw new LakeSyncError(
        "INTERNAL_ERROR",
        `The data folder ${folder} is on a disk that is read only, mount it writable or give ` +
          "another --data",
        {},
        { cause },
      );
    }
    if (!(cause instanceof Deno.errors.PermissionDenied)) throw cause;
    const user = ownUser();
    const who = user === undefined ? "the user who runs this" : `user ${user}`;
    const command = `chown -R ${user ?? "<user>"} ${folder}`;
    throw new LakeSyncError(
      "INTERNAL_ERROR",
      `The data folder ${folder} is not open to ${who}: it ${await ownerOf(folder)}, and all in ` +
        `it must be readable and writable. Give it to ${who} (${command}), run as its owner, or ` +
        `give another --data: ${cause.message}`,
      {},
      { cause },
    );
  }
}
