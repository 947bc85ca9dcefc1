/**
 * The token of a client: asked for once, kept until the gateway refuses it, then asked for once
 * more.
 *
 * @module
 */

import { NeedsTokenError } from "./problem.ts";

/** Gives a token for the gateway; an app's own backend signs it. */
export type GetToken = () => string | Promise<string>;

/** What both an Authorization header and a subprotocol of a WebSocket can carry. */
const TOKEN = /^[\w.~+-]+$/;

/** Keeps the token between requests. */
export class TokenKeeper {
  #token: string | undefined;
  #asking: Promise<string> | undefined;
  readonly #getToken: GetToken;

  /** @param getToken asked when there is no token or the one there is was refused */
  constructor(getToken: GetToken) {
    this.#getToken = getToken;
  }

  /** The token; asked for when there is none. */
  async get(): Promise<string> {
    if (this.#token !== undefined) return this.#token;
    const asking = this.#asking ??= this.#ask();
    try {
      const token = await asking;
      if (this.#asking === asking) this.#token = token;
      return token;
    } finally {
      if (this.#asking === asking) this.#asking = undefined;
    }
  }

  /** A new token instead of one that was refused. */
  async refresh(refused: string): Promise<string> {
    if (this.#token === refused) this.#token = undefined;
    return await this.get();
  }

  /** Forgets the token, so that the next request asks for one. */
  forget(): void {
    this.#token = undefined;
    this.#asking = undefined;
  }

  async #ask(): Promise<string> {
    let token: unknown;
    try {
      token = await this.#getToken();
    } catch (cause) {
      throw new NeedsTokenError("getToken failed", { cause });
    }
    if (typeof token === "string" && TOKEN.test(token)) return token;
    throw new NeedsTokenError("getToken gave nothing that can be a token");
  }
}
