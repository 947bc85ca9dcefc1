/**
 * How much of request bodies a server holds at once: what is read counts until its request is
 * answered, so that many large or slow bodies are turned away before memory runs out.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";

/** Bodies that come slowly, of one server at once. */
export const MAX_SLOW_BODIES = 1_000;
/** Those of one user among them. */
export const MAX_USER_SLOW_BODIES = 32;

/** Bytes of bodies that one server holds at once, as they came and decompressed. */
export const MAX_HELD_BYTES: number = 64 * 1024 * 1024;

/** What a body may grow to until it is answered: its text, its objects, what is written of it. */
const GROWTH = 5;

/** What one request holds of a budget. */
export interface ByteLease {
  /**
   * Holds more bytes.
   *
   * @throws {LakeSyncError} `BACKPRESSURE` when there is no room for them now
   */
  take(bytes: number): void;
  /**
   * Holds a place among those whose bodies come slowly: they hold a connection and a request for
   * long with hardly a byte.
   *
   * @throws {LakeSyncError} `BACKPRESSURE` when all places are taken, or those of the user
   */
  beSlow(): void;
  /** Gives everything back. */
  end(): void;
}

/** The bytes that all requests of a server may hold together, and how many may be slow. */
export class ByteBudget {
  readonly #freeBytes: () => number;
  #held = 0;
  #left: number;
  #slow = 0;
  readonly #slowOf = new Map<string, number>();

  /**
   * @param bytes how many there are
   * @param freeBytes how much memory there is beside, for what bodies become
   */
  constructor(bytes: number = MAX_HELD_BYTES, freeBytes: () => number = () => Infinity) {
    this.#left = bytes;
    this.#freeBytes = freeBytes;
  }

  /**
   * Opens what one request holds.
   *
   * @param userOf tells whose request it is, once that is known
   */
  lease(userOf: () => string = () => ""): ByteLease {
    let held = 0;
    let slowUser: string | undefined;
    return {
      take: (bytes) => {
        if (bytes > this.#left || (this.#held + bytes) * GROWTH > this.#freeBytes()) {
          throw new LakeSyncError(
            "BACKPRESSURE",
            "The gateway holds too many large bodies now, send it again",
            { retryAfterSeconds: 1 },
          );
        }
        held += bytes;
        this.#held += bytes;
        this.#left -= bytes;
      },
      beSlow: () => {
        slowUser ??= this.#addSlow(userOf());
      },
      end: () => {
        this.#left += held;
        this.#held -= held;
        held = 0;
        if (slowUser !== undefined) this.#removeSlow(slowUser);
        slowUser = undefined;
      },
    };
  }
  #addSlow(user: string): string {
    const own = this.#slowOf.get(user) ?? 0;
    if (this.#slow >= MAX_SLOW_BODIES || own >= MAX_USER_SLOW_BODIES) {
      throw new LakeSyncError(
        "BACKPRESSURE",
        "Too many bodies come slowly at this moment, send fewer at once",
        { retryAfterSeconds: 5 },
      );
    }
    this.#slow++;
    this.#slowOf.set(user, own + 1);
    return user;
  }

  #removeSlow(user: string): void {
    this.#slow--;
    const own = (this.#slowOf.get(user) ?? 1) - 1;
    if (own > 0) this.#slowOf.set(user, own);
    else this.#slowOf.delete(user);
  }
}
