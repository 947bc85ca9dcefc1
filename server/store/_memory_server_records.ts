/**
 * Records of a server in memory.
 *
 * @module
 */

import { checkRecordBatch } from "./_record_bounds.ts";
import type { RecordBatch, RecordRange, RecordStore, ServerRecord } from "./records.ts";

interface Kept extends ServerRecord {
  readonly expiresMs: number;
}

/** Keys in the order of their UTF-8 bytes, which is that of code points. */
function compareKeys(a: string, b: string): number {
  if (a === b) return 0;
  const [x, y] = [new TextEncoder().encode(a), new TextEncoder().encode(b)];
  const at = x.findIndex((byte, index) => byte !== y[index]);
  return at < 0 ? -1 : (x[at] ?? 0) - (y[at] ?? -1);
}

/** Records that end with the process. */
export class MemoryRecords implements RecordStore {
  readonly shared = false;
  readonly #kept = new Map<string, Kept>();
  readonly #now: () => number;
  #version = 0;

  /** @param now the clock that records expire by, in milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  #there(key: string): Kept | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined || kept.expiresMs > this.#now()) return kept;
    this.#kept.delete(key);
    return undefined;
  }

  get(key: string): Promise<ServerRecord | undefined> {
    return Promise.resolve(this.#there(key));
  }

  list({ from, to, limit, reverse = false }: RecordRange): Promise<readonly ServerRecord[]> {
    const keys = [...this.#kept.keys()].filter((key) => this.#there(key) !== undefined)
      .filter((key) => compareKeys(key, from) >= 0 && compareKeys(key, to) < 0)
      .sort(compareKeys);
    if (reverse) keys.reverse();
    const found = keys.slice(0, limit).flatMap((key) => this.#kept.get(key) ?? []);
    return Promise.resolve(found);
  }

  commit(batch: RecordBatch): Promise<boolean> {
    return Promise.try(() => {
      checkRecordBatch(batch);
      const { checks = [], set = [], remove = [] } = batch;
      if (checks.some(({ key, version }) => (this.#there(key)?.version ?? null) !== version)) {
        return false;
      }
      for (const key of remove) this.#kept.delete(key);
      for (const { key, value, expiresMs = Infinity } of set) {
        this.#kept.set(key, { key, value, expiresMs, version: String(++this.#version) });
      }
      return true;
    });
  }
}
