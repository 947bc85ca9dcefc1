/**
 * Objects as files of one folder. An object is written beside the others under a name that no key
 * has, flushed to the disk and renamed, so none is ever there in part.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { checkObjectKey, type ObjectHead, type ObjectStore } from "./object_store.ts";

/** Unfinished objects; no key begins with a dot. */
const UNFINISHED = ".unfinished";

function isMissing(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOENT" || code === "ENOTDIR";
}

async function orMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Makes a rename durable, where folders can be flushed at all. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder).catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

class FileObjects implements ObjectStore {
  readonly #root: string;

  constructor(folder: string) {
    this.#root = resolve(folder);
  }

  #path(key: string): string {
    return join(this.#root, ...checkObjectKey(key).split("/"));
  }

  async putObject(key: string, bytes: Uint8Array): Promise<void> {
    const path = this.#path(key);
    const unfinished = join(this.#root, UNFINISHED, randomUUID());
    try {
      const file = await open(unfinished, "wx");
      try {
        await file.writeFile(bytes);
        await file.datasync();
      } finally {
        await file.close();
      }
      await this.#publish(unfinished, path);
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
    await syncFolder(dirname(path));
  }

  /** Renames; the folder may be removed by a deletion in the same moment. */
  async #publish(unfinished: string, path: string): Promise<void> {
    for (let tries = 0;; tries++) {
      await mkdir(dirname(path), { recursive: true });
      try {
        return await rename(unfinished, path);
      } catch (error) {
        if (!isMissing(error) || tries === 3) throw error;
      }
    }
  }

  async getObject(key: string): Promise<Uint8Array | undefined> {
    const bytes = await orMissing(readFile(this.#path(key)));
    return bytes && new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  async headObject(key: string): Promise<ObjectHead | undefined> {
    const found = await orMissing(stat(this.#path(key)));
    return found?.isFile() ? { key, bytes: found.size } : undefined;
  }

  async *listObjects(folder: string): AsyncGenerator<ObjectHead> {
    const path = folder === "" ? this.#root : this.#path(folder);
    const entries = await orMissing(readdir(path, { withFileTypes: true })) ?? [];
    for (const entry of entries) {
      if (entry.name.startsWith(".")) continue;
      const key = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) yield* this.listObjects(key);
      else {
        const head = await this.headObject(key);
        if (head !== undefined) yield head;
      }
    }
  }

  async deleteObject(key: string): Promise<void> {
    const path = this.#path(key);
    await orMissing(rm(path));
    await this.#prune(dirname(path));
  }

  async deleteObjects(keys: readonly string[]): Promise<void> {
    const paths = keys.map((key) => this.#path(key));
    for (const path of paths) await orMissing(rm(path));
    for (const folder of new Set(paths.map((path) => dirname(path)))) await this.#prune(folder);
  }

  /** Removes folders that have become empty. */
  async #prune(folder: string): Promise<void> {
    for (let at = folder; at.length > this.#root.length; at = dirname(at)) {
      try {
        await rmdir(at);
      } catch {
        return;
      }
    }
  }
}

/**
 * Opens a folder of objects, and makes it when it is not there. What an earlier process did not
 * finish is removed, so one process at a time opens a folder.
 *
 * @param folder its path
 *
 * @example
 * ```ts
 * import { openFileObjects } from "@lakesync/adapters";
 *
 * const folder = await Deno.makeTempDir();
 * const objects = await openFileObjects(folder);
 * await objects.putObject("notes/1", new TextEncoder().encode("milk"));
 * console.assert((await objects.getObject("notes/1"))?.length === 4);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function openFileObjects(folder: string): Promise<ObjectStore> {
  const unfinished = join(resolve(folder), UNFINISHED);
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  return new FileObjects(folder);
}
