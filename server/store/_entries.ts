/**
 * The bucket index of the memory store: entries of one bucket in order of (seq, rid).
 *
 * @module
 */

/** An entry: a row, by its number, and the seq it stands at. */
export interface Entry {
  /** The commit at which the row last changed in the bucket. */
  readonly seq: number;
  /** The row's number. */
  readonly rid: number;
}

/** Entries in order, found by binary search. */
export class Entries {
  readonly #sorted: Entry[];

  /** @param sorted entries in order */
  constructor(sorted: readonly Entry[] = []) {
    this.#sorted = [...sorted];
  }

  /** The same entries, to be changed by themselves. */
  copy(): Entries {
    return new Entries(this.#sorted);
  }

  /** All entries, in order. */
  all(): readonly Entry[] {
    return [...this.#sorted];
  }

  /** Adds an entry, once. */
  add(entry: Entry): void {
    const index = this.#firstAfter(entry);
    const before = this.#sorted[index - 1];
    if (before && compare(before, entry) === 0) return;
    if (index === this.#sorted.length) this.#sorted.push(entry);
    else this.#sorted.splice(index, 0, entry);
  }

  /** Removes an entry, if it is there. */
  drop(entry: Entry): void {
    const index = this.#firstAfter(entry) - 1;
    const found = this.#sorted[index];
    if (found && compare(found, entry) === 0) this.#sorted.splice(index, 1);
  }

  /**
   * Reads entries.
   *
   * @param position where to begin
   * @param limit how many at most
   * @returns those after the position, in order
   */
  after(position: Entry, limit: number): readonly Entry[] {
    const start = this.#firstAfter(position);
    return this.#sorted.slice(start, start + limit);
  }

  #firstAfter(position: Entry): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.#sorted[middle];
      if (entry && compare(entry, position) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * Orders entries.
 *
 * @param a an entry
 * @param b another
 * @returns below 0 when `a` comes first, 0 when they are equal, above 0 otherwise
 */
export function compare(a: Entry, b: Entry): number {
  return a.seq - b.seq || a.rid - b.rid;
}
