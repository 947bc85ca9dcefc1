/**
 * Long work in short turns, so that what others wait for is not delayed by it.
 *
 * @module
 */

/** For so long others wait, in milliseconds. */
const TURN_MS = 8;

/** The clock is looked at after so many items. */
const ITEMS_PER_LOOK = 256;

/** So many items are sorted at once. */
const SORTED_AT_ONCE = 2_048;

/** Tells when others are to have their turn. */
export class Pace {
  readonly #nextTurn: () => Promise<void>;
  #sinceMs = performance.now();
  #items = 0;

  /**
   * Begins a turn.
   *
   * @param nextTurn lets others have their turn
   */
  constructor(nextTurn: () => Promise<void>) {
    this.#nextTurn = nextTurn;
  }

  /** Counts an item; tells whether it is time for {@linkcode rest}. */
  isOver(): boolean {
    if (++this.#items < ITEMS_PER_LOOK) return false;
    this.#items = 0;
    return performance.now() - this.#sinceMs > TURN_MS;
  }

  /** Lets others have their turn. */
  async rest(): Promise<void> {
    await this.#nextTurn();
    this.#sinceMs = performance.now();
  }
}

/**
 * Sorts items in turns; equal ones stay in their order.
 *
 * @param items what is sorted; not changed
 * @param compare their order
 * @param pace the turns
 */
export async function sortInTurns<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
  pace: Pace,
): Promise<readonly T[]> {
  let runs: (readonly T[])[] = [];
  for (let from = 0; from < items.length; from += SORTED_AT_ONCE) {
    runs.push(items.slice(from, from + SORTED_AT_ONCE).sort(compare));
    await pace.rest();
  }
  while (runs.length > 1) {
    const merged: (readonly T[])[] = [];
    for (let i = 0; i < runs.length; i += 2) {
      const [a = [], b] = [runs[i], runs[i + 1]];
      merged.push(b === undefined ? a : await mergeInTurns(a, b, compare, pace));
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

/**
 * Merges two sorted lists in turns.
 *
 * @param a a list; of equal items its are first
 * @param b another
 * @param compare their order
 * @param pace the turns
 */
export async function mergeInTurns<T>(
  a: readonly T[],
  b: readonly T[],
  compare: (a: T, b: T) => number,
  pace: Pace,
): Promise<readonly T[]> {
  if (b.length === 0) return a;
  const all: T[] = [];
  let at = 0;
  for (const item of a) {
    for (let next = b[at]; next !== undefined && compare(next, item) < 0; next = b[++at]) {
      all.push(next);
      if (pace.isOver()) await pace.rest();
    }
    all.push(item);
    if (pace.isOver()) await pace.rest();
  }
  return all.concat(b.slice(at));
}
