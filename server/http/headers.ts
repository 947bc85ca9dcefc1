/**
 * Headers that every answer has, whatever answers: those that keep browsers from guessing, framing
 * and remembering, and those that let pages of configured origins read answers (CORS). Without such
 * origins no page of another origin reads anything.
 *
 * Tokens are sent by the app and never by the browser on its own, so an answer that a page may not
 * read is all there is to keep: no credentials are allowed for, and a WebSocket without a token gets
 * nowhere from any page. Where origins are configured, WebSockets of other ones are refused as well,
 * since the browser does not do it.
 *
 * Source: WHATWG Fetch, "HTTP-network protocol extensions" (CORS); RFC 6455, 10.2.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";

/** How long a browser may remember what a preflight said, in seconds. */
const PREFLIGHT_SECONDS = 7_200;

/** How long a browser may remember that there is TLS, in seconds. */
const HSTS_SECONDS = 31_536_000;

/** Headers of every answer. Where a page of another origin may read one, the last one differs. */
export const SECURITY_HEADERS: readonly (readonly [name: string, value: string])[] = [
  ["X-Content-Type-Options", "nosniff"],
  ["X-Frame-Options", "DENY"],
  ["Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"],
  ["Referrer-Policy", "no-referrer"],
  ["Cross-Origin-Resource-Policy", "same-origin"],
];

/** Headers of requests that pages may send. */
const REQUEST_HEADERS: readonly string[] = [
  "Accept",
  "Authorization",
  "Content-Encoding",
  "Content-Type",
  "Idempotency-Key",
  "If-None-Match",
  "If-Range",
  "Range",
  "X-Request-Id",
  "traceparent",
  "tracestate",
];

/** Headers of answers that pages may read. */
const ANSWER_HEADERS: readonly string[] = [
  "API-Version",
  "Content-Range",
  "Deprecation",
  "ETag",
  "Idempotency-Replayed",
  "RateLimit",
  "RateLimit-Limit",
  "RateLimit-Policy",
  "RateLimit-Remaining",
  "RateLimit-Reset",
  "Retry-After",
  "Sunset",
  "X-LakeSync-Rules",
  "X-Request-Id",
];

const METHODS = "GET, HEAD, POST, PUT";

/** What the headers go by. */
export interface HeaderOptions {
  /** Origins whose pages may read answers, `*` for all; none unless given. */
  readonly corsOrigins?: readonly string[];
  /** Whether the server is reached by TLS. */
  readonly isTls?: boolean;
}

/**
 * Reads an origin as browsers write it.
 *
 * @param text such as `https://app.example` or `http://localhost:5173`, or `*`
 * @returns the origin; undefined when it is none
 */
export function parseOrigin(text: string): string | undefined {
  if (text === "*") return text;
  const url = URL.parse(text);
  if (url === null || url.origin === "null" || !/^https?:$/.test(url.protocol)) return undefined;
  return url.href === `${url.origin}/` ? url.origin : undefined;
}

function addVary(headers: Headers, name: string): void {
  const vary = headers.get("Vary");
  headers.set("Vary", vary === null ? name : `${vary}, ${name}`);
}

/** Puts the headers on answers. */
export class AnswerHeaders {
  readonly #origins: ReadonlySet<string>;
  readonly #always: readonly (readonly [name: string, value: string])[];

  /** @param options which origins, and whether by TLS */
  constructor({ corsOrigins = [], isTls = false }: HeaderOptions) {
    this.#origins = new Set(corsOrigins);
    this.#always = isTls
      ? [...SECURITY_HEADERS, ["Strict-Transport-Security", `max-age=${HSTS_SECONDS}`]]
      : SECURITY_HEADERS;
  }

  /**
   * Answers what a browser asks before it sends a request of a page.
   *
   * @param request a request
   * @returns the answer; undefined when it is no such question, or of an origin that is not let in
   */
  preflight({ method, headers }: Request): Response | undefined {
    if (method !== "OPTIONS" || !headers.has("Access-Control-Request-Method")) return undefined;
    if (this.#allowed(headers.get("Origin")) === undefined) return undefined;
    return new Response(null, {
      status: 204,
      headers: {
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": REQUEST_HEADERS.join(", "),
        "Access-Control-Max-Age": String(PREFLIGHT_SECONDS),
        "Vary": "Access-Control-Request-Method, Access-Control-Request-Headers",
      },
    });
  }

  /**
   * Refuses a WebSocket of a page of another origin, where origins are configured.
   *
   * @throws {LakeSyncError} `FORBIDDEN`
   */
  checkSocket({ headers }: Request): void {
    if (this.#origins.size === 0 || headers.get("Upgrade")?.toLowerCase() !== "websocket") return;
    const origin = headers.get("Origin");
    if (origin === null || this.#allowed(origin) !== undefined) return;
    if (URL.parse(origin)?.host === headers.get("Host")) return;
    throw new LakeSyncError(
      "FORBIDDEN",
      "Pages of this origin may not connect, see --cors-origins",
    );
  }

  /**
   * Puts the headers on an answer.
   *
   * @param request what it answers
   * @param headers the answer's headers
   */
  apply(request: Request, headers: Headers): void {
    for (const [name, value] of this.#always) headers.set(name, value);
    if (!headers.has("Cache-Control")) headers.set("Cache-Control", "no-store");
    if (this.#origins.size === 0) return;
    if (!this.#origins.has("*")) addVary(headers, "Origin");
    const allowed = this.#allowed(request.headers.get("Origin"));
    if (allowed === undefined) return;
    headers.set("Access-Control-Allow-Origin", allowed);
    headers.set("Access-Control-Expose-Headers", ANSWER_HEADERS.join(", "));
    headers.set("Cross-Origin-Resource-Policy", "cross-origin");
  }

  /** What `Access-Control-Allow-Origin` says to an origin. */
  #allowed(origin: string | null): string | undefined {
    if (origin === null) return undefined;
    if (this.#origins.has("*")) return "*";
    return this.#origins.has(origin) ? origin : undefined;
  }
}
