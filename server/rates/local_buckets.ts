/**
 * Buckets of one process.
 *
 * @module
 */

import { BucketTable } from "./bucket_table.ts";
import type { TokenBucket } from "./token_bucket.ts";
import { type RatePolicy, type RateVerdict, verdictOf } from "./verdict.ts";

/** Buckets by key. */
export interface Buckets {
  /** Takes a token for one request. */
  take(key: string): RateVerdict | Promise<RateVerdict>;
}

/** What buckets are made of. */
export interface BucketsOptions {
  /** Whose they are. */
  readonly policy: RatePolicy;
  /** How they fill. */
  readonly bucket: TokenBucket;
  /** The clock, in milliseconds. */
  readonly now: () => number;
  /** How many keys are remembered. */
  readonly maxBuckets?: number;
}

/** Buckets in the memory of a process. */
export class LocalBuckets implements Buckets {
  readonly #options: BucketsOptions;
  readonly #table: BucketTable;

  constructor(options: BucketsOptions) {
    this.#options = options;
    this.#table = new BucketTable(options.maxBuckets);
  }

  take(key: string): RateVerdict {
    const { policy, bucket, now } = this.#options;
    const ticks = bucket.ticksOf(now());
    const { granted, fullAt } = bucket.take(this.#table.get(key), ticks, 1);
    if (granted > 0) this.#table.set(key, fullAt, ticks);
    return verdictOf(policy, bucket, granted > 0, fullAt, ticks);
  }
}
