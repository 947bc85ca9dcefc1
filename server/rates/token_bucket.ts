/**
 * The arithmetic of a token bucket. All that a bucket holds is the time at which it will be full
 * again: what is missing now is what comes in until then. A later time holds less, so whoever knows
 * an old one knows at least what is missing.
 *
 * Time is counted in ticks so short that a token takes a whole number of them, whatever the rate,
 * so nothing is ever rounded: what is given is exactly what came in.
 *
 * Source: the generic cell rate algorithm, ITU-T I.371, as virtual scheduling.
 *
 * @module
 */

/** How a bucket fills. */
export interface BucketRate {
  /** Tokens that come in a second, more than 0. */
  readonly perSecond: number;
  /** Tokens that a full bucket holds, at least 1. */
  readonly burst: number;
}

/** What came of asking a bucket for tokens. */
export interface Taken {
  /** How many of them were there; these are taken. */
  readonly granted: number;
  /** When the bucket will be full after that, in ticks. */
  readonly fullAt: bigint;
}

/** How a bucket stands. */
export interface BucketState {
  /** Whole tokens that it holds. */
  readonly remaining: number;
  /** When it has the next one, in milliseconds from now; 0 when it has one. */
  readonly waitMs: number;
  /** When it is full, in milliseconds from now. */
  readonly fullMs: number;
}

/** Nanoseconds of a second, times the parts of a token that a rate is told in. */
const TOKEN_TICKS = 1_000_000_000_000n;
const PARTS_PER_TOKEN = 1_000;
const NS_PER_MS = 1_000_000;

/** Buckets of one size and rate. */
export class TokenBucket {
  /** How many tokens a full one holds. */
  readonly burst: number;
  /** Thousandths of tokens that come in a second, which is also how many ticks a nanosecond has. */
  readonly rate: bigint;
  /** How long an empty one takes to be full, in ticks. */
  readonly #depth: bigint;

  /** @param rate how they fill; fractions below a thousandth do not count */
  constructor({ perSecond, burst }: BucketRate) {
    this.burst = Math.max(1, Math.floor(burst));
    this.rate = BigInt(Math.max(1, Math.round(perSecond * PARTS_PER_TOKEN)));
    this.#depth = BigInt(this.burst) * TOKEN_TICKS;
  }

  /** How long an empty one takes to be full, in milliseconds. */
  get fillMs(): number {
    return this.msOf(this.#depth);
  }

  /** A time in ticks; given in milliseconds of any clock, fractions too. */
  ticksOf(ms: number): bigint {
    const whole = Math.floor(ms);
    const ns = Math.floor((ms - whole) * NS_PER_MS);
    return (BigInt(whole) * BigInt(NS_PER_MS) + BigInt(ns)) * this.rate;
  }

  /** A time in milliseconds, rounded up to whole ones. */
  msOf(ticks: bigint): number {
    const perMs = BigInt(NS_PER_MS) * this.rate;
    return Number((ticks + perMs - 1n) / perMs);
  }

  /**
   * Takes tokens, as many as there are.
   *
   * @param fullAt when the bucket will be full; any time that is over for a full one
   * @param now the time, in ticks as well
   * @param wanted how many tokens, at least 1
   */
  take(fullAt: bigint, now: bigint, wanted: number): Taken {
    const missing = this.#missing(fullAt, now);
    const granted = Math.min(this.#tokens(missing), wanted);
    return { granted, fullAt: now + missing + BigInt(granted) * TOKEN_TICKS };
  }

  /** Tells how a bucket stands. */
  state(fullAt: bigint, now: bigint): BucketState {
    const missing = this.#missing(fullAt, now);
    const wait = missing + TOKEN_TICKS - this.#depth;
    return {
      remaining: this.#tokens(missing),
      waitMs: wait > 0n ? this.msOf(wait) : 0,
      fullMs: this.msOf(missing),
    };
  }

  /** Never more than a whole bucket: a clock that was set back keeps nobody out for longer. */
  #missing(fullAt: bigint, now: bigint): bigint {
    const ticks = fullAt - now;
    if (ticks <= 0n) return 0n;
    return ticks < this.#depth ? ticks : this.#depth;
  }

  #tokens(missing: bigint): number {
    return Number((this.#depth - missing) / TOKEN_TICKS);
  }
}
