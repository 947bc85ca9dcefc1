/**
 * Tells other engines where to look first: `version-hint.text` beside a table's metadata. It is
 * written behind commits and may be late or missing; nothing here reads it.
 *
 * @module
 */

import type { ObjectStore } from "../../object-store/object_store.ts";
import type { TableName } from "./catalog.ts";
import { metadataFolder } from "./versions.ts";

/** Writes hints, one at a time for each table, the latest alone. */
export class Hints {
  readonly #store: ObjectStore;
  readonly #wanted = new Map<string, number>();
  readonly #writing = new Map<string, Promise<void>>();

  /**
   * Makes a writer.
   *
   * @param store where the hints are
   */
  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /**
   * Writes a hint soon.
   *
   * @param table the table
   * @param version the number of its newest metadata
   */
  tell(table: TableName, version: number): void {
    const key = `${metadataFolder(table)}/version-hint.text`;
    this.#wanted.set(key, version);
    if (!this.#writing.has(key)) {
      this.#writing.set(key, this.#write(key).finally(() => this.#writing.delete(key)));
    }
  }

  async #write(key: string): Promise<void> {
    for (;;) {
      const version = this.#wanted.get(key);
      if (version === undefined) return;
      this.#wanted.delete(key);
      await this.#store.putObject(key, new TextEncoder().encode(String(version))).catch(() => {});
    }
  }

  /** Waits until all are written. */
  async close(): Promise<void> {
    await Promise.all(this.#writing.values());
  }
}
