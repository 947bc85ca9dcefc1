/**
 * Tokens for a REST catalog: one that is given, or ones that are asked for by OAuth2's client
 * credentials and renewed before they expire.
 * Source: RFC 6749, section 4.4.
 *
 * @module
 */

import { CatalogError } from "./catalog.ts";
import { isObject, LostAnswer, type RestReply, type RestRequest } from "./rest_http.ts";
import type { RestCatalogOptions } from "./rest_options.ts";

/** A token is renewed so long before it expires at the most, in milliseconds. */
const EARLY_MS = 60_000;
/** And not before this part of its life. */
const EARLY_PART = 1 / 4;

interface Token {
  readonly text: string;
  /** Renewed from this time on. */
  readonly renewAt: number;
}

/** Sends a request to where tokens are given out. */
export type SendForToken = (request: RestRequest) => Promise<RestReply>;

/** Has a token. */
export class TokenSource {
  readonly #options: RestCatalogOptions;
  readonly #send: SendForToken;
  readonly #now: () => number;
  #token: Token | undefined;
  #asking: Promise<Token> | undefined;

  /**
   * Makes a source.
   *
   * @param options the catalog's
   * @param send sends a request
   * @param now the time, in milliseconds since 1970
   */
  constructor(options: RestCatalogOptions, send: SendForToken, now: () => number) {
    this.#options = options;
    this.#send = send;
    this.#now = now;
  }

  /** A token that is good; undefined when the catalog wants none. */
  async get(): Promise<string | undefined> {
    if (this.#options.oauth2 === undefined) return this.#options.token;
    if (this.#token === undefined || this.#now() >= this.#token.renewAt) {
      this.#asking ??= this.#ask().finally(() => this.#asking = undefined);
      this.#token = await this.#asking;
    }
    return this.#token.text;
  }

  /**
   * Says that a token was not taken.
   *
   * @param text the token
   * @returns whether there may be another one
   */
  refused(text: string | undefined): boolean {
    if (this.#options.oauth2 === undefined) return false;
    if (this.#token?.text === text) this.#token = undefined;
    return true;
  }

  async #ask(): Promise<Token> {
    const { oauth2 } = this.#options;
    const asked = this.#now();
    const { status, body } = await this.#sent({
      grant_type: "client_credentials",
      client_id: oauth2?.clientId ?? "",
      client_secret: oauth2?.clientSecret ?? "",
      scope: oauth2?.scope ?? "catalog",
    });
    const answer = isObject(body) ? body : {};
    if (status === 200 && typeof answer.access_token === "string") {
      const lifeMs = Number(answer.expires_in ?? Infinity) * 1_000;
      return {
        text: answer.access_token,
        renewAt: asked + lifeMs - Math.min(EARLY_MS, lifeMs * EARLY_PART),
      };
    }
    const code = typeof answer.error === "string" ? ` ${answer.error.slice(0, 40)}` : "";
    const isFinal = status >= 300 && status < 500 && status !== 408 && status !== 429;
    throw new CatalogError(
      isFinal ? "refused" : "unreachable",
      `The catalog's tokens were asked for and the answer was ${status}${code}${
        isFinal ? ", check clientId, clientSecret, scope and tokenUri" : ""
      }`,
    );
  }

  async #sent(form: Readonly<Record<string, string>>): Promise<RestReply> {
    const url = this.#options.oauth2?.tokenUri ?? "";
    try {
      return await this.#send({ method: "POST", url, headers: {}, body: { form } });
    } catch (cause) {
      if (!(cause instanceof LostAnswer)) throw cause;
      throw new CatalogError(
        "unreachable",
        "Where the catalog's tokens are given out cannot be reached",
        {
          cause,
        },
      );
    }
  }
}
