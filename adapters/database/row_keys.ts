/**
 * Rows by their keys.
 *
 * @module
 */

import type { DestinationKey } from "../adapter.ts";
import { nameOfKey } from "../place.ts";

/** A map whose keys are keys of rows. */
export class KeyMap<T> {
  readonly #entries = new Map<string, { readonly key: DestinationKey; readonly value: T }>();

  /** How many there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** What is there for a key. */
  get(key: DestinationKey): T | undefined {
    return this.#entries.get(nameOfKey(key))?.value;
  }

  /** Whether something is there for a key. */
  has(key: DestinationKey): boolean {
    return this.#entries.has(nameOfKey(key));
  }

  /** Puts something there, in the place of what was. */
  set(key: DestinationKey, value: T): void {
    this.#entries.set(nameOfKey(key), { key, value });
  }

  /** Takes a key off; tells whether it was there. */
  delete(key: DestinationKey): boolean {
    return this.#entries.delete(nameOfKey(key));
  }

  /** All keys, in the order in which they came. */
  keys(): DestinationKey[] {
    return [...this.#entries.values()].map(({ key }) => key);
  }

  /** All values, in the order in which they came. */
  values(): T[] {
    return [...this.#entries.values()].map(({ value }) => value);
  }
}
