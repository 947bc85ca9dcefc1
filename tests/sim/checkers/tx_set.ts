/**
 * Sets of transactions by number, as bits: a run's reads are compared with each other thousands of
 * times, each time a few dozen words.
 *
 * @module
 */

/** A set of small whole numbers that grows as needed. */
export class TxSet implements Iterable<number> {
  #words: Uint32Array;

  /** @param words The bits to begin with; taken over, not copied. */
  constructor(words: Uint32Array = new Uint32Array(8)) {
    this.#words = words;
  }

  /** Puts a number in. */
  add(index: number): void {
    const at = index >>> 5;
    if (at >= this.#words.length) this.#grow(at + 1);
    this.#words[at] = (this.#words[at] ?? 0) | (1 << (index & 31));
  }

  /** Whether a number is in. */
  has(index: number): boolean {
    return ((this.#words[index >>> 5] ?? 0) & (1 << (index & 31))) !== 0;
  }

  /** Puts all of another set in. */
  addAll(other: TxSet): void {
    if (other.#words.length > this.#words.length) this.#grow(other.#words.length);
    for (let at = 0; at < other.#words.length; at++) {
      this.#words[at] = (this.#words[at] ?? 0) | (other.#words[at] ?? 0);
    }
  }

  /** A copy. */
  copy(): TxSet {
    return new TxSet(this.#words.slice());
  }

  /** What is in this set and in none of the others. */
  without(...others: readonly TxSet[]): TxSet {
    const words = this.#words.slice();
    for (const other of others) {
      const length = Math.min(words.length, other.#words.length);
      for (let at = 0; at < length; at++) words[at] = (words[at] ?? 0) & ~(other.#words[at] ?? 0);
    }
    return new TxSet(words);
  }

  /** Whether this set and another have a number in common. */
  meets(other: TxSet): boolean {
    const length = Math.min(this.#words.length, other.#words.length);
    for (let at = 0; at < length; at++) {
      if (((this.#words[at] ?? 0) & (other.#words[at] ?? 0)) !== 0) return true;
    }
    return false;
  }

  /** What is in both. */
  and(other: TxSet): TxSet {
    const words = new Uint32Array(Math.min(this.#words.length, other.#words.length));
    for (let at = 0; at < words.length; at++) {
      words[at] = (this.#words[at] ?? 0) & (other.#words[at] ?? 0);
    }
    return new TxSet(words);
  }

  /** The numbers, ascending. */
  *[Symbol.iterator](): Iterator<number> {
    for (let at = 0; at < this.#words.length; at++) {
      let word = this.#words[at] ?? 0;
      while (word !== 0) {
        const bit = 31 - Math.clz32(word & -word);
        yield at * 32 + bit;
        word &= word - 1;
      }
    }
  }

  #grow(atLeast: number): void {
    const words = new Uint32Array(Math.max(atLeast, this.#words.length * 2));
    words.set(this.#words);
    this.#words = words;
  }
}
