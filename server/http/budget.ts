/**
 * How much of request bodies a server holds at once: what is read counts until its request is
 * answered, so that many large or slow bodies are turned away before memory runs out.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";

/** Bytes of bodies that one server holds at once, as they came and decompressed. */
export const MAX_HELD_BYTES: number = 64 * 1024 * 1024;

/** What one request holds of a budget. */
export interface ByteLease {
  /**
   * Holds more bytes.
   *
   * @throws {LakeSyncError} `BACKPRESSURE` when there is no room for them now
   */
  take(bytes: number): void;
  /** Gives all of them back. */
  end(): void;
}

/** The bytes that all requests of a server may hold together. */
export class ByteBudget {
  #left: number;

  /** @param bytes how many there are */
  constructor(bytes: number = MAX_HELD_BYTES) {
    this.#left = bytes;
  }

  /** Opens what one request holds. */
  lease(): ByteLease {
    let held = 0;
    return {
      take: (bytes) => {
        if (bytes > this.#left) {
          throw new LakeSyncError(
            "BACKPRESSURE",
            "The gateway holds too many large bodies now, send it again",
            { retryAfterSeconds: 1 },
          );
        }
        held += bytes;
        this.#left -= bytes;
      },
      end: () => {
        this.#left += held;
        held = 0;
      },
    };
  }
}
