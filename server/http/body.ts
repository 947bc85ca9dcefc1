/**
 * Reading a request's body within bounds: what counts are the bytes that were read and the bytes
 * they decompress to, never what a header claims.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { gunzipSync, inflateSync } from "node:zlib";
import type { ByteLease } from "./budget.ts";
import type { Deadline } from "./deadline.ts";
import { Turns } from "./turns.ts";

/** The bounds of one body. */
export interface BodyBounds {
  /** How large it may be, before and after decompression. */
  readonly maxBytes: number;
  /** What the request holds of the server's memory. */
  readonly lease: ByteLease;
  /** How much time its request has; what the body takes at a slow but fair pace comes on top. */
  readonly deadline?: Deadline;
  /** How long a sender may be silent within a body, in milliseconds; ten seconds unless given. */
  readonly idleTimeoutMs?: number;
  /** How long a whole body may take, in milliseconds; five minutes unless given. */
  readonly timeoutMs?: number;
  /** After how long an unfinished body is a slow one, in milliseconds; a second unless given. */
  readonly slowAfterMs?: number;
}

const IDLE_TIMEOUT_MS = 10_000;
const TIMEOUT_MS = 5 * 60_000;
const SLOW_AFTER_MS = 1_000;

/** The pace of a line that is slow but fair, in bytes a millisecond; who is slower uses up the request's own time. */
const SLOW_BYTES_PER_MS = 32;

function tooLarge(maxBytes: number): LakeSyncError {
  return new LakeSyncError(
    "PAYLOAD_TOO_LARGE",
    `The body is larger than ${maxBytes} bytes, send it in parts`,
  );
}

function tooSlow(): LakeSyncError {
  return new LakeSyncError("TIMEOUT", "The body came too slowly, send it again in smaller parts");
}

async function inTime<T>(
  work: Promise<T>,
  refused: Promise<never>,
  ms: number,
  signal?: AbortSignal,
): Promise<T> {
  signal?.throwIfAborted();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(tooSlow()), ms);
  const aborted = () => reject(signal?.reason);
  signal?.addEventListener("abort", aborted);
  try {
    return await Promise.race([work, refused, late]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", aborted);
  }
}

/** Rejects when a body is slow and there is no place for one more of them; until it is disposed. */
function refuseSlow(lease: ByteLease, afterMs: number): Disposable & {
  readonly refused: Promise<never>;
} {
  const { promise: refused, reject } = Promise.withResolvers<never>();
  refused.catch(() => {});
  const timer = setTimeout(() => {
    try {
      lease.beSlow();
    } catch (error) {
      reject(error);
    }
  }, afterMs);
  return { refused, [Symbol.dispose]: () => clearTimeout(timer) };
}

async function readChunks(
  stream: ReadableStream<Uint8Array>,
  { maxBytes, lease, deadline, ...times }: BodyBounds,
): Promise<Uint8Array> {
  const { idleTimeoutMs = IDLE_TIMEOUT_MS, timeoutMs = TIMEOUT_MS } = times;
  using pace = refuseSlow(lease, times.slowAfterMs ?? SLOW_AFTER_MS);
  const chunks: Uint8Array[] = [];
  let length = 0;
  const untilMs = Date.now() + timeoutMs;
  const reader = stream.getReader();
  try {
    for (;;) {
      const leftMs = untilMs - Date.now();
      if (leftMs <= 0) throw tooSlow();
      const ms = Math.min(idleTimeoutMs, leftMs);
      const { value, done } = await inTime(reader.read(), pace.refused, ms, deadline?.signal);
      if (done) break;
      deadline?.allow(value.byteLength / SLOW_BYTES_PER_MS);
      length += value.byteLength;
      if (length > maxBytes) throw tooLarge(maxBytes);
      lease.take(value.byteLength);
      chunks.push(value);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error;
  }
  const body = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return body;
}

async function readRaw(request: Request, bounds: BodyBounds): Promise<Uint8Array> {
  const { maxBytes } = bounds;
  const { body, headers } = request;
  if (body === null) return new Uint8Array();
  const claimed = headers.get("Content-Length");
  if (claimed !== null && Number(claimed) > maxBytes) throw tooLarge(maxBytes);
  try {
    return await readChunks(body, bounds);
  } catch (cause) {
    if (cause instanceof LakeSyncError) throw cause;
    // The line broke, or its sender has closed its side: nothing about the body is known to be
    // wrong, and a client is to send it again soon.
    throw new LakeSyncError(
      "TIMEOUT",
      "The body ended before it was complete, send it again",
      {},
      { cause },
    );
  }
}

/** Only forms whose reader notices a body that was cut short; those of br and zstd here do not. */
const DECOMPRESS: Readonly<
  Record<string, (body: Uint8Array, maxBytes: number) => Uint8Array>
> = {
  gzip: (body, maxOutputLength) => gunzipSync(body, { maxOutputLength }),
  "x-gzip": (body, maxOutputLength) => gunzipSync(body, { maxOutputLength }),
  deflate: (body, maxOutputLength) => inflateSync(body, { maxOutputLength }),
};

/** What decompresses from so many bytes may take milliseconds. */
const LONG_WORK_BYTES = 16 * 1024;
const turns = new Turns();

/** What `Accept-Encoding` says beside an `UNSUPPORTED_MEDIA_TYPE`. */
export const ACCEPTED_ENCODINGS = "gzip, deflate";

/**
 * Reads a request's body and decompresses it.
 *
 * @param request the request
 * @param bounds how large it may be and how long it may take
 * @returns the body
 * @throws {LakeSyncError} `PAYLOAD_TOO_LARGE`, `UNSUPPORTED_MEDIA_TYPE` for a compression that is
 * not supported, `VALIDATION_ERROR` for a damaged body, `TIMEOUT` for one that comes too slowly,
 * `BACKPRESSURE` when the server holds too much already, or too many that come slowly
 */
export async function readBody(request: Request, bounds: BodyBounds): Promise<Uint8Array> {
  const encoding = request.headers.get("Content-Encoding")?.trim()
    .toLowerCase() ?? "identity";
  const decompress = Object.hasOwn(DECOMPRESS, encoding) ? DECOMPRESS[encoding] : undefined;
  if (decompress === undefined && encoding !== "identity") {
    throw new LakeSyncError(
      "UNSUPPORTED_MEDIA_TYPE",
      `The Content-Encoding is not supported, use ${ACCEPTED_ENCODINGS} or none`,
    );
  }
  const raw = await readRaw(request, bounds);
  if (decompress === undefined) return raw;
  const { maxBytes, lease } = bounds;
  if (raw.byteLength >= LONG_WORK_BYTES) await turns.next();
  let body: Uint8Array;
  try {
    body = decompress(raw, maxBytes);
  } catch (cause) {
    if (cause instanceof RangeError) throw tooLarge(maxBytes);
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      `The body is not valid ${encoding}`,
      {},
      { cause },
    );
  }
  lease.take(body.byteLength);
  return body;
}

/**
 * Reads bytes as UTF-8.
 *
 * @throws {LakeSyncError} `VALIDATION_ERROR`
 */
export function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "The text is not valid UTF-8",
      {},
      { cause },
    );
  }
}
