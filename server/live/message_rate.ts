/**
 * How many messages a connection may send: a token bucket that holds a second's worth.
 *
 * @module
 */

/** A bucket of messages. */
export class MessageRate {
  readonly #perSecond: number;
  #left: number;
  #atMs: number;

  /**
   * @param perSecond messages that come back in a second, and the most that are there
   * @param nowMs the time, in milliseconds
   */
  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#left = perSecond;
    this.#atMs = nowMs;
  }

  /**
   * Takes a message out.
   *
   * @param nowMs when it arrived, in milliseconds; a clock that went back gives nothing
   * @returns whether there was one
   */
  take(nowMs: number): boolean {
    const passedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    this.#left = Math.min(this.#perSecond, this.#left + (passedMs * this.#perSecond) / 1000);
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
