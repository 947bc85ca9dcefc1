/**
 * How much waits for a destination, without reading the log for it: what was read counts, then every
 * commit adds and every batch that has arrived takes away.
 *
 * @module
 */

import type { SourceEntry, SourceNews } from "./source.ts";

/** A size in changes and in bytes, as the source keeps them. */
export interface BacklogSize {
  /** Changes. */
  readonly changes: number;
  /** Their size in the source, in bytes. */
  readonly bytes: number;
}

/** How much of what waits a page of the source holds. */
export interface PageReach {
  /** Commits up to the end of the page. */
  readonly commits: number;
  /** Commits up to the head. */
  readonly waiting: number;
}

/** What waits for one destination. */
export class Backlog {
  #changes = 0;
  #bytes = 0;
  #isKnown = false;

  /** What waits; an estimate while more waits than was read. */
  get size(): BacklogSize {
    return { changes: Math.round(this.#changes), bytes: Math.round(this.#bytes) };
  }

  /** Whether it was counted to its end, and nothing of unknown size came since. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** There are new changes. */
  grew({ changes, bytes }: Pick<SourceNews, "changes" | "bytes">): void {
    if (changes === undefined || bytes === undefined) this.#isKnown = false;
    this.#changes += changes ?? 0;
    this.#bytes += bytes ?? 0;
  }

  /**
   * A page was read from where the destination stands.
   *
   * @param entries what it holds
   * @param reach how much of what waits that is
   */
  read(entries: readonly SourceEntry[], { commits, waiting }: PageReach): void {
    const isWhole = commits >= waiting;
    if (this.#isKnown && !isWhole) return;
    const share = isWhole || commits <= 0 ? 1 : waiting / commits;
    const { changes, bytes } = sizeOf(entries);
    this.#changes = changes * share;
    this.#bytes = bytes * share;
    this.#isKnown = isWhole;
  }

  /** What was read has arrived. */
  arrived(entries: readonly SourceEntry[]): void {
    const { changes, bytes } = sizeOf(entries);
    this.#changes = Math.max(0, this.#changes - changes);
    this.#bytes = Math.max(0, this.#bytes - bytes);
  }

  /** Nothing waits. */
  cleared(): void {
    this.#changes = 0;
    this.#bytes = 0;
    this.#isKnown = true;
  }

  /** The destination stands elsewhere than was thought. */
  lost(): void {
    this.#isKnown = false;
  }
}

function sizeOf(entries: readonly SourceEntry[]): BacklogSize {
  let changes = 0;
  let bytes = 0;
  for (const entry of entries) {
    changes += entry.changes.length;
    bytes += entry.bytes;
  }
  return { changes, bytes };
}
