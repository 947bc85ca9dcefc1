/**
 * Folders that come and go with the files in them, whose names are on the disk before anybody is
 * told that a file in them is there.
 *
 * @module
 */

import { mkdir, open, rmdir } from "node:fs/promises";
import { dirname } from "node:path";

/** What systems say that cannot open or flush folders. */
const NOT_FOR_FOLDERS = ["EISDIR", "EPERM", "EACCES", "EINVAL", "ENOTSUP", "EBADF", "ENOSYS"];
/** How often a folder may be removed in the very moment in which a file comes to it. */
const TRIES = 4;

/** The system's code of an error, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** Whether an error says that there is no such file. */
export function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(codeOf(error) ?? "");
}

/** Whether an error says that this process may not open that folder, or that no folder can be. */
function isNotForUs(error: unknown): boolean {
  if (error instanceof Error && error.name === "NotCapable") return true;
  return isMissing(error) || NOT_FOR_FOLDERS.includes(codeOf(error) ?? "");
}

/** Makes the names in a folder durable, where folders can be flushed at all. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    // One that was removed meanwhile has no names.
    if (!isNotForUs(error)) throw error;
  }
}

/** Makes a folder and those it is in, whose names are durable then. */
export async function makeFolder(folder: string): Promise<void> {
  const made = await mkdir(folder, { recursive: true });
  if (made === undefined) return;
  for (let at = folder; at.length >= made.length; at = dirname(at)) await syncFolder(dirname(at));
}

/** The folders below one. */
export class Folders {
  readonly #root: string;
  /** Those whose own names are durable. */
  readonly #durable = new Set<string>();
  #removals = 0;

  /** @param root the folder, which is there */
  constructor(root: string) {
    this.#root = root;
  }

  /**
   * Brings a file to its place, and makes its name and those of the folders it is in durable.
   *
   * @param path where
   * @param place brings it there, once its folder is there
   */
  async bring(path: string, place: () => Promise<void>): Promise<void> {
    const removals = this.#removals;
    const folder = dirname(path);
    for (let tries = 1;; tries++) {
      await mkdir(folder, { recursive: true });
      try {
        await place();
        break;
      } catch (error) {
        if (!isMissing(error) || tries === TRIES) throw error;
      }
    }
    await syncFolder(folder);
    for (let at = folder; at.length > this.#root.length; at = dirname(at)) {
      if (this.#durable.has(at)) break;
      await syncFolder(dirname(at));
    }
    // If none was removed since, those that are there are those that were flushed.
    if (this.#removals !== removals) return;
    for (let at = folder; at.length > this.#root.length; at = dirname(at)) this.#durable.add(at);
  }

  /**
   * Removes a folder and those it is in, as far as they are empty.
   *
   * @param folder the folder
   */
  async prune(folder: string): Promise<void> {
    for (let at = folder; at.length > this.#root.length; at = dirname(at)) {
      this.#forget(at);
      try {
        await rmdir(at);
      } catch {
        return;
      } finally {
        this.#forget(at);
      }
    }
  }

  #forget(folder: string): void {
    this.#removals++;
    this.#durable.delete(folder);
  }
}
