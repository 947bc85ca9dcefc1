/**
 * How many pages are read for pulls at the same time. More would not be faster, and each takes some
 * megabytes before the memory in use tells of it; so each looks at the memory when its turn has come.
 *
 * @module
 */

import type { PressureGate } from "./http/gates.ts";

/** Pages that are read at the same time at most. */
const MAX_PAGES = 8;

/** What a page may take until it is an answer: its rows, their text, its bytes. */
const PAGE_BYTES = 48 * 1024 * 1024;

/**
 * How many pages may be read at the same time.
 *
 * @param freeBytes the memory there is for them
 * @returns at least one, as nothing would go on without
 */
export function pagesWithin(freeBytes: number): number {
  return Math.min(MAX_PAGES, Math.max(1, Math.floor(freeBytes / PAGE_BYTES)));
}

/** Turns to read a page, first come first served. */
export class PageTurns {
  readonly #pressure: Pick<PressureGate, "check" | "freeBytes">;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** @param pressure the memory */
  constructor(pressure: Pick<PressureGate, "check" | "freeBytes">) {
    this.#pressure = pressure;
  }

  /**
   * Waits for a turn.
   *
   * @returns what ends it, to be called once
   * @throws {LakeSyncError} `BACKPRESSURE` when memory is short by then
   */
  async begin(): Promise<() => void> {
    if (this.#running < pagesWithin(this.#pressure.freeBytes)) this.#running++;
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
    this.#running--;
    while (this.#running < pagesWithin(this.#pressure.freeBytes)) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#running++;
      next();
    }
  }
}
