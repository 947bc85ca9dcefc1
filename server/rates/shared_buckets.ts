/**
 * Buckets that several processes share, in the records of the server. A process takes tokens for
 * all requests that wait at one moment by one compare-and-set, so that what all processes admit
 * together is exact, and many requests cost one write. A bucket only ever has less than what was
 * last seen of it, so a request beyond that is refused without asking anybody.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { createHash } from "node:crypto";
import type { RecordStore } from "../store/records.ts";
import { BucketTable } from "./bucket_table.ts";
import { type Buckets, type BucketsOptions, LocalBuckets } from "./local_buckets.ts";
import type { TokenBucket } from "./token_bucket.ts";
import { type RateVerdict, verdictOf } from "./verdict.ts";

/** How long a record outlives the time at which its bucket is full, for clocks that differ. */
const CLOCKS_DIFFER_MS = 60_000;
/** How often a take is tried while other processes take from the same bucket. */
const MAX_TRIES = 50;
const MAX_PAUSE_MS = 50;

/** What shared buckets stand on. */
export interface SharedBucketsOptions extends BucketsOptions {
  /** Where they are; `now` of the options is the time since 1970 here. */
  readonly records: RecordStore;
  /** From 0 to 1, not 1. */
  readonly random: () => number;
  /** Waits, in milliseconds. */
  readonly pause: (ms: number) => Promise<void>;
  /** Told when the records fail; the process goes on with buckets of its own then. */
  readonly onError: (error: unknown) => void;
}

interface Waiter {
  readonly resolve: (verdict: RateVerdict) => void;
  readonly reject: (error: unknown) => void;
}

/** Buckets in shared records. */
export class SharedBuckets implements Buckets {
  readonly #options: SharedBucketsOptions;
  /** What was last seen, at least so much is missing. */
  readonly #seen: BucketTable;
  readonly #alone: LocalBuckets;
  readonly #waiting = new Map<string, Waiter[]>();

  constructor(options: SharedBucketsOptions) {
    this.#options = options;
    this.#seen = new BucketTable(options.maxBuckets);
    this.#alone = new LocalBuckets(options);
  }

  take(key: string): RateVerdict | Promise<RateVerdict> {
    const { bucket, policy, now } = this.#options;
    const ticks = bucket.ticksOf(now());
    const seen = this.#seen.get(key);
    if (bucket.state(seen, ticks).remaining === 0) {
      return verdictOf(policy, bucket, false, seen, ticks);
    }
    const { promise, resolve, reject } = Promise.withResolvers<RateVerdict>();
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) {
      this.#waiting.set(key, [{ resolve, reject }]);
      this.#serve(key);
    } else waiting.push({ resolve, reject });
    return promise;
  }

  /** Takes for those who wait until nobody does. */
  async #serve(key: string): Promise<void> {
    for (;;) {
      const waiters = this.#waiting.get(key) ?? [];
      if (waiters.length === 0) break;
      try {
        if (await this.#takeFor(key, waiters)) continue;
        for (const { reject } of waiters.splice(0)) reject(contended());
      } catch (error) {
        this.#options.onError(error);
        for (const { resolve } of waiters.splice(0)) resolve(this.#alone.take(key));
      }
    }
    this.#waiting.delete(key);
  }

  /** Takes for those who wait now; false when other processes were always faster. */
  async #takeFor(key: string, waiters: Waiter[]): Promise<boolean> {
    const { bucket, policy, records, now, random, pause } = this.#options;
    const name = createHash("sha256").update(key).digest("hex");
    const recordKey = `rates/${policy}/${name}`;
    for (let tries = 1; tries <= MAX_TRIES; tries++) {
      const record = await records.get(recordKey);
      const ticks = bucket.ticksOf(now());
      const wanted = waiters.length;
      const { granted, fullAt } = bucket.take(readFullAt(bucket, record?.value), ticks, wanted);
      const taken = granted === 0 || await records.commit({
        checks: [{ key: recordKey, version: record?.version ?? null }],
        set: [{
          key: recordKey,
          value: `${fullAt} ${bucket.rate}`,
          expiresMs: bucket.msOf(fullAt) + CLOCKS_DIFFER_MS,
        }],
      });
      if (taken) {
        this.#seen.set(key, fullAt, ticks);
        for (const [index, { resolve }] of waiters.splice(0, wanted).entries()) {
          resolve(verdictOf(policy, bucket, index < granted, fullAt, ticks));
        }
        return true;
      }
      await pause(random() * Math.min(MAX_PAUSE_MS, 2 ** tries));
    }
    return false;
  }
}

function contended(): LakeSyncError {
  return new LakeSyncError(
    "BACKPRESSURE",
    "Too many servers answer requests of one caller at this moment, send it again",
  );
}

/**
 * Reads when a bucket will be full; a process may count in ticks of another rate. What is not there,
 * or was not written so, counts for a full one.
 */
function readFullAt({ rate }: TokenBucket, value: string | undefined): bigint {
  const [, ticks, ofRate] = /^(\d{1,40}) ([1-9]\d{0,15})$/.exec(value ?? "") ?? [];
  return ticks === undefined || ofRate === undefined ? 0n : BigInt(ticks) * rate / BigInt(ofRate);
}
