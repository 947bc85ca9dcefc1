/**
 * A map that shows snapshots what was there when they were taken. While none is open a change
 * costs what it costs in a plain map; while some are, the first change of a key keeps what was
 * there for each of them.
 *
 * @module
 */

/** Names a snapshot; one may span several maps. */
export type Snapshot = symbol;

/** A map with snapshots. Values that a snapshot shows must not be changed in place. */
export class VersionedMap<K, V> {
  readonly #now = new Map<K, V>();
  /** What was there, for each snapshot, of the keys that have changed since. */
  readonly #before = new Map<Snapshot, Map<K, V | undefined>>();

  /** How many keys there are now. */
  get size(): number {
    return this.#now.size;
  }

  /**
   * Reads a value.
   *
   * @param key the key
   * @param at a snapshot that is open; the present without one
   * @returns the value, if there is one
   */
  get(key: K, at?: Snapshot): V | undefined {
    const before = at && this.#before.get(at);
    return before?.has(key) ? before.get(key) : this.#now.get(key);
  }

  /** The keys that are there now, with their values. */
  entries(): MapIterator<[K, V]> {
    return this.#now.entries();
  }

  /** The values that are there now. */
  values(): MapIterator<V> {
    return this.#now.values();
  }

  /** Sets a value. */
  set(key: K, value: V): void {
    this.#keep(key);
    this.#now.set(key, value);
  }

  /** Removes a value. */
  delete(key: K): void {
    this.#keep(key);
    this.#now.delete(key);
  }

  /** Whether a snapshot shows the value that is at a key now. */
  isShown(key: K): boolean {
    return this.#before.values().some((before) => !before.has(key));
  }

  /** Begins a snapshot. */
  open(at: Snapshot): void {
    this.#before.set(at, new Map());
  }

  /** Ends a snapshot. */
  end(at: Snapshot): void {
    this.#before.delete(at);
  }

  #keep(key: K): void {
    for (const before of this.#before.values()) {
      if (!before.has(key)) before.set(key, this.#now.get(key));
    }
  }
}
