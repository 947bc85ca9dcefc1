/**
 * Objects in memory that can be copied, and that die at a chosen operation as a process does: before
 * it took effect, after it did, or when half of it was done.
 *
 * @module
 */

import type {
  ByteRange,
  ObjectHead,
  ObjectStore,
} from "../../adapters/object-store/object_store.ts";
import { locateRange } from "../../adapters/object-store/object_store.ts";

/** How much of the last operation took effect. */
export type Death = "before" | "half" | "after";

/** The process is dead. */
export class Dead extends Error {}

interface Kept {
  readonly bytes: Uint8Array;
  readonly modifiedMs: number;
}

/** Objects in memory. */
export class MortalObjects implements ObjectStore {
  readonly #objects: Map<string, Kept>;
  readonly #now: () => number;
  /** How many operations have changed something. */
  writes = 0;
  /** It dies with this operation, counted from 1; undefined when it does not. */
  deathAt: number | undefined;
  /** How it dies. */
  death: Death = "before";
  /** Called after each operation that changed something. */
  onWrite: () => Promise<void> = () => Promise.resolve();

  constructor(now: () => number, objects: Iterable<readonly [string, Kept]> = []) {
    this.#now = now;
    this.#objects = new Map(objects);
  }

  /** Another store with the same objects, which lives. */
  copy(): MortalObjects {
    return new MortalObjects(this.#now, this.#objects);
  }

  /** The keys of all objects. */
  get keys(): readonly string[] {
    return [...this.#objects.keys()];
  }

  #check(): void {
    if (this.deathAt !== undefined && this.writes >= this.deathAt) throw new Dead("Dead");
  }

  async #write<T>(half: () => void, all: () => T): Promise<T> {
    this.#check();
    const isLast = ++this.writes === this.deathAt;
    if (isLast && this.death === "before") throw new Dead("Dead");
    if (isLast && this.death === "half") {
      half();
      throw new Dead("Dead");
    }
    const result = all();
    if (isLast) throw new Dead("Dead");
    await this.onWrite();
    return result;
  }

  #keep(key: string, bytes: Uint8Array): void {
    this.#objects.set(key, { bytes: bytes.slice(), modifiedMs: this.#now() });
  }

  putObject(key: string, bytes: Uint8Array): Promise<void> {
    return this.#write(() => {}, () => this.#keep(key, bytes));
  }

  createObject(key: string, bytes: Uint8Array): Promise<boolean> {
    return this.#write(() => {}, () => {
      if (this.#objects.has(key)) return false;
      this.#keep(key, bytes);
      return true;
    });
  }

  getObject(key: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    return Promise.try(() => {
      this.#check();
      const bytes = this.#objects.get(key)?.bytes;
      const [from, to] = locateRange(range, bytes?.length ?? 0);
      return bytes?.slice(from, to);
    });
  }

  headObject(key: string): Promise<ObjectHead | undefined> {
    return Promise.try(() => {
      this.#check();
      const kept = this.#objects.get(key);
      return kept && { key, bytes: kept.bytes.length, modifiedMs: kept.modifiedMs };
    });
  }

  async *listObjects(folder: string): AsyncGenerator<ObjectHead> {
    this.#check();
    for (const [key, { bytes, modifiedMs }] of [...this.#objects]) {
      if (folder !== "" && !key.startsWith(`${folder}/`)) continue;
      yield await Promise.resolve({ key, bytes: bytes.length, modifiedMs });
    }
  }

  deleteObject(key: string): Promise<void> {
    return this.deleteObjects([key]);
  }

  deleteObjects(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return Promise.resolve();
    const drop = (some: readonly string[]) => some.forEach((key) => this.#objects.delete(key));
    return this.#write(() => drop(keys.slice(0, keys.length >> 1)), () => drop(keys));
  }
}
