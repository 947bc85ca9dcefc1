/**
 * Those who wait until what was committed has arrived.
 *
 * @module
 */

interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  /** Whether a try has begun since. */
  isTried: boolean;
}

/** Those who wait for a flush. */
export class Waiters {
  readonly #waiters = new Set<Waiter>();

  /** Whether nobody waits. */
  get isEmpty(): boolean {
    return this.#waiters.size === 0;
  }

  /**
   * Waits for a commit.
   *
   * @param seq the commit
   * @returns resolves when it has arrived, rejects with the error of {@linkcode Waiters.fail}
   * or {@linkcode Waiters.refuse}
   */
  wait(seq: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.add({ seq, resolve, reject, isTried: false });
    });
  }

  /** Ends the waiting of those whose commits are not after one that has arrived. */
  arrived(seq: number): void {
    for (const waiter of this.#waiters) {
      if (waiter.seq > seq) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  /** A try begins. */
  begin(): void {
    for (const waiter of this.#waiters) waiter.isTried = true;
  }

  /** Ends the waiting of those who waited already when the last try began. */
  refuse(error: Error): void {
    for (const waiter of this.#waiters) {
      if (!waiter.isTried) continue;
      this.#waiters.delete(waiter);
      waiter.reject(error);
    }
  }

  /** Ends the waiting of all. */
  fail(error: Error): void {
    for (const { reject } of this.#waiters) reject(error);
    this.#waiters.clear();
  }
}
