/**
 * How many pages are read for pulls at the same time. More would not be faster, and each takes some
 * megabytes before the memory in use tells of it; so each looks at the memory when its turn has come.
 *
 * @module
 */

import type { PressureGate } from "./http/gates.ts";

/** Pages that are read at the same time. */
const MAX_PAGES = 8;

/** Turns to read a page, first come first served. */
export class PageTurns {
  readonly #pressure: Pick<PressureGate, "check">;
  readonly #waiting: (() => void)[] = [];
  #free: number;

  /**
   * @param pressure the memory
   * @param pages how many are read at the same time
   */
  constructor(pressure: Pick<PressureGate, "check">, pages: number = MAX_PAGES) {
    this.#pressure = pressure;
    this.#free = pages;
  }

  /**
   * Waits for a turn.
   *
   * @returns what ends it, to be called once
   * @throws {LakeSyncError} `BACKPRESSURE` when memory is short by then
   */
  async begin(): Promise<() => void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      this.#pressure.check();
    } catch (error) {
      this.#end();
      throw error;
    }
    return () => this.#end();
  }

  #end(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
