/**
 * The time that one request has. When it is over, or when its caller has gone, a signal aborts, by
 * which the work for it ends.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";

/** What deadlines go by. */
export interface DeadlineClock {
  /** Milliseconds since some moment. */
  readonly now: () => number;
  /** Calls back once after a time in milliseconds; gives what cancels it. */
  readonly setTimer: (ms: number, callback: () => void) => () => void;
}

/** The clock of the runtime, which nobody sets. */
export const RUNTIME_CLOCK: DeadlineClock = {
  now: () => performance.now(),
  setTimer: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** The time that a request has. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #passed = Promise.withResolvers<LakeSyncError>();
  readonly #ms: number;
  readonly #clock: DeadlineClock;
  #untilMs: number;
  #cancelTimer: () => void = () => {};
  #isOver = false;
  #isGone = false;

  /**
   * @param ms how long it is, in milliseconds
   * @param clock what it goes by
   */
  constructor(ms: number, clock: DeadlineClock = RUNTIME_CLOCK) {
    this.#ms = ms;
    this.#clock = clock;
    this.#untilMs = clock.now() + ms;
    this.#arm();
  }

  /** Aborts when the time is over or the caller has gone; its reason is a {@linkcode LakeSyncError}. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Resolves with what to tell the caller when the time is over, and never before. */
  get passed(): Promise<LakeSyncError> {
    return this.#passed.promise;
  }

  /** Whether the time was over. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether the caller went away. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Gives more time, in milliseconds. */
  allow(ms: number): void {
    this.#untilMs += ms;
    this.#arm();
  }

  /** Gives the whole time again from now on. */
  renew(): void {
    if (this.#untilMs === Infinity) return;
    this.#untilMs = this.#clock.now() + this.#ms;
    this.#arm();
  }

  /** The caller has gone. */
  gone(): void {
    if (this.signal.aborted) return;
    this.#isGone = true;
    this.#controller.abort(new LakeSyncError("TIMEOUT", "The caller has gone"));
  }

  /** Stops the clock; the signal does not abort any more. */
  end(): void {
    this.#cancelTimer();
    this.#untilMs = Infinity;
  }

  #arm(): void {
    this.#cancelTimer();
    if (this.#isOver || this.#untilMs === Infinity) return;
    const leftMs = this.#untilMs - this.#clock.now();
    this.#cancelTimer = this.#clock.setTimer(leftMs, () => this.#expire());
  }

  #expire(): void {
    this.#isOver = true;
    const error = new LakeSyncError(
      "TIMEOUT",
      "The request took too long and was given up, send it again",
    );
    this.#controller.abort(error);
    this.#passed.resolve(error);
  }
}
