/**
 * Tells when the log has grown to its greatest size with changes that destinations still need, so
 * that pushes are refused instead of changes lost (G11).
 *
 * @module
 */

import type { Store } from "../store/store.ts";

/** How often a full log is looked at anew, in milliseconds. */
const LOOK_EVERY_MS = 1_000;

/** What a gauge stands on. */
export interface LogGaugeOptions {
  /** Keeps the log. */
  readonly store: Pick<Store, "stats">;
  /** How large the log may be, in bytes of payload. */
  readonly maxBytes: number;
  /** The physical clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** Removes what nobody needs. */
  readonly trim: () => Promise<void>;
}

/** The size of a log, counted along with the commits. */
export class LogGauge {
  readonly #options: LogGaugeOptions;
  /** Undefined when it is not known. */
  #bytes: number | undefined;
  #lookedMs: number | undefined;

  /** @param options what it stands on */
  constructor(options: LogGaugeOptions) {
    this.#options = options;
  }

  /**
   * Takes a commit in.
   *
   * @param bytes what the log got, undefined when that is not known
   */
  grew(bytes: number | undefined): void {
    this.#bytes = bytes === undefined || this.#bytes === undefined
      ? undefined
      : this.#bytes + bytes;
  }

  /** Whether the log has its greatest size, with nothing in it that could go. */
  async isFull(): Promise<boolean> {
    const { store, maxBytes, now, trim } = this.#options;
    this.#bytes ??= (await store.stats()).logBytes;
    if (this.#bytes <= maxBytes) return false;
    const atMs = now();
    const sinceMs = this.#lookedMs === undefined ? Infinity : atMs - this.#lookedMs;
    if (sinceMs >= 0 && sinceMs < LOOK_EVERY_MS) return true;
    this.#lookedMs = atMs;
    await trim();
    this.#bytes = (await store.stats()).logBytes;
    return this.#bytes > maxBytes;
  }
}
