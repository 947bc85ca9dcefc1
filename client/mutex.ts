/**
 * One after the other, in the order of asking.
 *
 * @module
 */

/** A lock that is handed on in order. */
export class Mutex {
  #last: Promise<void> = Promise.resolve();
  #holders = 0;

  /** Whether anyone holds it or waits for it. */
  get busy(): boolean {
    return this.#holders > 0;
  }

  /**
   * Waits until everyone who asked before has released it.
   *
   * @returns releases it; calling it again does nothing
   */
  async acquire(): Promise<() => void> {
    this.#holders++;
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#last;
    this.#last = before.then(() => promise);
    await before;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holders--;
      resolve();
    };
  }

  /** Holds it while a function runs. */
  async hold<T>(work: () => Promise<T>): Promise<T> {
    const release = await this.acquire();
    try {
      return await work();
    } finally {
      release();
    }
  }
}
