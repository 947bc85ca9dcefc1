/**
 * Notices when many tokens are refused in a short time: from one address, or from all together. One
 * note is made of each burst, however long it is, so that nobody can fill the audit log with it.
 *
 * @module
 */

import type { AuditEvent } from "../audit/audit.ts";

/** How long a burst is counted, in milliseconds. */
export const FAILURE_WINDOW_MS = 60_000;

/** Refused tokens of one address in a window that are a burst. */
export const BURST_OF_ADDRESS = 20;

/** Refused tokens of all addresses in a window that are a burst. */
export const BURST_OF_ALL = 500;

/** Addresses that are counted one by one; any more count together. */
const MAX_ADDRESSES = 10_000;

interface Window {
  readonly sinceMs: number;
  count: number;
}

/** Counts refused tokens. */
export class TokenFailures {
  readonly #now: () => number;
  readonly #tell: (event: AuditEvent) => void;
  readonly #addresses = new Map<string, Window>();
  #all: Window;

  /**
   * @param now the clock, in milliseconds since 1970
   * @param tell told of each burst, as soon as it is one
   */
  constructor(now: () => number, tell: (event: AuditEvent) => void) {
    this.#now = now;
    this.#tell = tell;
    this.#all = { sinceMs: now(), count: 0 };
  }

  /**
   * A token was refused.
   *
   * @param ip the address it came from
   */
  refused(ip: string): void {
    const now = this.#now();
    if (now - this.#all.sinceMs >= FAILURE_WINDOW_MS) this.#all = { sinceMs: now, count: 0 };
    if (++this.#all.count === BURST_OF_ALL) this.#burst(BURST_OF_ALL);
    const window = this.#windowOf(ip, now);
    if (window !== undefined && ++window.count === BURST_OF_ADDRESS) {
      this.#burst(BURST_OF_ADDRESS, ip);
    }
  }

  #windowOf(ip: string, now: number): Window | undefined {
    const known = this.#addresses.get(ip);
    if (known !== undefined && now - known.sinceMs < FAILURE_WINDOW_MS) return known;
    this.#addresses.delete(ip);
    for (const [other, { sinceMs }] of this.#addresses) {
      // Windows began in the order of the map.
      if (now - sinceMs < FAILURE_WINDOW_MS) break;
      this.#addresses.delete(other);
    }
    if (this.#addresses.size >= MAX_ADDRESSES) return undefined;
    const window = { sinceMs: now, count: 0 };
    this.#addresses.set(ip, window);
    return window;
  }

  #burst(count: number, ip = ""): void {
    this.#tell({
      what: "token.failures",
      outcome: "refused",
      code: "AUTH_ERROR",
      ...(ip === "" ? {} : { ip }),
      details: { atLeast: count, windowSeconds: FAILURE_WINDOW_MS / 1000 },
    });
  }
}
