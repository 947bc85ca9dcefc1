/**
 * Answers: content type, compression, and errors in the one shape they have everywhere.
 *
 * @module
 */

import {
  encodeError,
  ERROR_STATUS,
  type ErrorBody,
  type JsonValue,
  LakeSyncError,
} from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from "node:zlib";
import { ACCEPTED_ENCODINGS } from "./body.ts";
import { LARGE_BODY_BYTES } from "./paced.ts";
import { answerFormat, byQuality, CONTENT_TYPE } from "./media.ts";
import { retryAfterHeader, spreadRetry } from "./retry.ts";

const logger = getLogger(["lakesync", "http"]);

/** Smaller answers gain nothing from compression. */
const MIN_COMPRESSED_BYTES = 1024;
const DEFAULT_RETRY_SECONDS = 1;

const GZIP_FAST = { level: 3 };
const BROTLI_FAST = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } };

/** Compressions in the order of preference, fast settings. Deno.serve compresses no protobuf. */
const COMPRESS: readonly (readonly [
  name: string,
  compress: (bytes: Uint8Array) => Uint8Array,
])[] = [
  ["zstd", (bytes) => zstdCompressSync(bytes)],
  ["br", (bytes) => brotliCompressSync(bytes, BROTLI_FAST)],
  ["gzip", (bytes) => gzipSync(bytes, GZIP_FAST)],
];

function bytesOf(body: string | Uint8Array): Uint8Array {
  return typeof body === "string" ? new TextEncoder().encode(body) : body;
}

/** Answers with bytes, and says how many they are when they are many, so that they are paced. */
function whole(bytes: Uint8Array, headers: Headers, status: number): Response {
  if (bytes.length >= LARGE_BODY_BYTES) headers.set("Content-Length", String(bytes.length));
  return new Response(new Uint8Array(bytes), { status, headers });
}

/**
 * Answers with a body, compressed when it is large and the caller accepts it.
 *
 * @param request the request
 * @param type the content type
 * @param body text or bytes
 * @param headers further headers
 * @param status the status code
 * @returns the answer
 */
export function reply(
  request: Request,
  type: string,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
  status = 200,
): Response {
  const all = new Headers({
    ...headers,
    "Content-Type": type,
    "Cache-Control": "no-store",
    "Vary": "Accept, Accept-Encoding",
  });
  const accepted = request.headers.get("Accept-Encoding");
  if (body.length >= MIN_COMPRESSED_BYTES && accepted !== null) {
    const names = byQuality(accepted).filter(({ quality }) => quality > 0)
      .map(({ name }) => name);
    for (const [name, compress] of COMPRESS) {
      if (!names.includes(name)) continue;
      all.set("Content-Encoding", name);
      return whole(compress(bytesOf(body)), all, status);
    }
  }
  return body.length < LARGE_BODY_BYTES && typeof body === "string"
    ? new Response(body, { status, headers: all })
    : whole(bytesOf(body), all, status);
}

/** Answers with JSON. */
export function replyJson(
  request: Request,
  value: JsonValue | object,
  headers: Record<string, string> = {},
  status = 200,
): Response {
  return reply(request, CONTENT_TYPE.json, JSON.stringify(value), headers, status);
}

/**
 * Tells an error as callers get it. What is no `LakeSyncError` is a fault of ours: it is logged,
 * and the caller gets no detail.
 *
 * @param error what was thrown
 * @param requestId finds it in the log
 * @returns the error's body
 */
export function errorBody(error: unknown, requestId: string): ErrorBody {
  const known = error instanceof LakeSyncError ? error : new LakeSyncError(
    "INTERNAL_ERROR",
    "Something went wrong on the gateway, its log knows more by the requestId",
    {},
    { cause: error },
  );
  const { code, message, cause, status } = known;
  // What takes too long is mostly a caller's line, and is in the log of requests.
  if (status >= 500 && code !== "TIMEOUT" && (status !== 503 || cause !== undefined)) {
    const because = cause === undefined ? "" : ", because of {cause}";
    logger.error(`{code} in request {requestId}: {message}${because}`, {
      code,
      message,
      requestId,
      cause,
    });
  }
  const retry = known.details.retryAfterSeconds ??
    (known.status === 429 || known.status === 503 ? DEFAULT_RETRY_SECONDS : undefined);
  return {
    error: known.message,
    code: known.code,
    requestId,
    ...known.details,
    ...(retry === undefined ? {} : { retryAfterSeconds: spreadRetry(retry, Math.random()) }),
  };
}

/**
 * Answers with an error, in the form the caller accepts.
 *
 * @param request the request
 * @param error what was thrown
 * @param requestId finds it in the log
 * @param headers further headers
 * @returns the answer
 */
export function replyError(
  request: Request,
  error: unknown,
  requestId: string,
  headers: Record<string, string> = {},
): Response {
  const body = errorBody(error, requestId);
  const status = ERROR_STATUS[body.code];
  const format = answerFormat(request.headers);
  const all = new Headers({
    ...headers,
    "Content-Type": CONTENT_TYPE[format],
    "Cache-Control": "no-store",
  });
  if (body.retryAfterSeconds !== undefined) {
    all.set("Retry-After", retryAfterHeader(body.retryAfterSeconds));
  }
  if (status === 401) all.set("WWW-Authenticate", 'Bearer realm="lakesync"');
  if (status === 415) all.set("Accept-Encoding", ACCEPTED_ENCODINGS);
  return new Response(
    format === "json" ? JSON.stringify(body) : new Uint8Array(encodeError(body)),
    { status, headers: all },
  );
}
