/**
 * What checkpoints need of the world and how they are bounded. Shared by all gateways of a process.
 *
 * @module
 */

import type { ObjectStore } from "@lakesync/adapters/object-store";
import type { RowSource } from "./checkpoint_rows.ts";

/** At most so many pieces of work at once; others wait in the order they came. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /**
   * Makes slots.
   *
   * @param count how many at once
   */
  constructor(count: number) {
    this.#free = count;
  }

  /** Does a piece of work when its turn comes. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

/** How checkpoints are kept and bounded. */
export interface CheckpointSettings {
  /** Keeps the chunks. */
  readonly objects: ObjectStore;
  /** The builds of all gateways. */
  readonly builds: Slots;
  /** Buckets with fewer rows come with the tail. */
  readonly minRows: number;
  /** Rows of one chunk. */
  readonly chunkRows: number;
  /** Stored bytes of the rows of one chunk; the last row may exceed it. */
  readonly chunkBytes: number;
  /** When this share of a snapshot's rows has left or changed, a new one is built. */
  readonly staleShare: number;
  /** How long a replaced snapshot is kept for streams that resume, in milliseconds. */
  readonly keepReplacedMs: number;
  /** A longer stream is broken off, so that what is granted is judged anew, in milliseconds. */
  readonly maxStreamMs: number;
  /** Where the rows of a gateway may be read instead of in its store; nowhere unless given. */
  readonly rowsOf?: (gatewayId: string) => RowSource | undefined;
}

/**
 * Makes settings.
 *
 * @param objects keeps the chunks
 * @param others what is not to be as usual
 */
export function checkpointSettings(
  objects: ObjectStore,
  others: Partial<CheckpointSettings> = {},
): CheckpointSettings {
  return {
    objects,
    builds: new Slots(2),
    minRows: 10_000,
    chunkRows: 5_000,
    chunkBytes: 1024 * 1024,
    staleShare: 0.1,
    keepReplacedMs: 5 * 60 * 1000,
    maxStreamMs: 10 * 60 * 1000,
    ...others,
  };
}
