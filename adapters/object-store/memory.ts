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

interface Kept {
  readonly bytes: Uint8Array;
  readonly modifiedMs: number;
}

class MemoryObjects implements ObjectStore {
  readonly #objects = new Map<string, Kept>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  #keep(key: string, bytes: Uint8Array): void {
    this.#objects.set(key, { bytes: bytes.slice(), modifiedMs: this.#now() });
  }

  putObject(key: string, bytes: Uint8Array): Promise<void> {
    return Promise.try(() => {
      this.#keep(checkObjectKey(key), bytes);
    });
  }

  createObject(key: string, bytes: Uint8Array): Promise<boolean> {
    return Promise.try(() => {
      if (this.#objects.has(checkObjectKey(key))) return false;
      this.#keep(key, bytes);
      return true;
    });
  }

  getObject(key: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    return Promise.try(() => {
      const object = this.#objects.get(checkObjectKey(key))?.bytes;
      const [from, to] = locateRange(range, object?.length ?? 0);
      return object?.slice(from, to);
    });
  }

  headObject(key: string): Promise<ObjectHead | undefined> {
    return Promise.try(() => {
      const object = this.#objects.get(checkObjectKey(key));
      return object && headOf(key, object);
    });
  }

  async *listObjects(folder: string): AsyncGenerator<ObjectHead> {
    const prefix = folder === "" ? "" : `${checkObjectKey(folder)}/`;
    for (const [key, object] of [...this.#objects]) {
      if (key.startsWith(prefix)) yield await Promise.resolve(headOf(key, object));
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

function headOf(key: string, { bytes, modifiedMs }: Kept): ObjectHead {
  return { key, bytes: bytes.length, modifiedMs };
}

/**
 * Makes a store that lives as long as the process.
 *
 * @param now its clock, in milliseconds since 1970
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
export function memoryObjects(now: () => number = Date.now): ObjectStore {
  return new MemoryObjects(now);
}
