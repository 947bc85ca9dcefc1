/**
 * Objects in memory that can be copied, and that fail at a chosen operation: they die as a process
 * does, when half of it was done, or only the answer is lost.
 *
 * @module
 */

import type {
  ByteRange,
  ObjectHead,
  ObjectStore,
} from "../../adapters/object-store/object_store.ts";
import { locateRange } from "../../adapters/object-store/object_store.ts";

/**
 * How an operation fails: half of it took effect, of writing an object nothing, and nothing works any
 * more (`half`); it took effect, and all goes on (`lost`).
 */
export type Fault = "half" | "lost";

/** An operation that failed. */
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
  /** It fails with this operation, counted from 1; undefined when it does not. */
  faultAt: number | undefined;
  /** How it fails. */
  fault: Fault = "half";
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
    const isOver = this.faultAt !== undefined && this.writes >= this.faultAt;
    if (isOver && this.fault === "half") throw new Dead("Dead");
  }

  async #write<T>(half: () => void, all: () => T): Promise<T> {
    this.#check();
    const isFaulty = ++this.writes === this.faultAt;
    if (isFaulty && this.fault === "half") {
      half();
      throw new Dead("Dead");
    }
    const result = all();
    if (isFaulty) throw new Dead("The answer is lost");
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
