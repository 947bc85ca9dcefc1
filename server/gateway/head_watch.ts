/**
 * Looks now and then at what other processes have committed to a shared store, for as long as
 * anyone wants to know.
 *
 * @module
 */

import type { GatewayEnvironment } from "./environment.ts";

/** How long others' commits may go unnoticed, in milliseconds. */
const LOOK_EVERY_MS = 1_000;

/** Looks at a gateway's head. */
export class HeadWatch {
  readonly #env: Pick<GatewayEnvironment, "setTimer" | "onError">;
  readonly #look: () => Promise<void>;
  #cancel: (() => void) | undefined;
  #looking: Promise<void> | undefined;
  #isWanted = false;

  /**
   * @param env timers, and who is told when a look fails
   * @param look looks once, and tells whoever wants to know
   */
  constructor(env: Pick<GatewayEnvironment, "setTimer" | "onError">, look: () => Promise<void>) {
    this.#env = env;
    this.#look = look;
  }

  /** Begins to look, if it does not. */
  begin(): void {
    this.#isWanted = true;
    this.#next();
  }

  /** Looks no more. */
  end(): void {
    this.#isWanted = false;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Looks no more, and waits for a look that is under way. */
  async close(): Promise<void> {
    this.end();
    await this.#looking;
  }

  #next(): void {
    if (!this.#isWanted || this.#cancel !== undefined || this.#looking !== undefined) return;
    this.#cancel = this.#env.setTimer(LOOK_EVERY_MS, () => {
      this.#cancel = undefined;
      this.#looking = this.#once().finally(() => {
        this.#looking = undefined;
        this.#next();
      });
    });
  }

  async #once(): Promise<void> {
    try {
      await this.#look();
    } catch (error) {
      this.#env.onError?.("Other processes' commits could not be looked for", error);
    }
  }
}
