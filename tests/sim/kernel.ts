/**
 * Virtual time: what happens, happens in the order of its time, and time passes only between two
 * happenings. Everything of a run shares one kernel and one stream of chance, so the seed decides
 * the whole run.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { Random } from "../oracle/random.ts";

interface Happening {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

/** The runtime's own, taken before virtual ones are put in place. */
const realImmediate = setImmediate;

function before(a: Happening, b: Happening): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** A binary heap, the next happening first. */
class Agenda {
  readonly #heap: Happening[] = [];

  get next(): Happening | undefined {
    return this.#heap[0];
  }

  add(happening: Happening): void {
    const heap = this.#heap;
    let i = heap.push(happening) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !before(happening, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = happening;
  }

  take(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      let least = heap[child];
      const right = heap[child + 1];
      if (least === undefined) break;
      if (right !== undefined && before(right, least)) {
        least = right;
        child++;
      }
      if (!before(least, last)) break;
      heap[i] = least;
      i = child;
    }
    heap[i] = last;
  }
}

/** Time, chance, and what happens when. */
export class Kernel {
  /** Chance: every choice of a run is drawn from here, or from a stream begun with it. */
  readonly random: Random;
  readonly #agenda = new Agenda();
  #nowMs = 0;
  #order = 0;
  #happened = 0;

  /** @param seed decides the run */
  constructor(seed: number) {
    this.random = new Random(seed);
  }

  /** Milliseconds since the run began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many happenings there were. */
  get happened(): number {
    return this.#happened;
  }

  /**
   * Makes something happen.
   *
   * @param delayMs after so long, in milliseconds; of two at one time the first that was asked for
   * @param run what
   * @returns prevents it
   */
  after(delayMs: number, run: () => void): () => void {
    const atMs = this.#nowMs + Math.max(0, delayMs);
    const happening = { atMs, order: this.#order++, run, cancelled: false };
    this.#agenda.add(happening);
    return () => happening.cancelled = true;
  }

  /** Resolves after a time in milliseconds. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /**
   * Lets time pass until something holds.
   *
   * @param done whether it holds
   * @param untilMs gives up at this time
   * @returns whether it held in time
   */
  async run(done: () => boolean, untilMs: number): Promise<boolean> {
    while (!done()) {
      const next = this.#agenda.next;
      if (next === undefined || next.atMs > untilMs) {
        this.#nowMs = Math.max(this.#nowMs, untilMs);
        return done();
      }
      this.#agenda.take();
      if (next.cancelled) continue;
      this.#nowMs = next.atMs;
      this.#happened++;
      next.run();
      await settled();
    }
    return true;
  }
}

/** Resolves when everything that only waited for promises has gone on. */
export function settled(): Promise<void> {
  return new Promise((resolve) => void realImmediate(resolve));
}
