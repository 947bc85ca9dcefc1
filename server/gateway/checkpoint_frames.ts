/**
 * The stream of a checkpoint as bytes, and the etag that stands for one. The format is in
 * docs/adr/0009-checkpoints.md.
 *
 * @module
 */

import type { CursorSeal } from "./cursor_seal.ts";

const HEADER = 1;
const CHUNK = 2;
const END = 3;

/** Bytes before a payload: its length and its kind. */
const PREFIX_BYTES = 5;
const PLACE_BYTES = 4;

/** A longer text was never an etag's. */
const MAX_ETAG_CHARS = 16_384;

/** The first frame. */
export interface CheckpointHeader {
  /** Names what is streamed. */
  readonly etag: string;
  /** About how many rows will come. */
  readonly totalRows: number;
  /** The ids of the buckets, by their places. */
  readonly buckets: readonly string[];
  /** The head when the stream began, as a decimal text. */
  readonly seq: string;
}

function frame(kind: number, bytes: number): { bytes: Uint8Array; view: DataView } {
  const frame = new Uint8Array(PREFIX_BYTES + bytes);
  const view = new DataView(frame.buffer);
  view.setUint32(0, bytes);
  view.setUint8(PREFIX_BYTES - 1, kind);
  return { bytes: frame, view };
}

function jsonFrame(kind: number, value: object): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(value));
  const { bytes } = frame(kind, json.length);
  bytes.set(json, PREFIX_BYTES);
  return bytes;
}

/** Writes the first frame. */
export function headerFrame(header: CheckpointHeader): Uint8Array {
  return jsonFrame(HEADER, header);
}

/**
 * Writes a chunk's frame.
 *
 * @param place the place of its bucket in the header
 * @param chunk the compressed page
 */
export function chunkFrame(place: number, chunk: Uint8Array): Uint8Array {
  const { bytes, view } = frame(CHUNK, PLACE_BYTES + chunk.length);
  view.setUint32(PREFIX_BYTES, place);
  bytes.set(chunk, PREFIX_BYTES + PLACE_BYTES);
  return bytes;
}

/**
 * Writes the last frame.
 *
 * @param cursor where to pull on from; undefined: pull without one
 */
export function endFrame(cursor: string | undefined): Uint8Array {
  return jsonFrame(END, cursor === undefined ? {} : { cursor });
}

/** A snapshot as a stream serves it. */
export interface ServedSnapshot {
  /** The bucket's number. */
  readonly bucket: number;
  /** The snapshot's name. */
  readonly id: string;
  /** No chunk of the stream holds a row that left through this commit. */
  readonly goneSeq: number;
}

/** Whom an etag is sealed for. */
export interface EtagOwner {
  /** Seals it: what left a bucket before its reader was granted it is read from an etag. */
  readonly seal: CursorSeal;
  /** The user. */
  readonly sub: string;
}

/** Keeps etags and cursors of one user apart. */
function purpose(sub: string): string {
  return `etag ${sub}`;
}

/** Writes an etag, with its quotes. */
export function writeEtag(served: readonly ServedSnapshot[], { seal, sub }: EtagOwner): string {
  const fields = served.map(({ bucket, id, goneSeq }) => [bucket, id, goneSeq]);
  return `"${seal.seal(JSON.stringify(fields), purpose(sub))}"`;
}

function readServed(item: unknown): ServedSnapshot | undefined {
  if (!Array.isArray(item)) return undefined;
  const [bucket, id, goneSeq]: unknown[] = item;
  if (typeof bucket !== "number" || typeof id !== "string") return undefined;
  if (typeof goneSeq !== "number" || !Number.isSafeInteger(goneSeq)) return undefined;
  return { bucket, id, goneSeq };
}

/** Reads an etag; undefined for a text that was never one of this user's. */
export function readEtag(
  etag: string,
  { seal, sub }: EtagOwner,
): readonly ServedSnapshot[] | undefined {
  const text = /^"([\w-]+)"$/.exec(etag)?.[1];
  if (text === undefined || text.length > MAX_ETAG_CHARS) return undefined;
  const opened = seal.open(text, purpose(sub));
  if (opened.kind !== "ours") return undefined;
  try {
    const fields: unknown = JSON.parse(opened.text);
    if (!Array.isArray(fields)) return undefined;
    const served = fields.map(readServed).filter((item) => item !== undefined);
    return served.length === fields.length ? served : undefined;
  } catch {
    return undefined;
  }
}
