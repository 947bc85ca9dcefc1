/**
 * Choices read from a list of numbers, so that one list is one app schema or one statement. When the
 * list ends every choice is its first alternative: a shorter list is a simpler program, which is how
 * failures are made small.
 *
 * @module
 */

/** Reads choices. */
export class Choices {
  readonly #numbers: readonly number[];
  #at = 0;

  /** @param numbers what chooses; 0 chooses what is simplest */
  constructor(numbers: readonly number[]) {
    this.#numbers = numbers;
  }

  /** A whole number from 0, less than n. */
  below(n: number): number {
    return (this.#numbers[this.#at++] ?? 0) % n;
  }

  /** One of several, the first when nothing chooses. */
  pick<T>(items: readonly [T, ...T[]] | readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("There is nothing to pick from");
    return item;
  }

  /** True once in n times. */
  oneIn(n: number): boolean {
    return this.below(n) === n - 1;
  }

  /** One of several, each with a weight. */
  weighted<T>(items: readonly (readonly [weight: number, item: T])[]): T {
    let left = this.below(items.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, item] of items) {
      if (left < weight) return item;
      left -= weight;
    }
    throw new Error("There is nothing to pick from");
  }

  /** Between so many and so many of what a function makes. */
  list<T>(least: number, most: number, make: (index: number) => T): T[] {
    const count = least + this.below(most - least + 1);
    return Array.from({ length: count }, (_, i) => make(i));
  }

  /** Those of several that are chosen, in their order, at least one. */
  some<T>(items: readonly T[]): T[] {
    const picked = items.filter(() => this.oneIn(2));
    return picked.length === 0 ? [this.pick(items)] : picked;
  }
}
