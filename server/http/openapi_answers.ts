/**
 * Answers of the OpenAPI description: what every one carries, and one for each status that some
 * error code has.
 *
 * @module
 */

import { ERROR_STATUS, type ErrorCode } from "@lakesync/core";
import { CONTENT_TYPE } from "./media.ts";
import type { Answer, Header, JsonSchema, MediaType, Reference } from "./openapi_model.ts";
import { ref } from "./openapi_schemas.ts";

const text: JsonSchema = { type: "string" };

/** Headers that answers share, by name. */
export const HEADERS: Readonly<Record<string, Header>> = {
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

function headers(...names: readonly string[]): Record<string, Reference> {
  return Object.fromEntries(
    ["X-Request-Id", "API-Version", ...names]
      .map((name) => [name, { $ref: `#/components/headers/${name}` }]),
  );
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

/** When a request is refused with each code. */
const MEANING: Readonly<Record<ErrorCode, string>> = {
  VALIDATION_ERROR: "the request has not the shape it must have",
  AUTH_ERROR: "there is no token, or none that is good here",
  FORBIDDEN: "the token is not for this gateway or role, or the gateway has no rules yet",
  CLIENT_NOT_YOURS: "the clientId belongs to another user",
  NOT_FOUND: "there is no such gateway, or not what is asked of it",
  METHOD_NOT_ALLOWED: "the path has not this method",
  MUTATION_GAP: "a mutationId is beyond the next; lastMutationId says which was the last",
  CLIENT_FORKED: "two devices run copies of one database; mutationId is the first that differs",
  SCHEMA_CONFLICT: "the schema version is not served, or is there with other content",
  RESYNC_REQUIRED: "the cursor is of another life of the data or too old, pull without one",
  PAYLOAD_TOO_LARGE: "the body or what it holds is too large",
  UNSUPPORTED_MEDIA_TYPE: "the Content-Type or Content-Encoding is none that is read",
  SCHEMA_ERROR: "the schema is invalid or would lose data, or there is none yet",
  IDEMPOTENCY_MISMATCH: "the Idempotency-Key was used with another body",
  RATE_LIMITED: "too much of it, wait",
  INTERNAL_ERROR: "the gateway failed; its log knows more",
  ADAPTER_ERROR: "what the gateway depends on failed",
  BACKPRESSURE: "the gateway has too much to do, wait",
  DRAINING: "the gateway stops, try again",
  TIMEOUT: "it took too long",
};

/**
 * The answer that refuses a request.
 *
 * @param status its status
 * @param codes what may be wrong; all have this status
 */
export function refusal(status: number, codes: readonly ErrorCode[]): Answer {
  return {
    description: codes.map((code) => `\`${code}\`: ${MEANING[code]}.`).join(" "),
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
