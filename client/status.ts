/**
 * A client's status as one value that can be read and watched.
 *
 * @module
 */

import type { ErrorCode, StopCode } from "@lakesync/core";
import { callApp } from "./callback.ts";
import type { ConnectionState } from "./machine.ts";

/** What went wrong last. */
export interface SyncProblem {
  /** From the gateway's list; `OFFLINE` when nobody was reached, `LOCAL` for this database. */
  readonly code: ErrorCode | StopCode | "OFFLINE" | "LOCAL";
  /** For a person. */
  readonly message: string;
  /** When, in milliseconds since 1970. */
  readonly atMs: number;
}

/** A client's state at a moment. */
export interface SyncStatus {
  /** Where the connection is. */
  readonly state: ConnectionState;
  /** Whether the gateway was reached by the last try. */
  readonly online: boolean;
  /** Whether changes come as they are committed. */
  readonly connected: boolean;
  /** Whether transactions are on their way to the gateway at this moment. */
  readonly uploading: boolean;
  /** Local transactions that no checkpoint contains yet. */
  readonly pending: number;
  /** The last complete checkpoint. */
  readonly lastCheckpoint: { readonly seq: number; readonly atMs: number } | undefined;
  /** Rows received of a checkpoint that is not complete yet; 0 between checkpoints. */
  readonly receiving: number;
  /** What went wrong last, up or down; undefined after that way went well again. */
  readonly lastError: SyncProblem | undefined;
}

/** A value that can be read and watched. */
export interface Subscribable<T> {
  /** The value now. */
  readonly value: T;
  /**
   * Calls back with the value now and after each change.
   *
   * @returns ends it
   */
  subscribe(listener: (value: T) => void): () => void;
}

/** The two ways between client and gateway, which fail and heal apart from each other. */
export type Way = "up" | "down";

/** The status and the way to change it. */
export class StatusValue implements Subscribable<SyncStatus> {
  #value: SyncStatus = {
    state: "paused",
    online: false,
    connected: false,
    uploading: false,
    pending: 0,
    lastCheckpoint: undefined,
    receiving: 0,
    lastError: undefined,
  };
  readonly #listeners = new Set<(value: SyncStatus) => void>();
  readonly #problems: Record<Way, SyncProblem | undefined> = { up: undefined, down: undefined };

  get value(): SyncStatus {
    return this.#value;
  }

  subscribe(listener: (value: SyncStatus) => void): () => void {
    this.#listeners.add(listener);
    listener(this.#value);
    return () => this.#listeners.delete(listener);
  }

  /** Says what is wrong on a way, or that it goes well; other fields change with it. */
  setProblem(
    way: Way,
    problem: SyncProblem | undefined,
    fields: Partial<Omit<SyncStatus, "lastError">> = {},
  ): void {
    this.#problems[way] = problem;
    const { up, down } = this.#problems;
    const newest = up === undefined || (down !== undefined && down.atMs >= up.atMs) ? down : up;
    this.set({ ...fields, lastError: newest });
  }

  /** Changes fields; listeners hear of it when any is another than before. */
  set(fields: Partial<SyncStatus>): void {
    const next = { ...this.#value, ...fields };
    const same = JSON.stringify(next) === JSON.stringify(this.#value);
    this.#value = next;
    if (same) return;
    for (const listener of [...this.#listeners]) callApp(() => listener(next));
  }
}
