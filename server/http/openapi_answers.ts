/**
 * Answers of the OpenAPI description: what every one carries, and one for each status that some
 * error code has.
 *
 * @module
 */

import { ERROR_STATUS, type ErrorCode } from "@lakesync/core";
import { ERROR_HELP } from "./error_help.ts";
import { SECURITY_HEADERS } from "./headers.ts";
import { CONTENT_TYPE } from "./media.ts";
import type { Answer, Header, JsonSchema, MediaType, Reference } from "./openapi_model.ts";
import { ref } from "./openapi_schemas.ts";

const text: JsonSchema = { type: "string" };
const count: JsonSchema = { type: "string", pattern: "^[0-9]+$" };

/** What browsers are told with every answer. */
const SECURITY: Readonly<Record<string, Header>> = Object.fromEntries(
  SECURITY_HEADERS.map(([name, value]) => [name, {
    description: "Keeps browsers from guessing, framing and telling.",
    required: true,
    schema: name === "Cross-Origin-Resource-Policy"
      ? { enum: [value, "cross-origin"] }
      : { const: value },
  }]),
);

/** How the rate stands that leaves least; there where rates are limited. */
export const RATE_HEADERS: Readonly<Record<string, Header>> = {
  "RateLimit-Limit": { description: "Requests that may come at once.", schema: count },
  "RateLimit-Remaining": { description: "How many of them are left.", schema: count },
  "RateLimit-Reset": { description: "Seconds until all are there again.", schema: count },
  "RateLimit-Policy": {
    description: "Which rate: address or user; its quota and its window in seconds.",
    schema: { type: "string", pattern: '^"[a-z]+";q=[0-9]+;w=[0-9]+$' },
  },
  "RateLimit": {
    description: "Which rate, what is left, and seconds until all are there again.",
    schema: { type: "string", pattern: '^"[a-z]+";r=[0-9]+;t=[0-9]+$' },
  },
};

/** Headers that answers share, by name. */
export const HEADERS: Readonly<Record<string, Header>> = {
  ...SECURITY,
  ...RATE_HEADERS,
  "Strict-Transport-Security": {
    description: "There where the server is reached by TLS.",
    schema: { type: "string", pattern: "^max-age=[0-9]+$" },
  },
  "Cache-Control": {
    description: "Whether the answer may be kept; hardly any may.",
    required: true,
    schema: text,
  },
  "Idempotency-Replayed": {
    description: "There when the answer is the kept one of an equal request.",
    schema: { const: "true" },
  },
  "X-Request-Id": {
    description: "Finds the request in the gateway's log: the caller's own if it was sane.",
    required: true,
    schema: { type: "string", pattern: "^[!-~]{1,128}$" },
  },
  "API-Version": {
    description: "The version of the protocol.",
    required: true,
    schema: { const: "v1" },
  },
  "Retry-After": {
    description: "Seconds after which a retry makes sense.",
    required: true,
    schema: { type: "string", pattern: "^[1-9][0-9]*$" },
  },
  "WWW-Authenticate": {
    description: "Asks for a bearer token.",
    required: true,
    schema: { type: "string", pattern: "^Bearer " },
  },
  "Accept-Encoding": {
    description: "The compressions of bodies that are read.",
    required: true,
    schema: text,
  },
  "Allow": {
    description: "The methods of the path.",
    required: true,
    schema: { type: "string", pattern: "^(GET|POST|PUT)(, (GET|POST|PUT))*$" },
  },
};

const ALWAYS: readonly string[] = [
  "X-Request-Id",
  "API-Version",
  "Cache-Control",
  ...Object.keys(SECURITY),
  "Strict-Transport-Security",
];

/** Points to headers of {@linkcode HEADERS}. */
export function headerRefs(names: readonly string[]): Record<string, Reference> {
  return Object.fromEntries(
    names.map((name) => [name, { $ref: `#/components/headers/${name}` }]),
  );
}

function headers(...names: readonly string[]): Record<string, Reference> {
  return headerRefs([...ALWAYS, ...names]);
}

/** A body in JSON. */
export function json(name: string, example?: MediaType["example"]): Record<string, MediaType> {
  return {
    [CONTENT_TYPE.json]: { schema: ref(name), ...(example === undefined ? {} : { example }) },
  };
}

/** A body in JSON or protobuf. */
export function both(name: string, example?: MediaType["example"]): Record<string, MediaType> {
  return { ...json(name, example), [CONTENT_TYPE.protobuf]: {} };
}

/**
 * An answer when nothing is wrong.
 *
 * @param description when it is given
 * @param content its body by content type; left out: it has none
 * @param more headers beside those of every answer
 * @returns the answer
 */
export function answer(
  description: string,
  content?: Record<string, MediaType>,
  more: Record<string, Header> = {},
): Answer {
  return {
    description,
    headers: { ...headers(), ...more },
    ...(content === undefined ? {} : { content }),
  };
}

const HEADERS_OF_STATUS: Readonly<Record<number, readonly string[]>> = {
  401: ["WWW-Authenticate"],
  405: ["Allow"],
  415: ["Accept-Encoding"],
  429: ["Retry-After"],
  503: ["Retry-After"],
};

/** The headers of an answer that refuses a request with a status. */
export function headersOf(status: number): Record<string, Reference> {
  return headers(...(HEADERS_OF_STATUS[status] ?? []));
}

/**
 * The answer that refuses a request.
 *
 * @param status its status
 * @param codes what may be wrong; all have this status
 */
export function refusal(status: number, codes: readonly ErrorCode[]): Answer {
  return {
    description: codes.map((code) => `\`${code}\`: ${ERROR_HELP[code].meaning}.`).join(" "),
    headers: headersOf(status),
    content: {
      [CONTENT_TYPE.json]: {
        schema: { allOf: [ref("Error"), { properties: { code: { enum: codes } } }] },
      },
      [CONTENT_TYPE.protobuf]: {},
    },
  };
}

/**
 * The answers that refuse a request.
 *
 * @param codes what may be wrong
 * @returns one answer for each status, ascending
 */
export function refusals(codes: readonly ErrorCode[]): Record<string, Answer> {
  const byStatus = Map.groupBy(codes, (code) => ERROR_STATUS[code]);
  return Object.fromEntries(
    [...byStatus].sort(([a], [b]) => a - b)
      .map(([status, codes]) => [String(status), refusal(status, codes)]),
  );
}
