/**
 * The rates that a server holds its callers to: one for each address, before anything is known of
 * a request, and one for each user. Where the store is shared they hold over all processes.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { ServerLimits } from "../limits.ts";
import type { RecordStore } from "../store/records.ts";
import { rateKey } from "./address.ts";
import { type Buckets, LocalBuckets } from "./local_buckets.ts";
import { SharedBuckets } from "./shared_buckets.ts";
import { TokenBucket } from "./token_bucket.ts";
import type { RatePolicy, RateVerdict } from "./verdict.ts";

const logger = getLogger(["lakesync", "rates"]);

/** The time between two records of the log that say the same, in milliseconds. */
const SAY_AGAIN_MS = 60_000;

/** The limits that rates are made of. */
export type RateLimits = Pick<
  ServerLimits,
  "rateUserPerSecond" | "rateUserBurst" | "rateIpPerSecond" | "rateIpBurst"
>;

/** What rates stand on. */
export interface RatesOptions {
  /** How many requests there may be. */
  readonly limits: RateLimits;
  /** Where rates are shared, when other processes write there too. */
  readonly records: RecordStore;
  /** A clock that is never set, in milliseconds; the runtime's unless given. */
  readonly monotonic?: () => number;
  /** The time since 1970, in milliseconds; the runtime's unless given. */
  readonly now?: () => number;
  /** From 0 to 1, not 1; the runtime's unless given. */
  readonly random?: () => number;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The rates of a server. */
export class Rates {
  readonly #options: RatesOptions;
  readonly #addresses: Buckets | undefined;
  readonly #users: Buckets | undefined;
  #saidMs = -Infinity;

  constructor(options: RatesOptions) {
    this.#options = options;
    const { rateIpPerSecond, rateIpBurst, rateUserPerSecond, rateUserBurst } = options.limits;
    this.#addresses = this.#buckets("address", rateIpPerSecond, rateIpBurst);
    this.#users = this.#buckets("user", rateUserPerSecond, rateUserBurst);
  }

  /**
   * Counts a request of an address.
   *
   * @param ip the address; empty where it is not known
   * @returns undefined where no rate holds
   */
  ofAddress(ip: string): RateVerdict | Promise<RateVerdict> | undefined {
    return ip === "" ? undefined : this.#addresses?.take(rateKey(ip));
  }

  /**
   * Counts a request of a user.
   *
   * @param sub the user
   * @returns undefined where no rate holds
   */
  ofUser(sub: string): RateVerdict | Promise<RateVerdict> | undefined {
    return this.#users?.take(sub);
  }

  #buckets(policy: RatePolicy, perSecond: number, burst: number): Buckets | undefined {
    if (perSecond === 0) return undefined;
    const { records, monotonic = () => performance.now() } = this.#options;
    const { now = Date.now, random = Math.random } = this.#options;
    const bucket = new TokenBucket({ perSecond, burst });
    if (!records.shared) return new LocalBuckets({ policy, bucket, now: monotonic });
    const onError = (error: unknown) => this.#failed(error);
    return new SharedBuckets({ policy, bucket, now, records, random, pause, onError });
  }

  #failed(error: unknown): void {
    const { monotonic = () => performance.now() } = this.#options;
    const ms = monotonic();
    if (ms < this.#saidMs + SAY_AGAIN_MS) return;
    this.#saidMs = ms;
    logger.error("Shared rates cannot be kept, each process counts by itself: {error}", { error });
  }
}
