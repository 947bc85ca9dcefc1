/**
 * Whether the process has so much memory in use that new work must be turned away, before the
 * system or V8 ends it. Garbage is collected first: only what stays counts. Entered above the limit
 * and left some way below it, so that it does not flicker.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import type { PressureGate } from "./http/gates.ts";

const logger = getLogger(["lakesync", "server"]);

/** So much of the limit is left again before new work is taken. */
const LEAVE_SHARE = 0.9;
/** So much of V8's own limit is the most that may be in use, as past it the process dies. */
const HEAP_SHARE = 0.85;
/**
 * Below the limit by less, it is taken again after so long, in milliseconds: what the allocator keeps
 * for itself is not given back, but used again.
 */
const LEAVE_MS = 10_000;
/** How old a look at the memory may be, in milliseconds. */
const LOOK_MS = 20;
/** How often garbage is collected at most for the sake of memory, in milliseconds. */
const COLLECT_MS = 2_000;
const RETRY_AFTER_SECONDS = 2;
const MIB = 1024 * 1024;

/** The memory of a process, in bytes. */
export interface MemoryUse {
  /** What the system has given it. */
  readonly rssBytes: number;
  /** What objects take in V8's heap. */
  readonly heapBytes: number;
}

/** What pressure is judged by. */
export interface MemoryPressureOptions {
  /** What the process may have from the system, in bytes. */
  readonly maxBytes: number;
  /** What V8 may have, in bytes. */
  readonly maxHeapBytes: number;
  /** The clock, in milliseconds. */
  readonly now: () => number;
  /** The memory at the moment. */
  readonly read: () => MemoryUse;
  /** Collects garbage and gives back what is free. */
  readonly collect: () => void;
}

/** Turns work away while memory is short. */
export class MemoryPressure implements PressureGate {
  readonly #options: MemoryPressureOptions;
  #isHigh = false;
  #lookedMs = -Infinity;
  #collectedMs = -Infinity;
  #overMs = -Infinity;
  #rssBytes = 0;
  #refused = 0;

  /** @param options what it is judged by */
  constructor(options: MemoryPressureOptions) {
    this.#options = options;
  }

  /** What the process may have from the system, in bytes. */
  get maxBytes(): number {
    return this.#options.maxBytes;
  }

  /** How many times work was turned away. */
  get refused(): number {
    return this.#refused;
  }

  get freeBytes(): number {
    return this.isHigh ? 0 : Math.max(0, this.#options.maxBytes - this.#rssBytes);
  }

  /** Whether new work is turned away. */
  get isHigh(): boolean {
    const nowMs = this.#options.now();
    if (nowMs - this.#lookedMs < LOOK_MS) return this.#isHigh;
    this.#lookedMs = nowMs;
    let use = this.#options.read();
    if (this.#isOver(use) && nowMs - this.#collectedMs >= COLLECT_MS) {
      this.#options.collect();
      this.#collectedMs = this.#options.now();
      use = this.#options.read();
    }
    this.#rssBytes = use.rssBytes;
    if (this.#isOver(use, 1)) this.#overMs = nowMs;
    const isHigh = this.#isOver(use) && nowMs - this.#overMs < LEAVE_MS;
    if (isHigh !== this.#isHigh) this.#turn(isHigh, use);
    return isHigh;
  }

  check(): void {
    if (!this.isHigh) return;
    this.#refused++;
    throw new LakeSyncError(
      "BACKPRESSURE",
      "The gateway is short of memory, send it again later",
      { retryAfterSeconds: RETRY_AFTER_SECONDS },
    );
  }

  #isOver({ rssBytes, heapBytes }: MemoryUse, share = this.#isHigh ? LEAVE_SHARE : 1): boolean {
    const { maxBytes, maxHeapBytes } = this.#options;
    return rssBytes > maxBytes * share || heapBytes > maxHeapBytes * HEAP_SHARE * share;
  }

  #turn(isHigh: boolean, { rssBytes, heapBytes }: MemoryUse): void {
    this.#isHigh = isHigh;
    const figures = {
      rss: Math.round(rssBytes / MIB),
      max: Math.round(this.#options.maxBytes / MIB),
      heap: Math.round(heapBytes / MIB),
      refused: this.#refused,
    };
    if (isHigh) {
      logger.warning(
        "Memory is short, new work is turned away: {rss} MiB of {max} MiB are in use, {heap} MiB " +
          "of it as objects",
        figures,
      );
    } else {
      logger.info(
        "Memory is free again, {rss} MiB of {max} MiB are in use; {refused} refusals so far",
        figures,
      );
    }
  }
}
