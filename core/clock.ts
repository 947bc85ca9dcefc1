/**
 * Hybrid logical clock: 48 bits of milliseconds, then a 16-bit counter, in one bigint. Stamps
 * decide conflicts and nothing else; what a client pulls is ordered by the gateway's seq.
 *
 * Source: Kulkarni, Demirbas et al., "Logical Physical Clocks" (2014).
 *
 * @module
 */

/** A stamp: milliseconds since 1970 shifted left by 16 bits, plus a counter. */
export type Hlc = bigint & { readonly brand: "Hlc" };

const COUNTER_BITS = 16n;
const COUNTER_MASK = 0xffffn;

/** The greatest stamp that a signed 64-bit integer, and so every store, can hold. */
export const MAX_HLC: Hlc = (2n ** 63n - 1n) as Hlc;

/** The stamp before all stamps. */
export const ZERO_HLC: Hlc = 0n as Hlc;

/**
 * Puts a stamp together.
 *
 * @param ms milliseconds since 1970, 0 to 2^47 - 1
 * @param counter 0 to 65535
 * @returns the stamp
 * @throws {RangeError} when a part is out of its range
 */
export function makeHlc(ms: number, counter: number): Hlc {
  if (!Number.isInteger(ms) || ms < 0 || ms >= 2 ** 47) {
    throw new RangeError(
      `Milliseconds must be a whole number from 0 to 2^47 - 1`,
    );
  }
  if (!Number.isInteger(counter) || counter < 0 || counter > 0xffff) {
    throw new RangeError(`Counter must be a whole number from 0 to 65535`);
  }
  return ((BigInt(ms) << COUNTER_BITS) | BigInt(counter)) as Hlc;
}

/**
 * Tells whether a bigint can be a stamp.
 *
 * @param value any bigint
 * @returns whether it is within 0 and {@linkcode MAX_HLC}
 */
export function isHlc(value: bigint): value is Hlc {
  return value >= 0n && value <= MAX_HLC;
}

/**
 * Reads a stamp from its decimal text.
 *
 * @param text decimal digits without sign or leading zeros
 * @returns the stamp, or undefined when the text is not one
 */
export function parseHlc(text: string): Hlc | undefined {
  if (!/^(0|[1-9]\d{0,18})$/.test(text)) return undefined;
  const value = BigInt(text);
  return isHlc(value) ? value : undefined;
}

/**
 * The physical part of a stamp.
 *
 * @param hlc a stamp
 * @returns milliseconds since 1970
 */
export function hlcMs(hlc: Hlc): number {
  return Number(hlc >> COUNTER_BITS);
}

/**
 * The logical part of a stamp.
 *
 * @param hlc a stamp
 * @returns the counter, 0 to 65535
 */
export function hlcCounter(hlc: Hlc): number {
  return Number(hlc & COUNTER_MASK);
}

/** A clock that never goes back and is ahead of everything it has received. */
export interface HybridClock {
  /** The greatest stamp given out or received. */
  readonly last: Hlc;
  /**
   * Gives out a stamp greater than every stamp before it. A full counter carries into the
   * milliseconds, so it never wraps.
   */
  tick(): Hlc;
  /** Takes in a stamp from elsewhere, so that the next {@linkcode tick} is greater than it. */
  receive(remote: Hlc): void;
  /** How far a stamp is ahead of this clock's physical time, in milliseconds; negative: behind. */
  driftMs(remote: Hlc): number;
}

/**
 * Makes a hybrid logical clock.
 *
 * @param now the physical clock, in milliseconds since 1970
 * @param last the greatest stamp of an earlier life, if there was one
 * @returns the clock
 *
 * @example
 * ```ts
 * import { createClock } from "@lakesync/core";
 *
 * const clock = createClock(() => Date.now());
 * const first = clock.tick();
 * console.assert(clock.tick() > first);
 * ```
 */
export function createClock(
  now: () => number,
  last: Hlc = ZERO_HLC,
): HybridClock {
  let greatest = last;
  return {
    get last() {
      return greatest;
    },
    tick() {
      const physical = makeHlc(Math.max(0, Math.floor(now())), 0);
      const next = physical > greatest ? physical : greatest + 1n;
      if (next > MAX_HLC) throw new RangeError("The hybrid clock is exhausted");
      greatest = next as Hlc;
      return greatest;
    },
    receive(remote) {
      if (remote > greatest) greatest = remote;
    },
    driftMs(remote) {
      return hlcMs(remote) - now();
    },
  };
}
