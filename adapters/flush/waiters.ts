/**
 * Those who wait until what was committed has arrived.
 *
 * @module
 */

import type { LakeSyncError } from "@lakesync/core";

interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: LakeSyncError) => void;
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
   */
  wait(seq: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.add({ seq, resolve, reject });
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

  /** Ends the waiting of all. */
  fail(error: LakeSyncError): void {
    for (const { reject } of this.#waiters) reject(error);
    this.#waiters.clear();
  }
}
