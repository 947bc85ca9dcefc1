/**
 * Reads of clients, cut into slices of time. A commit may concern a thousand connected clients, who
 * all read their pages then; after some milliseconds of that, other requests get their turn.
 *
 * @module
 */

/** How long pages are read before others get their turn, in milliseconds. */
export const SLICE_MS = 5;

/** Reads that are under way at once: a slice ends that much late, and a store may be waited for. */
const AT_ONCE = 16;

/** What slices stand on. */
export interface SlicesOptions {
  /** The clock, in milliseconds. */
  readonly now: () => number;
  /** Resolves in a later turn of the event loop. */
  readonly nextTurn: () => Promise<void>;
}

/** The slices of one gateway. */
export class Slices {
  readonly #options: SlicesOptions;
  /** Begins those that wait, in their order. */
  readonly #waiting: (() => void)[] = [];
  /** When the slice began. */
  #beganMs = -Infinity;
  /** When it was last looked at, or a read ended. */
  #usedMs = -Infinity;
  #running = 0;
  #turning = false;

  /** @param options the clock and the event loop */
  constructor(options: SlicesOptions) {
    this.#options = options;
  }

  /**
   * Reads at once while there is time in the slice, else in a later one.
   *
   * @param read what is done
   * @returns what it returns
   */
  async run<T>(read: () => Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    this.#begin();
    await promise;
    try {
      return await read();
    } finally {
      this.#running--;
      this.#usedMs = this.#options.now();
      this.#begin();
    }
  }

  /** Whether there is time in the slice; one that was not used for as long is over by itself. */
  #hasTime(): boolean {
    const nowMs = this.#options.now();
    if (nowMs - this.#usedMs >= SLICE_MS) this.#beganMs = nowMs;
    this.#usedMs = nowMs;
    // A clock that was set back ends the slice too.
    return nowMs >= this.#beganMs && nowMs - this.#beganMs < SLICE_MS;
  }

  #turn(): void {
    if (this.#turning) return;
    this.#turning = true;
    void this.#options.nextTurn().then(() => {
      this.#turning = false;
      this.#beganMs = this.#options.now();
      this.#begin();
    });
  }

  #begin(): void {
    while (this.#waiting.length > 0 && this.#running < AT_ONCE) {
      if (this.#turning || !this.#hasTime()) return this.#turn();
      this.#running++;
      this.#waiting.shift()?.();
    }
  }
}
