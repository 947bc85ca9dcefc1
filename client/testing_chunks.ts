/**
 * Streams of checkpoints for tests: what a gateway would send, as bytes.
 *
 * @module
 */

import { encodePullResult, type PullResult } from "@lakesync/core";

/** Compresses a page. */
export async function zip(page: PullResult): Promise<Uint8Array> {
  const stream = new Blob([new Uint8Array(encodePullResult(page))]).stream()
    .pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function frame(kind: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + payload.length);
  new DataView(bytes.buffer).setUint32(0, payload.length);
  bytes[4] = kind;
  bytes.set(payload, 5);
  return bytes;
}

function json(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** Writes the first frame. */
export function headerFrame(
  etag: string,
  totalRows: number,
  buckets: readonly string[],
): Uint8Array {
  return frame(1, json({ etag, totalRows, buckets, seq: "1" }));
}

/** Writes a chunk's frame. */
export function chunkFrame(place: number, chunk: Uint8Array): Uint8Array {
  const payload = new Uint8Array(4 + chunk.length);
  new DataView(payload.buffer).setUint32(0, place);
  payload.set(chunk, 4);
  return frame(2, payload);
}

/** Writes the last frame. */
export function endFrame(cursor?: string): Uint8Array {
  return frame(3, json(cursor === undefined ? {} : { cursor }));
}
