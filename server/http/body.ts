/**
 * Reading a request's body within bounds: what counts are the bytes that were read and the bytes
 * they decompress to, never what a header claims.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { gunzipSync, inflateSync } from "node:zlib";

function tooLarge(maxBytes: number): LakeSyncError {
  return new LakeSyncError(
    "PAYLOAD_TOO_LARGE",
    `The body is larger than ${maxBytes} bytes, send it in parts`,
  );
}

async function readChunks(
  stream: ReadableStream<Uint8Array>,
  maxBytes: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.byteLength;
    if (length > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  const body = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return body;
}

async function readRaw(
  request: Request,
  maxBytes: number,
): Promise<Uint8Array> {
  const { body, headers } = request;
  if (body === null) return new Uint8Array();
  const claimed = headers.get("Content-Length");
  if (claimed !== null && Number(claimed) > maxBytes) throw tooLarge(maxBytes);
  try {
    return await readChunks(body, maxBytes);
  } catch (cause) {
    if (cause instanceof LakeSyncError) throw cause;
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "The body ended before it was complete",
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

/** What `Accept-Encoding` says beside an `UNSUPPORTED_MEDIA_TYPE`. */
export const ACCEPTED_ENCODINGS = "gzip, deflate";

/**
 * Reads a request's body and decompresses it.
 *
 * @param request the request
 * @param maxBytes how large the body may be, before and after decompression
 * @returns the body
 * @throws {LakeSyncError} `PAYLOAD_TOO_LARGE`, `UNSUPPORTED_MEDIA_TYPE` for a compression that is
 * not supported, `VALIDATION_ERROR` for a damaged body
 */
export async function readBody(
  request: Request,
  maxBytes: number,
): Promise<Uint8Array> {
  const encoding = request.headers.get("Content-Encoding")?.trim()
    .toLowerCase() ?? "identity";
  const decompress = Object.hasOwn(DECOMPRESS, encoding) ? DECOMPRESS[encoding] : undefined;
  if (decompress === undefined && encoding !== "identity") {
    throw new LakeSyncError(
      "UNSUPPORTED_MEDIA_TYPE",
      `The Content-Encoding is not supported, use ${ACCEPTED_ENCODINGS} or none`,
    );
  }
  const raw = await readRaw(request, maxBytes);
  if (decompress === undefined) return raw;
  try {
    return decompress(raw, maxBytes);
  } catch (cause) {
    if (cause instanceof RangeError) throw tooLarge(maxBytes);
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      `The body is not valid ${encoding}`,
      {},
      { cause },
    );
  }
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
