/**
 * Keeps labels few: the first values that come are told by their names, all others together, so
 * that thousands of gateways cost Prometheus no more than a hundred.
 *
 * @module
 */

/** What stands for all values beyond the bound. */
export const OTHER = "other";

/** The labels that are told by their names; they keep that for as long as the process lives. */
export class BoundedLabels {
  readonly #max: number;
  readonly #names: readonly string[];
  readonly #known = new Map<string, LabelSet>();
  readonly #other: LabelSet;

  /**
   * @param max how many sets of labels there may be, beside that of all others
   * @param names the labels
   */
  constructor(max: number, ...names: readonly string[]) {
    this.#max = max;
    this.#names = names;
    this.#other = Object.fromEntries(names.map((name) => [name, OTHER]));
  }

  /** The labels for values; each is `other` beyond the bound. */
  of(...values: readonly string[]): LabelSet {
    const key = values.join("\n");
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size >= this.#max) return this.#other;
    const labels = Object.fromEntries(this.#names.map((name, i) => [name, values[i] ?? ""]));
    this.#known.set(key, labels);
    return labels;
  }
}

/** The values of labels; the same ones are the same object. */
export type LabelSet = Readonly<Record<string, string>>;

/** How values are told together. */
export type Merge = (a: number, b: number) => number;

/** Values by labels, in which those that fall on the same labels are merged. */
export class LabeledValues {
  readonly #values = new Map<LabelSet, number>();

  /** Adds a value; one that is there for these labels already is merged with it. */
  add(labels: LabelSet, value: number, merge: Merge): void {
    const known = this.#values.get(labels);
    this.#values.set(labels, known === undefined ? value : merge(known, value));
  }

  /** All values. */
  [Symbol.iterator](): Iterator<readonly [labels: LabelSet, value: number]> {
    return this.#values.entries();
  }
}
