/**
 * Chance from a seed: the same seed gives the same numbers everywhere.
 *
 * @module
 */

const TOKEN_LETTERS = "abcdefghijklmnopqrstuvwxyz234567";

/** A stream of random choices. */
export class Random {
  #a: number;
  #b: number;

  /**
   * Starts a stream.
   *
   * @param seed any whole number
   */
  constructor(seed: number) {
    this.#a = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
    this.#b = Math.imul(seed ^ 0x2545f491, 0x85ebca6b) >>> 0;
    for (let i = 0; i < 4; i++) this.#bits();
  }

  /** Weyl steps of an odd constant, scrambled by what came before. */
  #bits(): number {
    this.#a = (this.#a + 0x6d2b79f5) >>> 0;
    let x = this.#a ^ this.#b;
    x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
    x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
    x ^= x >>> 15;
    this.#b = (this.#b + x) >>> 0;
    return x >>> 0;
  }

  /** A whole number from 0, less than n. */
  below(n: number): number {
    return Math.floor((this.#bits() / 2 ** 32) * n);
  }

  /** A whole number between two, both included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True with a probability. */
  chance(probability: number): boolean {
    return this.#bits() / 2 ** 32 < probability;
  }

  /** One of several. */
  pick<T>(items: readonly [T, ...T[]] | readonly T[]): T {
    if (items.length === 0) throw new Error("nothing to pick from");
    return items[this.below(items.length)] as T;
  }

  /** One of several, each with a weight. */
  weighted<T>(items: readonly (readonly [weight: number, item: T])[]): T {
    let left = this.below(items.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, item] of items) {
      if (left < weight) return item;
      left -= weight;
    }
    throw new Error("nothing to pick from");
  }

  /** Some of several, in their order; never fewer than `least`. */
  some<T>(items: readonly T[], probability: number, least = 0): T[] {
    const picked = items.filter(() => this.chance(probability));
    while (picked.length < Math.min(least, items.length)) {
      const one = this.pick(items);
      if (!picked.includes(one)) picked.push(one);
    }
    return picked;
  }

  /** So many of what a function makes. */
  list<T>(least: number, most: number, make: (index: number) => T): T[] {
    return Array.from({ length: this.between(least, most) }, (_, i) => make(i));
  }

  /** A text that is like no other. */
  token(): string {
    let text = "~";
    for (let i = 0; i < 14; i++) text += TOKEN_LETTERS[this.below(32)];
    return text;
  }
}
