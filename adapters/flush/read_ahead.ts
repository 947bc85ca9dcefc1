/**
 * Reads what comes next in a source while the destination writes what came before.
 *
 * @module
 */

import type { Place } from "../adapter.ts";
import { comparePlaces } from "../place.ts";
import type { ChangeSource, SourceHead, SourceLimit, SourcePage } from "./source.ts";

/** A part of a source, and where the source stood before it was read. */
export interface Reading {
  /** The head of before the reading. */
  readonly before: SourceHead;
  /** What was read. */
  readonly page: SourcePage;
}

/** Reads one page ahead at most. */
export class ReadAhead {
  readonly #source: Pick<ChangeSource, "head" | "read">;
  #next: { readonly after: Place; readonly reading: Promise<Reading> } | undefined;

  /** @param source where to read */
  constructor(source: Pick<ChangeSource, "head" | "read">) {
    this.#source = source;
  }

  /**
   * Begins to read what comes after a place.
   *
   * @param after the place
   * @param limit how much
   */
  begin(after: Place, limit: SourceLimit): void {
    const reading = this.#read(after, limit);
    // Whoever takes it hears of a failure; when nobody does, it was in vain.
    reading.catch(() => {});
    this.#next = { after, reading };
  }

  /**
   * Takes what was read ahead; it is given once.
   *
   * @param after the place that it has to come after
   * @returns undefined when nothing was read there
   */
  async take(after: Place | undefined): Promise<Reading | undefined> {
    const next = this.#next;
    this.#next = undefined;
    if (next === undefined || after === undefined || comparePlaces(next.after, after) !== 0) {
      await next?.reading.catch(() => {});
      return undefined;
    }
    return await next.reading;
  }

  async #read(after: Place, limit: SourceLimit): Promise<Reading> {
    const before = await this.#source.head();
    return { before, page: await this.#source.read(after, limit) };
  }
}
