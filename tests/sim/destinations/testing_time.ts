/**
 * Virtual time for tests of one flush: what happens, happens in the order of its time.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/** Time that passes only when it is told to. */
export class TestTime {
  readonly #agenda = new Set<{ readonly atMs: number; readonly run: () => void }>();
  /** Milliseconds. */
  nowMs: number;

  constructor(nowMs: number = 0) {
    this.nowMs = nowMs;
  }

  /** Makes something happen after a time; gives what prevents it. */
  readonly setTimer: (ms: number, run: () => void) => () => void = (ms, run) => {
    const happening = { atMs: this.nowMs + ms, run };
    this.#agenda.add(happening);
    return () => this.#agenda.delete(happening);
  };

  /** Resolves after a time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.setTimer(ms, resolve));
  }

  /** Lets time pass until something holds, at most so many happenings. */
  async until(done: () => boolean, most = 100_000): Promise<void> {
    await settled();
    for (let i = 0; !done(); i++) {
      const next = [...this.#agenda].reduce<{ atMs: number; run: () => void } | undefined>(
        (least, each) => least !== undefined && least.atMs <= each.atMs ? least : each,
        undefined,
      );
      if (i === most) throw new Error("It never came to that");
      if (next === undefined) {
        await settled();
        continue;
      }
      this.#agenda.delete(next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
      await settled();
    }
  }

  /** Lets a time pass. */
  async pass(ms: number): Promise<void> {
    let over = false;
    this.setTimer(ms, () => over = true);
    await this.until(() => over);
  }

  /** Lets time pass until a promise has settled. */
  async awaiting<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const note = () => over = true;
    promise.then(note, note);
    await this.until(() => over);
    return await promise;
  }
}

/** Resolves when everything that only waited for promises has gone on. */
export function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
