/**
 * The stream of a checkpoint as the gateway sends it (docs/adr/0009-checkpoints.md): bytes into
 * frames, at most one of them in memory.
 *
 * @module
 */

import { DEFAULT_LIMITS } from "@lakesync/core";
import { OfflineError } from "./problem.ts";

/** The content type of the stream. */
export const CHECKPOINT_TYPE = "application/vnd.lakesync.checkpoint";

const HEADER = 1;
const CHUNK = 2;
const END = 3;

/** Bytes before a payload: its length and its kind. */
const PREFIX_BYTES = 5;
const PLACE_BYTES = 4;

/** A larger frame was never a gateway's: a chunk's last row may exceed what a chunk is to hold. */
const MAX_FRAME_BYTES = 2 * DEFAULT_LIMITS.maxBodyBytes;

/** What a stream says first. */
export interface StreamHeader {
  /** Names what is streamed. */
  readonly etag: string;
  /** About how many rows the whole stream has. */
  readonly totalRows: number;
  /** How many buckets come in chunks. */
  readonly buckets: number;
}

/** A frame of a stream. */
export type StreamFrame =
  | { readonly kind: "header"; readonly header: StreamHeader }
  /** Rows of one bucket, by its place in the checkpoint's list: a compressed page. */
  | { readonly kind: "chunk"; readonly place: number; readonly bytes: Uint8Array }
  /** The last one, with the cursor to pull on from; without one nothing came in chunks. */
  | { readonly kind: "end"; readonly cursor: string | undefined };

/** A stream that is damaged, or another than what was asked for. */
export class DamagedStreamError extends OfflineError {}

function damaged(what: string): DamagedStreamError {
  return new DamagedStreamError(`The checkpoint's stream ${what}`);
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Collects bytes of a stream. */
class ByteReader {
  readonly #read: () => Promise<Uint8Array | undefined>;
  #left = new Uint8Array();

  constructor(read: () => Promise<Uint8Array | undefined>) {
    this.#read = read;
  }

  /** Takes memory for what has come, never for what a length only announces. */
  async take(count: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let at = 0; at < count;) {
      if (this.#left.length === 0) {
        const more = await this.#read();
        if (more === undefined) throw damaged("broke off");
        this.#left = new Uint8Array(more);
      }
      const part = this.#left.subarray(0, count - at);
      parts.push(part);
      at += part.length;
      this.#left = this.#left.subarray(part.length);
    }
    return joined(parts, count);
  }
}

function readObject(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  if (typeof value !== "object" || value === null) throw damaged("holds no object");
  return { ...value };
}

function readHeader(bytes: Uint8Array): StreamHeader {
  const { etag, totalRows, buckets } = readObject(bytes);
  if (typeof etag !== "string" || typeof totalRows !== "number" || !Array.isArray(buckets)) {
    throw damaged("has a damaged header");
  }
  return { etag, totalRows, buckets: buckets.length };
}

function readFrame(kind: number, payload: Uint8Array): StreamFrame {
  switch (kind) {
    case HEADER:
      return { kind: "header", header: readHeader(payload) };
    case CHUNK: {
      if (payload.length < PLACE_BYTES) throw damaged("has a damaged chunk");
      const place = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
      return { kind: "chunk", place, bytes: payload.subarray(PLACE_BYTES) };
    }
    case END: {
      const { cursor } = readObject(payload);
      if (cursor !== undefined && typeof cursor !== "string") throw damaged("has a damaged end");
      return { kind: "end", cursor };
    }
    default:
      throw damaged(`has a frame of the unknown kind ${kind}`);
  }
}

/**
 * Reads frames, the header first and the end last.
 *
 * @param read gives the next bytes; undefined: there are no more
 * @throws {DamagedStreamError} when the stream breaks off or is none
 */
export async function* readFrames(
  read: () => Promise<Uint8Array | undefined>,
): AsyncGenerator<StreamFrame> {
  const reader = new ByteReader(read);
  for (let first = true;; first = false) {
    const prefix = await reader.take(PREFIX_BYTES);
    const view = new DataView(prefix.buffer);
    const bytes = view.getUint32(0);
    if (bytes > MAX_FRAME_BYTES) throw damaged("has a frame that is too large");
    const payload = await reader.take(bytes);
    let frame: StreamFrame;
    try {
      frame = readFrame(view.getUint8(PREFIX_BYTES - 1), payload);
    } catch (error) {
      throw error instanceof DamagedStreamError ? error : damaged("is damaged");
    }
    if ((frame.kind === "header") !== first) throw damaged("has a header out of place");
    yield frame;
    if (frame.kind === "end") return;
  }
}
