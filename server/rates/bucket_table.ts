/**
 * What the buckets of many keys hold, in bounded memory. One that is full again is as good as one
 * that was never there, so it is forgotten. When all places are taken, the bucket that was used the
 * longest ago is forgotten as if it were full: who has so many keys at hand that this happens has
 * more from using them than from emptying a bucket twice.
 *
 * @module
 */

/** Buckets of one process at most. */
export const MAX_BUCKETS = 100_000;

/** How many old buckets are looked at whenever one is used. */
const SWEPT = 2;

/** When each bucket will be full, by its key. */
export class BucketTable {
  /** In the order of their last use. */
  readonly #fullAt = new Map<string, bigint>();
  readonly #max: number;

  /** @param max how many there may be */
  constructor(max: number = MAX_BUCKETS) {
    this.#max = max;
  }

  /** How many are kept. */
  get size(): number {
    return this.#fullAt.size;
  }

  /** When a bucket will be full; 0, which is over, for one that is not kept. */
  get(key: string): bigint {
    return this.#fullAt.get(key) ?? 0n;
  }

  /** Keeps when a bucket will be full. */
  set(key: string, fullAt: bigint, now: bigint): void {
    this.#fullAt.delete(key);
    this.#sweep(now);
    this.#fullAt.set(key, fullAt);
  }

  #sweep(now: bigint): void {
    let left = SWEPT;
    for (const [key, fullAt] of this.#fullAt) {
      if (fullAt > now && this.#fullAt.size < this.#max) return;
      this.#fullAt.delete(key);
      if (--left === 0) return;
    }
  }
}
