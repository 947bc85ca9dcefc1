/**
 * How long work holds the thread, so that requests beside it wait: the gaps between the ticks of a
 * timer.
 *
 * @module
 */

/** How often it ticks, in milliseconds. */
const TICK_MS = 1;

/** Watches the thread. */
export class StallWatch {
  #longestMs = 0;
  #lastMs = performance.now();
  readonly #timer = setInterval(() => this.#tick(), TICK_MS);

  /** Ends the watch; gives the longest gap between two ticks, in milliseconds. */
  end(): number {
    clearInterval(this.#timer);
    this.#tick();
    return this.#longestMs;
  }

  #tick(): void {
    const now = performance.now();
    this.#longestMs = Math.max(this.#longestMs, now - this.#lastMs);
    this.#lastMs = now;
  }
}
