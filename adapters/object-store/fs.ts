/**
 * Objects as files of one folder. An object is written beside the others under a name that no key
 * has, flushed to the disk and brought to its place by a rename or a link, so none is ever there in
 * part.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { bring, codeOf, isMissing, makeRoot, prune, refusal, seeRoot } from "./fs_folders.ts";
import {
  type ByteRange,
  checkObjectKey,
  isObjectKey,
  locateRange,
  type ObjectHead,
  type ObjectStore,
} from "./object_store.ts";

/** Unfinished objects; no key begins with a dot. */
const UNFINISHED = ".unfinished";
/** What is older than this, in milliseconds, is not being written by any process any more. */
const STALE_MS = 3_600_000;
const IS_FOLDER = ["EISDIR", "ERR_FS_EISDIR"];

async function orMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    // A folder is no object.
    if (isMissing(error) || IS_FOLDER.includes(codeOf(error) ?? "")) return undefined;
    throw error;
  }
}

/** Whether there is a file or nothing any more, and not a folder. */
async function isFile(path: string): Promise<boolean> {
  return (await orMissing(stat(path)))?.isFile() ?? true;
}

async function readRange(path: string, range: ByteRange): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const [from, to] = locateRange(range, (await file.stat()).size);
    const bytes = new Uint8Array(to - from);
    for (let at = 0; at < bytes.length;) {
      const { bytesRead } = await file.read(bytes, at, bytes.length - at, from + at);
      if (bytesRead === 0) throw new Error("An object is shorter than it was");
      at += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

class FileObjects implements ObjectStore {
  readonly #root: string;
  /** The folder is made by who writes first: whoever reads what is not there leaves nothing. */
  #made: Promise<void> | undefined;
  /** Whether the folder was there. */
  #isSeen = false;

  constructor(folder: string) {
    this.#root = resolve(folder);
  }

  #path(key: string): string {
    return join(this.#root, ...checkObjectKey(key).split("/"));
  }

  #make(): Promise<void> {
    return this.#made ??= makeStore(this.#root).catch((error) => {
      this.#made = undefined;
      throw error;
    });
  }

  /** Reads what may not be there. */
  async #read<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      const found = await orMissing(work);
      // What is missing since there can be no folder is not missing but wrong.
      if (found === undefined && !this.#isSeen) this.#isSeen = await seeRoot(this.#root);
      return found;
    } catch (error) {
      throw refusal(this.#root, error, "read");
    }
  }

  async putObject(key: string, bytes: Uint8Array): Promise<void> {
    const path = this.#path(key);
    await this.#write(bytes, async (unfinished) => {
      await bring(this.#root, path, () => rename(unfinished, path));
    });
  }

  async createObject(key: string, bytes: Uint8Array): Promise<boolean> {
    const path = this.#path(key);
    let created = true;
    await this.#write(bytes, async (unfinished) => {
      await bring(this.#root, path, async () => {
        try {
          await link(unfinished, path);
        } catch (error) {
          if (codeOf(error) !== "EEXIST" || !await isFile(path)) throw error;
          created = false;
        }
      });
      await rm(unfinished);
    });
    return created;
  }

  /** Writes a file that is nobody's yet, and removes it when it does not come to its place. */
  async #write(bytes: Uint8Array, finish: (file: string) => Promise<void>): Promise<void> {
    await this.#make();
    const unfinished = join(this.#root, UNFINISHED, randomUUID());
    try {
      const file = await open(unfinished, "wx").catch((error) => {
        throw refusal(this.#root, error, "written");
      });
      try {
        await file.writeFile(bytes);
        await file.datasync();
      } finally {
        await file.close();
      }
      await finish(unfinished);
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
  }

  async getObject(key: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    const path = this.#path(key);
    locateRange(range, 0);
    if (range !== undefined) return await this.#read(readRange(path, range));
    const bytes = await this.#read(readFile(path));
    return bytes && new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  async headObject(key: string): Promise<ObjectHead | undefined> {
    const found = await this.#read(stat(this.#path(key)));
    if (!found?.isFile()) return undefined;
    return { key, bytes: found.size, modifiedMs: found.mtimeMs };
  }

  async *listObjects(folder: string): AsyncGenerator<ObjectHead> {
    const path = folder === "" ? this.#root : this.#path(folder);
    const entries = await this.#read(readdir(path, { withFileTypes: true })) ?? [];
    for (const entry of entries) {
      const key = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (!isObjectKey(key)) continue;
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
    await prune(this.#root, dirname(path));
  }

  async deleteObjects(keys: readonly string[]): Promise<void> {
    const paths = keys.map((key) => this.#path(key));
    for (const path of paths) await orMissing(rm(path));
    for (const folder of new Set(paths.map((path) => dirname(path)))) {
      await prune(this.#root, folder);
    }
  }
}

/** Removes what nobody will finish. */
async function sweep(unfinished: string): Promise<void> {
  for (const name of await readdir(unfinished)) {
    const path = join(unfinished, name);
    const found = await orMissing(stat(path));
    if (found !== undefined && found.mtimeMs < Date.now() - STALE_MS) {
      await rm(path, { force: true });
    }
  }
}

/** Makes a folder for objects. */
async function makeStore(root: string): Promise<void> {
  await makeRoot(root);
  const unfinished = join(root, UNFINISHED);
  try {
    await mkdir(unfinished, { recursive: true });
  } catch (error) {
    throw refusal(root, error, "written");
  }
  await sweep(unfinished);
}

/**
 * Opens a folder of objects, which the first object makes when it is not there. What an earlier
 * process did not finish is removed after an hour, so that others may have the folder open too.
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
export function openFileObjects(folder: string): Promise<ObjectStore> {
  return Promise.resolve(new FileObjects(folder));
}
