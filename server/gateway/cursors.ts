/**
 * Cursors by name: how far a source was read, or how far a destination is as far as the gateway
 * knows. They are kept with the gateway's data, so a restored gateway knows them as of its backup.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { CommitBatch, Store } from "../store/store.ts";
import type { Committer } from "./committer.ts";

/** A cursor as it was saved. */
export interface SavedCursor {
  /** Its name. */
  readonly name: string;
  /** Its value, a text that only its owner reads. */
  readonly value: string;
  /** When it was saved, in milliseconds since 1970. */
  readonly savedMs: number;
}

/** What of cursors others see. */
export interface CursorStore {
  /**
   * Saves a cursor durably.
   *
   * @param name 1 to 128 letters, digits, `.`, `_`, `:`, `/` or `-`, a letter or digit first
   * @param value at most 16,384 characters
   * @throws {LakeSyncError} `VALIDATION_ERROR` for another name or value, and when there are 256
   */
  saveCursor(name: string, value: string): Promise<void>;
  /** Loads what was saved last; undefined for a cursor that never was, or was reset. */
  loadCursor(name: string): Promise<string | undefined>;
  /** All cursors, by name. */
  list(): Promise<readonly SavedCursor[]>;
  /**
   * Forgets a cursor.
   *
   * @returns whether there was one
   */
  reset(name: string): Promise<boolean>;
}

/** The record that holds the names. */
const NAMES_META = "cursors";

const MAX_CURSORS = 256;
const MAX_VALUE_CHARS = 16_384;

/** A commit is tried so often when other processes commit first. */
const MAX_ATTEMPTS = 8;

type Meta = NonNullable<CommitBatch["meta"]>;

function recordOf(name: string): string {
  return `cursors ${name}`;
}

/** Whether a cursor may have a name. */
export function isCursorName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/.test(name);
}

/** The cursors of an open gateway. */
export class Cursors implements CursorStore {
  readonly #committer: Committer;

  /** @param committer the gateway's writer */
  constructor(committer: Committer) {
    this.#committer = committer;
  }

  get #store(): Store {
    return this.#committer.store;
  }

  async saveCursor(name: string, value: string): Promise<void> {
    if (!isCursorName(name)) {
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        "A cursor's name is 1 to 128 letters, digits, '.', '_', ':', '/' or '-', a letter or digit first",
      );
    }
    if (value.length > MAX_VALUE_CHARS) {
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        `A cursor has at most ${MAX_VALUE_CHARS} characters`,
      );
    }
    await this.#commit(async () => {
      const names = await this.#names();
      const known = names.includes(name);
      if (!known && names.length >= MAX_CURSORS) {
        throw new LakeSyncError(
          "VALIDATION_ERROR",
          `There are ${MAX_CURSORS} cursors, reset those that are no longer needed`,
        );
      }
      const saved = JSON.stringify([value, this.#committer.env.now()]);
      const all = known ? [] : [[NAMES_META, JSON.stringify([...names, name].sort())] as const];
      return [[recordOf(name), saved], ...all];
    });
  }

  async loadCursor(name: string): Promise<string | undefined> {
    return (await this.#read(name))?.value;
  }

  async list(): Promise<readonly SavedCursor[]> {
    const cursors: SavedCursor[] = [];
    for (const name of await this.#names()) {
      const cursor = await this.#read(name);
      if (cursor !== undefined) cursors.push(cursor);
    }
    return cursors;
  }

  async reset(name: string): Promise<boolean> {
    let known = false;
    await this.#commit(async () => {
      const names = await this.#names();
      known = names.includes(name);
      if (!known) return [];
      const others = names.filter((other) => other !== name);
      return [[recordOf(name), null], [NAMES_META, JSON.stringify(others)]];
    });
    return known;
  }

  async #names(): Promise<readonly string[]> {
    return JSON.parse((await this.#store.readMeta(NAMES_META)) ?? "[]");
  }

  async #read(name: string): Promise<SavedCursor | undefined> {
    const stored = await this.#store.readMeta(recordOf(name));
    if (stored === undefined) return undefined;
    const [value, savedMs]: [string, number] = JSON.parse(stored);
    return { name, value, savedMs };
  }

  /** Commits records without moving the head: nobody waits for them, and destinations lack none. */
  async #commit(records: () => Promise<Meta>): Promise<void> {
    const store = this.#store;
    for (let attempt = 1;; attempt++) {
      try {
        return await this.#committer.alone(async () => {
          const { head } = await this.#committer.base();
          const meta = await records();
          if (meta.length > 0) await store.commit({ expectedSeq: head.seq, head, meta });
        });
      } catch (error) {
        const mayPass = error instanceof LakeSyncError && error.code === "BACKPRESSURE";
        if (!store.capabilities.shared || !mayPass || attempt >= MAX_ATTEMPTS) throw error;
      }
    }
  }
}
