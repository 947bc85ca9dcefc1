/**
 * Streams of checkpoints for tests: what a gateway would send, as bytes, and one that sends them over
 * lines that break.
 *
 * @module
 */

import { encodePullResult, type PullResult } from "@lakesync/core";
import type { BucketGateway } from "./testing_buckets.ts";
import { CHECKPOINT_TYPE } from "./transport/frames.ts";

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

/** What was asked of a {@linkcode ChunkStreams}. */
export interface AskedStream {
  readonly clientId: string;
  /** The chunk to begin with; undefined: the first one. */
  readonly from: number | undefined;
  readonly token: string;
}

/** What becomes of a stream. */
export type Fate =
  /** It is cut after so many bytes. */
  | { readonly kind: "cut"; readonly bytes: number }
  /** Nothing comes after so many bytes. */
  | { readonly kind: "silent"; readonly bytes: number }
  /** As silent, and whoever sends never hears that nobody listens any more. */
  | { readonly kind: "deaf"; readonly bytes: number }
  /** It is answered by something else. */
  | { readonly kind: "other"; readonly response: Response }
  /** Its bytes are changed. */
  | { readonly kind: "edit"; readonly edit: (bytes: Uint8Array) => Uint8Array };

/** Streams the chunks of a gateway in memory. */
export class ChunkStreams {
  /** What was asked, in order. */
  readonly asked: AskedStream[] = [];
  /** What becomes of a stream by how many came before it; undefined: it arrives. */
  fate: (before: number) => Fate | undefined = () => undefined;
  /** Names what is streamed; when it changes, the chunks are made anew. */
  etag = '"one"';
  readonly #gateway: BucketGateway;
  readonly #buckets: readonly string[];
  readonly #chunkRows: number;
  #made:
    | { readonly etag: string; readonly frames: Uint8Array[]; readonly rows: number }
    | undefined;

  /**
   * @param gateway the data
   * @param buckets those that come in chunks
   * @param chunkRows rows of one chunk
   */
  constructor(gateway: BucketGateway, buckets: readonly string[], chunkRows: number) {
    this.#gateway = gateway;
    this.#buckets = buckets;
    this.#chunkRows = chunkRows;
  }

  /** Answers a request. */
  readonly answer = async (request: Request): Promise<Response> => {
    const range = /^chunks=(\d+)-$/.exec(request.headers.get("range") ?? "")?.[1];
    const fate = this.fate(this.asked.length);
    this.asked.push({
      clientId: new URL(request.url).searchParams.get("clientId") ?? "",
      from: range === undefined ? undefined : Number(range),
      token: request.headers.get("authorization") ?? "",
    });
    if (fate?.kind === "other") return fate.response;
    const made = await this.#make();
    const resumed = range !== undefined && request.headers.get("if-range") === this.etag;
    const frames = [
      headerFrame(this.etag, made.rows, this.#buckets),
      ...made.frames.slice(resumed ? Number(range) : 0),
      endFrame(this.#buckets.length === 0 ? undefined : "behind the chunks"),
    ];
    const whole = new Uint8Array(
      await new Blob(frames.map((one) => new Uint8Array(one))).arrayBuffer(),
    );
    const bytes = fate?.kind === "edit" ? fate.edit(whole) : whole;
    const headers = { "content-type": CHECKPOINT_TYPE, etag: this.etag };
    return new Response(lineOf(bytes, fate, request.signal), {
      status: resumed ? 206 : 200,
      headers,
    });
  };

  async #make() {
    if (this.#made?.etag === this.etag) return this.#made;
    const chunks = this.#gateway.chunks(this.#buckets, this.#chunkRows);
    const frames = await Promise.all(
      chunks.map(async ({ place, page }) => chunkFrame(place, await zip(page))),
    );
    const rows = chunks.reduce((sum, { page }) => sum + page.changes.length, 0);
    return this.#made = { etag: this.etag, frames, rows };
  }
}

/** Sends bytes in small pieces as far as their fate lets them through. */
function lineOf(
  bytes: Uint8Array,
  fate: Fate | undefined,
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  const ends = fate !== undefined && "bytes" in fate ? fate.bytes : Infinity;
  const isDeaf = fate?.kind === "deaf";
  let at = 0;
  return new ReadableStream({
    start(controller) {
      if (!isDeaf) signal.addEventListener("abort", () => controller.error(signal.reason));
    },
    pull(controller) {
      const next = Math.min(at + 50, ends, bytes.length);
      if (next > at) controller.enqueue(bytes.slice(at, next));
      at = next;
      if (at === bytes.length) controller.close();
      else if (at === ends && fate?.kind === "cut") controller.error(new TypeError("Cut"));
      else if (next === ends) return new Promise<void>(() => {});
    },
    ...(isDeaf ? { cancel: () => new Promise<void>(() => {}) } : {}),
  }, { highWaterMark: 0 });
}
