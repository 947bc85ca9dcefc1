/**
 * A client's status as one value that can be read and watched.
 *
 * @module
 */

import type { ErrorCode, StopCode } from "@lakesync/core";
import { callApp } from "./callback.ts";
import type { ConnectionState } from "./machine.ts";
import type { DriftRemedy } from "./verify.ts";

/** What went wrong last. */
export interface SyncProblem {
  /**
   * From the gateway's list; `OFFLINE` when nobody was reached, `LOCAL` for this database, `DRIFT`
   * while rows here differ from the gateway's.
   */
  readonly code: ErrorCode | StopCode | "OFFLINE" | "LOCAL" | "DRIFT";
  /** For a person. */
  readonly message: string;
  /** When, in milliseconds since 1970. */
  readonly atMs: number;
}

/** How far a checkpoint has been received and applied. */
export interface Progress {
  /** Rows received. */
  readonly rows: number;
  /** About how many rows will have come, where that is known before its end; never less than `rows`. */
  readonly totalRows?: number;
  /** Rows applied, when all were received: the app sees them when the last one was. */
  readonly applied?: number;
}

/** What was done last because rows here differed from the gateway's. */
export interface Repair {
  /** The bucket that differed. */
  readonly bucket: string;
  /** When it was found, in milliseconds since 1970. */
  readonly atMs: number;
  /** Rows in it, as the gateway told. */
  readonly rows: number;
  /** Rows that were here. */
  readonly rowsHere: number;
  /** What was done. */
  readonly remedy: DriftRemedy;
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
  /** How far a checkpoint of several pages has been received; undefined between checkpoints. */
  readonly progress: Progress | undefined;
  /** Buckets that were fetched again since the client was opened, because they differed. */
  readonly repairs: number;
  /** The last of them. */
  readonly lastRepair: Repair | undefined;
  /**
   * What went wrong last, up or down, or with the rows here; undefined after that went well again.
   */
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

/**
 * The two ways between client and gateway, and the rows here: each fails and heals apart from the
 * others.
 */
export type Way = "up" | "down" | "data";

/** The status and the way to change it. */
export class StatusValue implements Subscribable<SyncStatus> {
  #value: SyncStatus = {
    state: "paused",
    online: false,
    connected: false,
    uploading: false,
    pending: 0,
    lastCheckpoint: undefined,
    progress: undefined,
    repairs: 0,
    lastRepair: undefined,
    lastError: undefined,
  };
  readonly #listeners = new Set<(value: SyncStatus) => void>();
  readonly #problems: Record<Way, SyncProblem | undefined> = {
    up: undefined,
    data: undefined,
    down: undefined,
  };

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
    let newest: SyncProblem | undefined;
    for (const problem of Object.values(this.#problems)) {
      if (problem !== undefined && problem.atMs >= (newest?.atMs ?? -Infinity)) newest = problem;
    }
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
