/**
 * Work that takes milliseconds without a pause, one piece in each turn of the event loop, so that
 * many pieces that are ready at one moment hold up what is short by one of them, not by all.
 *
 * @module
 */

/** Gives turns, first come first served. */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** Waits for a turn of its own; what follows without a pause is in it. */
  next(): Promise<void> {
    return this.#last = this.#last.then(() => new Promise((resolve) => setTimeout(resolve, 0)));
  }
}
