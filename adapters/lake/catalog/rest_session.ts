/**
 * Requests to a REST catalog: with its configuration, a token that is renewed, and the pauses that
 * it asks for.
 *
 * @module
 */

import { CatalogError } from "./catalog.ts";
import { isObject, LostAnswer, type RestReply, type RestRequest, send } from "./rest_http.ts";
import { checkRestOptions, type RestCatalogOptions } from "./rest_options.ts";
import { TokenSource } from "./rest_token.ts";

const TIMEOUT_MS = 30_000;
/** No pause that a catalog asks for is longer, in milliseconds. */
const MAX_PAUSE_MS = 300_000;
const MAX_TEXT = 200;

/** What a catalog answered. */
export interface CatalogReply extends RestReply {
  /** The kind of error, such as `NoSuchTableException`; undefined when the answer is no error. */
  readonly errorType: string | undefined;
  /** The answer as a part of a sentence, without secrets. */
  readonly text: string;
}

interface Configured {
  /** What stands before `/namespaces`. */
  readonly base: string;
}

function textIn(values: unknown, key: string): string | undefined {
  const value = isObject(values) ? values[key] : undefined;
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Sends requests to one catalog. */
export class RestSession {
  readonly #options: RestCatalogOptions;
  readonly #now: () => number;
  readonly #tokens: TokenSource;
  readonly #closed = new AbortController();
  #configured: Promise<Configured> | undefined;
  #quietUntil = 0;

  /**
   * Makes a session; the catalog is first asked when something is sent.
   *
   * @param options how it is reached
   * @param now the time, in milliseconds since 1970
   * @throws {TypeError} when the options are none
   */
  constructor(options: RestCatalogOptions, now: () => number) {
    this.#options = checkRestOptions(options);
    this.#now = now;
    this.#tokens = new TokenSource(this.#options, (request) => this.#send(request), now);
  }

  /**
   * Asks a question, which may be asked again at will.
   *
   * @param path what follows the prefix
   * @throws {CatalogError} `unreachable` when there is no answer, `refused` without a good token
   */
  async get(path: string): Promise<CatalogReply> {
    return await this.#question(`${(await this.#config()).base}${path}`);
  }

  /**
   * Sends something that changes something.
   *
   * @param path what follows the prefix
   * @param json what is sent
   * @throws {LostAnswer} when it may have been heard and there is no answer
   * @throws {CatalogError} `unreachable` when it was not sent, `refused` without a good token
   */
  async post(path: string, json: unknown): Promise<CatalogReply> {
    const { base } = await this.#config();
    return await this.#authorized({
      method: "POST",
      url: `${base}${path}`,
      headers: {},
      body: { json },
    });
  }

  /** Gives up what is under way. */
  close(): void {
    this.#closed.abort(new Error("The catalog was closed"));
  }

  async #config(): Promise<Configured> {
    this.#configured ??= this.#readConfig().catch((error) => {
      this.#configured = undefined;
      throw error;
    });
    return await this.#configured;
  }

  async #readConfig(): Promise<Configured> {
    const { uri, warehouse, prefix } = this.#options;
    const query = warehouse === undefined ? "" : `?warehouse=${encodeURIComponent(warehouse)}`;
    const reply = await this.#question(`${uri}/v1/config${query}`);
    if (reply.status !== 200 || !isObject(reply.body)) {
      const isFinal = reply.status < 500 && reply.status !== 429;
      throw new CatalogError(
        isFinal ? "refused" : "unreachable",
        `The catalog was asked for its configuration and the answer was ${reply.text}${
          isFinal ? ", check uri and warehouse" : ""
        }`,
      );
    }
    const { defaults, overrides } = reply.body;
    const own = textIn(overrides, "prefix") ?? prefix ?? textIn(defaults, "prefix");
    const at = textIn(overrides, "uri")?.replace(/\/+$/, "") ?? uri;
    const behind = own === undefined
      ? ""
      : `/${own.split("/").map((part) => encodeURIComponent(decodePart(part))).join("/")}`;
    return { base: `${at}/v1${behind}` };
  }

  async #question(url: string): Promise<CatalogReply> {
    try {
      return await this.#authorized({ method: "GET", url, headers: {} });
    } catch (cause) {
      if (!(cause instanceof LostAnswer)) throw cause;
      throw new CatalogError("unreachable", "The catalog was asked and did not answer", { cause });
    }
  }

  async #authorized(request: RestRequest): Promise<CatalogReply> {
    for (let isFirst = true;; isFirst = false) {
      const token = await this.#tokens.get();
      const own = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const reply = await this.#heard({
        ...request,
        headers: { ...this.#options.headers, ...own },
      });
      if (reply.status !== 401 && reply.status !== 419) return this.#told(reply, token);
      if (!this.#tokens.refused(token) || !isFirst) {
        throw new CatalogError(
          "refused",
          `The catalog does not know the gateway, check ${
            this.#options.oauth2 === undefined ? "token" : "oauth2"
          }: ${this.#told(reply, token).text}`,
        );
      }
    }
  }

  /** Sends a request, unless the catalog has asked for a pause that is not over. */
  async #heard(request: RestRequest): Promise<RestReply> {
    const pauseMs = this.#quietUntil - this.#now();
    if (pauseMs > 0) {
      throw new CatalogError(
        "unreachable",
        `The catalog asked to be left alone for ${Math.ceil(pauseMs / 1_000)} s more`,
      );
    }
    try {
      const reply = await this.#send(request);
      if ((reply.status === 429 || reply.status === 503) && reply.retryAfterMs !== undefined) {
        this.#quietUntil = this.#now() + Math.min(reply.retryAfterMs, MAX_PAUSE_MS);
      }
      return reply;
    } catch (cause) {
      if (!(cause instanceof LostAnswer) || cause.heard) throw cause;
      throw new CatalogError("unreachable", "The catalog cannot be reached", { cause });
    }
  }

  #send(request: RestRequest): Promise<RestReply> {
    const { timeoutMs = TIMEOUT_MS } = this.#options;
    return send(request, timeoutMs, this.#closed.signal, this.#now());
  }

  #told(reply: RestReply, token: string | undefined): CatalogReply {
    const error = isObject(reply.body) ? reply.body.error : undefined;
    const errorType = textIn(error, "type");
    const said = [errorType, textIn(error, "message")].filter((text) => text !== undefined);
    const { headers = {} } = this.#options;
    let text = said.join(": ").replace(/\s+/g, " ");
    for (const secret of [token, ...Object.values(headers)]) {
      if (secret !== undefined && secret !== "") text = text.replaceAll(secret, "…");
    }
    return {
      ...reply,
      errorType,
      text: `${reply.status}${text === "" ? "" : ` ${text.slice(0, MAX_TEXT)}`}`,
    };
  }
}

/** A part of a prefix as it is meant; some catalogs write it as it is in an address. */
function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
