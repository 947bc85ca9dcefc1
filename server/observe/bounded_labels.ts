/**
 * Keeps labels few: the first values that come are told by their names, all others together, so
 * that thousands of gateways cost Prometheus no more than a hundred.
 *
 * @module
 */

/** What stands for all values beyond the bound. */
export const OTHER = "other";

/** The values that are told by their names; they keep that for as long as the process lives. */
export class BoundedLabels {
  readonly #max: number;
  readonly #known = new Set<string>();

  /** @param max how many there may be */
  constructor(max: number) {
    this.#max = max;
  }

  /** Whether a value is told by its name. */
  has(value: string): boolean {
    if (this.#known.has(value)) return true;
    if (this.#known.size >= this.#max) return false;
    this.#known.add(value);
    return true;
  }
}

/** How values are told together. */
export type Merge = (a: number, b: number) => number;

/** Values by labels, in which those that fall on the same labels are merged. */
export class LabeledValues {
  readonly #values = new Map<string, readonly [labels: Readonly<Record<string, string>>, number]>();

  /** Adds a value; one that is there for these labels already is merged with it. */
  add(labels: Readonly<Record<string, string>>, value: number, merge: Merge): void {
    const key = JSON.stringify(Object.values(labels));
    const known = this.#values.get(key);
    this.#values.set(key, [labels, known === undefined ? value : merge(known[1], value)]);
  }

  /** All values. */
  [Symbol.iterator](): Iterator<
    readonly [labels: Readonly<Record<string, string>>, value: number]
  > {
    return this.#values.values();
  }
}
