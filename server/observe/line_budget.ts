/**
 * So many lines a second and no more, with a count of those that were left out: a failure that hits
 * every request must not become a second one, of the disk or of the time that writing takes.
 *
 * @module
 */

const SECOND_MS = 1_000;

/** Bounds lines. */
export class LineBudget {
  readonly #maxPerSecond: number;
  readonly #leftOut: (lines: number) => void;
  readonly #now: () => number;
  #sinceMs = -Infinity;
  #written = 0;
  #missing = 0;

  /**
   * @param maxPerSecond how many there may be
   * @param leftOut told once a second at most how many were left out, before the next line
   * @param now a monotonic clock, in milliseconds
   */
  constructor(
    maxPerSecond: number,
    leftOut: (lines: number) => void,
    now: () => number = () => performance.now(),
  ) {
    this.#maxPerSecond = maxPerSecond;
    this.#leftOut = leftOut;
    this.#now = now;
  }

  /** Takes a line; false when it is to be left out. */
  take(): boolean {
    const nowMs = this.#now();
    if (nowMs - this.#sinceMs >= SECOND_MS) {
      const missing = this.#missing;
      this.#sinceMs = nowMs;
      this.#written = 0;
      this.#missing = 0;
      if (missing > 0) this.#leftOut(missing);
    }
    if (this.#written < this.#maxPerSecond) {
      this.#written++;
      return true;
    }
    this.#missing++;
    return false;
  }
}
