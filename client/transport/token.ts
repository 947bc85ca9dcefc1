/**
 * The token of a client: asked for once, kept until the gateway refuses it, then asked for once
 * more.
 *
 * @module
 */

import type { Timer } from "../timer.ts";
import { NeedsTokenError, OfflineError } from "./problem.ts";

/** Gives a token for the gateway; an app's own backend signs it. */
export type GetToken = () => string | Promise<string>;

/** What both an Authorization header and a subprotocol of a WebSocket can carry. */
const TOKEN = /^[\w.~+-]+$/;

/** How long the app may take to give a token, in milliseconds. */
const TOKEN_WITHIN_MS = 60_000;

/** Keeps the token between requests. */
export class TokenKeeper {
  #token: string | undefined;
  #asking: Promise<string> | undefined;
  readonly #getToken: GetToken;
  readonly #setTimer: Timer;

  /**
   * @param getToken asked when there is no token or the one there is was refused
   * @param setTimer passes time
   */
  constructor(getToken: GetToken, setTimer: Timer) {
    this.#getToken = getToken;
    this.#setTimer = setTimer;
  }

  /**
   * The token; asked for when there is none.
   *
   * @param signal gives up waiting
   * @throws {NeedsTokenError} when the app gave none in time, or none that can be one
   * @throws {OfflineError} when `getToken` threw: the app's backend is out of reach as well
   */
  async get(signal: AbortSignal): Promise<string> {
    if (this.#token !== undefined) return this.#token;
    this.#asking ??= this.#remember();
    return await this.#await(this.#asking, signal);
  }

  /** A new token instead of one that was refused. */
  async refresh(refused: string, signal: AbortSignal): Promise<string> {
    if (this.#token === refused) this.#token = undefined;
    return await this.get(signal);
  }

  /** Forgets the token, so that the next request asks for one. */
  forget(): void {
    this.#token = undefined;
    this.#asking = undefined;
  }

  #remember(): Promise<string> {
    const asking = this.#ask().then((token) => {
      if (this.#asking === asking) this.#token = token;
      return token;
    }).finally(() => {
      if (this.#asking === asking) this.#asking = undefined;
    });
    return asking;
  }

  /** Waits for the app no longer than the signal and the time allow; it may never answer. */
  async #await(asking: Promise<string>, signal: AbortSignal): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    asking.then(resolve, reject);
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    const cancelTimer = this.#setTimer(TOKEN_WITHIN_MS, () => {
      reject(new NeedsTokenError("getToken gave nothing within a minute"));
    });
    try {
      return await promise;
    } finally {
      cancelTimer();
      signal.removeEventListener("abort", abort);
    }
  }

  async #ask(): Promise<string> {
    let token: unknown;
    try {
      token = await this.#getToken();
    } catch (cause) {
      throw new OfflineError("getToken failed, it is asked again", { cause });
    }
    if (typeof token === "string" && TOKEN.test(token)) return token;
    throw new NeedsTokenError("getToken gave nothing that can be a token");
  }
}
