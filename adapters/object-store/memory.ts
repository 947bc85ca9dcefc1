/**
 * Objects in memory: for tests, and for servers that keep nothing.
 *
 * @module
 */

import {
  type ByteRange,
  checkObjectKey,
  locateRange,
  type ObjectHead,
  type ObjectStore,
} from "./object_store.ts";

class MemoryObjects implements ObjectStore {
  readonly #objects = new Map<string, Uint8Array>();

  putObject(key: string, bytes: Uint8Array): Promise<void> {
    return Promise.try(() => {
      this.#objects.set(checkObjectKey(key), bytes.slice());
    });
  }

  createObject(key: string, bytes: Uint8Array): Promise<boolean> {
    return Promise.try(() => {
      if (this.#objects.has(checkObjectKey(key))) return false;
      this.#objects.set(key, bytes.slice());
      return true;
    });
  }

  getObject(key: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    return Promise.try(() => {
      const object = this.#objects.get(checkObjectKey(key));
      const [from, to] = locateRange(range, object?.length ?? 0);
      return object?.slice(from, to);
    });
  }

  headObject(key: string): Promise<ObjectHead | undefined> {
    return Promise.try(() => {
      const object = this.#objects.get(checkObjectKey(key));
      return object && { key, bytes: object.length };
    });
  }

  async *listObjects(folder: string): AsyncGenerator<ObjectHead> {
    const prefix = folder === "" ? "" : `${checkObjectKey(folder)}/`;
    for (const [key, { length }] of [...this.#objects]) {
      if (key.startsWith(prefix)) yield await Promise.resolve({ key, bytes: length });
    }
  }

  deleteObject(key: string): Promise<void> {
    return this.deleteObjects([key]);
  }

  deleteObjects(keys: readonly string[]): Promise<void> {
    return Promise.try(() => {
      for (const key of keys) this.#objects.delete(checkObjectKey(key));
    });
  }
}

/**
 * Makes a store that lives as long as the process.
 *
 * @example
 * ```ts
 * import { memoryObjects } from "@lakesync/adapters";
 *
 * const objects = memoryObjects();
 * await objects.putObject("notes/1", new TextEncoder().encode("milk"));
 * console.assert((await objects.headObject("notes/1"))?.bytes === 4);
 * ```
 */
export function memoryObjects(): ObjectStore {
  return new MemoryObjects();
}
