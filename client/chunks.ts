/**
 * Chunks of a checkpoint: stored as they came, each with its place, until the checkpoint is complete
 * and they are applied before its pages. What is stored lets a broken stream go on where it ended.
 *
 * They count from the stream's end on, when the state has a staged cursor; a page that was pulled
 * without one begins another checkpoint, and they are forgotten.
 *
 * @module
 */

import { decodePullResult, type PullResult } from "@lakesync/core";
import type { SqliteConnection } from "./database/driver.ts";
import type { StreamHeader } from "./transport/frames.ts";

/** A chunk may have so many bytes when it is no longer compressed. */
const MAX_CHUNK_BYTES = 128 * 1024 * 1024;

/** How far a stream has been stored. */
export interface StreamPlace {
  /** Names what is streamed. */
  readonly etag: string;
  /** How many of its chunks are here. */
  readonly chunks: number;
  /** Their rows. */
  readonly rows: number;
  /** About how many rows the whole stream has. */
  readonly totalRows: number;
}

/** A part of a stream that is to be stored. */
export type StreamPart =
  /** Another stream begins: what was stored of others is forgotten. */
  | { readonly kind: "begin"; readonly header: StreamHeader }
  /** The next chunk of a stream. */
  | {
    readonly kind: "chunk";
    readonly etag: string;
    /** Its number in the stream, from 0. */
    readonly number: number;
    /** The place of its bucket in the checkpoint's list. */
    readonly place: number;
    readonly rows: number;
    readonly bytes: Uint8Array;
  }
  /** All chunks are stored; pulls go on from the cursor. */
  | {
    readonly kind: "end";
    readonly etag: string;
    readonly chunks: number;
    readonly cursor: string;
  };

/** A stored chunk that cannot be read. */
export class DamagedChunkError extends Error {
  override readonly name = "DamagedChunkError";
}

/** Whether this runtime can read chunks. */
export const READS_CHUNKS: boolean = typeof DecompressionStream === "function";

async function gunzip(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([new Uint8Array(bytes)]).stream()
    .pipeThrough(new DecompressionStream("gzip"));
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of stream) {
    parts.push(part);
    length += part.length;
    if (length > MAX_CHUNK_BYTES) throw new RangeError("A chunk is too large");
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * Reads a chunk.
 *
 * @param bytes as they came
 * @throws {DamagedChunkError} when they are no chunk
 */
export async function readChunk(bytes: Uint8Array): Promise<PullResult> {
  try {
    return decodePullResult(await gunzip(bytes));
  } catch (cause) {
    throw new DamagedChunkError("A chunk of the checkpoint is damaged", { cause });
  }
}

/** Reads how far a stream has been stored; undefined: nothing is. */
export async function readPlace(db: SqliteConnection): Promise<StreamPlace | undefined> {
  const [row] = await db.values(
    `SELECT etag, total_rows, (SELECT count(*) FROM _lakesync_chunk),
      (SELECT coalesce(sum(rows), 0) FROM _lakesync_chunk) FROM _lakesync_stream`,
  );
  if (row === undefined) return undefined;
  const [etag, totalRows, chunks, rows] = row;
  return {
    etag: String(etag),
    totalRows: Number(totalRows),
    chunks: Number(chunks),
    rows: Number(rows),
  };
}

/** Forgets all chunks. */
export async function forgetChunks(db: SqliteConnection): Promise<void> {
  await db.run("DELETE FROM _lakesync_chunk");
  await db.run("DELETE FROM _lakesync_stream");
}

/**
 * Stores a part of a stream.
 *
 * @param db the writer, in a transaction
 * @param part the part
 * @returns whether it was taken: it is not when it does not go on from what is stored
 */
export async function storePart(db: SqliteConnection, part: StreamPart): Promise<boolean> {
  if (part.kind === "begin") {
    const { etag, totalRows, buckets } = part.header;
    await forgetChunks(db);
    await db.run(
      "INSERT INTO _lakesync_stream (id, etag, total_rows, buckets) VALUES (1, ?, ?, ?)",
      [etag, totalRows, buckets],
    );
    return true;
  }
  const stored = await readPlace(db);
  const number = part.kind === "chunk" ? part.number : part.chunks;
  if (stored?.etag !== part.etag || stored.chunks !== number) return false;
  if (part.kind === "chunk") {
    await db.run("INSERT INTO _lakesync_chunk (n, place, rows, bytes) VALUES (?, ?, ?, ?)", [
      number,
      part.place,
      part.rows,
      part.bytes,
    ]);
  } else await db.run("UPDATE _lakesync_state SET staged_cursor = ?", [part.cursor]);
  return true;
}

/**
 * Gives the stored chunks in order. Each is deleted before the next one, so that what the rows take
 * is the space of the chunks as far as it goes.
 *
 * @param db the writer, in a transaction
 * @param apply takes a chunk and the place of its bucket
 * @throws {DamagedChunkError} when one cannot be read
 */
export async function takeChunks(
  db: SqliteConnection,
  apply: (chunk: PullResult, place: number) => Promise<void>,
): Promise<void> {
  for (;;) {
    const [row] = await db.values(
      "SELECT n, place, bytes FROM _lakesync_chunk ORDER BY n LIMIT 1",
    );
    if (row === undefined) break;
    const [n = null, place, bytes] = row;
    if (!(bytes instanceof Uint8Array)) throw new DamagedChunkError("A chunk is no bytes");
    const chunk = await readChunk(bytes);
    await db.run("DELETE FROM _lakesync_chunk WHERE n = ?", [n]);
    await apply(chunk, Number(place));
  }
  await forgetChunks(db);
}
