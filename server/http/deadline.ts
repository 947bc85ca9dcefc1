/**
 * The time that one request has. When it is over, or when its caller has gone, a signal aborts, by
 * which the work for it ends.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";

/** The time that a request has. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #passed = Promise.withResolvers<LakeSyncError>();
  readonly #ms: number;
  #untilMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;
  #isGone = false;

  /** @param ms how long it is, in milliseconds */
  constructor(ms: number) {
    this.#ms = ms;
    this.#untilMs = performance.now() + ms;
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
    this.#untilMs = performance.now() + this.#ms;
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
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#untilMs = Infinity;
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#isOver || this.#untilMs === Infinity) return;
    this.#timer = setTimeout(() => this.#expire(), this.#untilMs - performance.now());
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
