/**
 * Objects that are numbered from 1 without a gap, each created once. Who creates the next one, where
 * there is none, has committed.
 *
 * @module
 */

import type { ObjectStore } from "../../object-store/object_store.ts";
import { type Envelope, packEnvelope, unpackEnvelope } from "./envelope.ts";

/** The hint is written after so many objects. */
const HINT_EVERY = 16;
const DIGITS = 12;

/** Objects in their order. */
export class ObjectLog {
  readonly #store: ObjectStore;
  readonly #folder: string;

  /**
   * @param store where they are
   * @param folder what their keys begin with
   */
  constructor(store: ObjectStore, folder: string) {
    this.#store = store;
    this.#folder = folder;
  }

  #key(number: number): string {
    return `${this.#folder}/changes/${String(number).padStart(DIGITS, "0")}.json.gz`;
  }

  get #hintKey(): string {
    return `${this.#folder}/newest.json`;
  }

  /** The number of the newest one; 0 when there is none. */
  async newest(): Promise<number> {
    let newest = await this.#hint() ?? await this.#highest();
    while (await this.#store.headObject(this.#key(newest + 1)) !== undefined) newest++;
    return newest;
  }

  /** An older number may be there, or none: readers go on from it. */
  async #hint(): Promise<number | undefined> {
    const bytes = await this.#store.getObject(this.#hintKey);
    if (bytes === undefined) return undefined;
    const { object } = JSON.parse(new TextDecoder().decode(bytes));
    return Number.isSafeInteger(object) ? object : undefined;
  }

  async #highest(): Promise<number> {
    let highest = 0;
    for await (const { key } of this.#store.listObjects(`${this.#folder}/changes`)) {
      const number = Number(/(\d+)\.json\.gz$/.exec(key)?.[1] ?? 0);
      highest = Math.max(highest, number);
    }
    return highest;
  }

  /** Reads one; undefined when it is not there. */
  async read(number: number): Promise<Envelope | undefined> {
    const bytes = await this.#store.getObject(this.#key(number));
    return bytes === undefined ? undefined : await unpackEnvelope(bytes);
  }

  /**
   * Creates one.
   *
   * @returns whether nobody else had
   * @throws when that is not known
   */
  async create(number: number, envelope: Envelope): Promise<boolean> {
    const isOurs = await this.#store.createObject(this.#key(number), await packEnvelope(envelope));
    if (isOurs && number % HINT_EVERY === 0) await this.#writeHint(number);
    return isOurs;
  }

  /** Without it more is asked at the next start, no more. */
  async #writeHint(object: number): Promise<void> {
    const bytes = new TextEncoder().encode(JSON.stringify({ object }));
    await this.#store.putObject(this.#hintKey, bytes).catch(() => {});
  }
}
