/**
 * A process that can end between any two steps. What it was waiting for then never comes: its
 * promises stay open, its timers do not fire.
 *
 * @module
 */

import type { Kernel } from "./kernel.ts";

/** A program that runs. */
export class Process {
  readonly #kernel: Kernel;
  readonly #atEnd = new Set<() => void>();
  #alive = true;
  #stepsLeft: number | undefined;
  #onBurnt: () => void = () => {};

  /** @param kernel time */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Whether it runs. */
  get alive(): boolean {
    return this.#alive;
  }

  /** Ends it at once. */
  end(): void {
    if (!this.#alive) return;
    this.#alive = false;
    for (const run of [...this.#atEnd]) run();
    this.#atEnd.clear();
  }

  /** Runs something when it ends; gives what prevents that. */
  atEnd(run: () => void): () => void {
    this.#atEnd.add(run);
    return () => this.#atEnd.delete(run);
  }

  /** Makes something happen before one of its next steps. */
  burnAfter(steps: number, onBurnt: () => void): void {
    this.#stepsLeft = steps;
    this.#onBurnt = onBurnt;
  }

  /** Counts a step; gives whether it may be taken. */
  step(): boolean {
    if (this.#alive && this.#stepsLeft !== undefined && this.#stepsLeft-- === 0) {
      this.#stepsLeft = undefined;
      this.#onBurnt();
    }
    return this.#alive;
  }

  /** Calls back after a time in milliseconds, if it still runs then. */
  readonly timer = (ms: number, callback: () => void): () => void =>
    this.#kernel.after(ms, () => {
      if (this.#alive) callback();
    });

  /** Resolves after a time in milliseconds; never when it ends before or then. */
  pause(ms: number): Promise<void> {
    if (!this.step()) return never();
    return new Promise((resolve) =>
      this.#kernel.after(ms, () => {
        if (this.step()) resolve();
      })
    );
  }
}

/** What a process waits for that has ended. */
export function never<T>(): Promise<T> {
  return new Promise(() => {});
}
