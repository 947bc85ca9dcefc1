/**
 * Bytes of any size in Deno KV, whose values hold 64 KiB: small ones stay in their record, large
 * ones become a blob of chunks that are written before the record that names them.
 *
 * A write that makes blobs first leaves a mark, `trash <writeId>`; the commit that publishes the
 * write removes the mark. What is still marked belongs to nobody and is removed at the next
 * opening.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { GatewayKey } from "./_kv_keys.ts";
import type { Blob, Content } from "./_kv_records.ts";
import type { KvSession } from "./_kv_session.ts";

/** Bytes up to this many stay in their record. */
const MAX_INLINE_BYTES = 48 * 1024;

/** Bytes of one chunk. */
const CHUNK_BYTES = 60 * 1024;

/** Chunks written or read at once. */
const CHUNKS_AT_ONCE = 10;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** One write: its mark and the blobs it has made. */
export class KvDraft {
  /** Names the write. */
  readonly id: string = crypto.randomUUID();
  readonly #session: KvSession;
  #blobs = 0;
  #mark: string | undefined;

  /** @param session where it writes */
  constructor(session: KvSession) {
    this.#session = session;
  }

  /** Where the mark is. */
  get markKey(): GatewayKey {
    return ["trash", this.id];
  }

  /** The version of the mark, if one was left. */
  get markVersion(): string | undefined {
    return this.#mark;
  }

  /** Leaves the mark, once. */
  async mark(): Promise<void> {
    this.#mark ??= await this.#session.write([
      { key: this.markKey, value: Date.now() },
    ]);
  }

  /** Keeps a text. */
  keepText(text: string): Promise<Content> {
    return this.keep(encoder.encode(text));
  }

  /** Keeps bytes: gives back what a record is to hold, a copy that is no view of more. */
  async keep(bytes: Uint8Array): Promise<Content> {
    if (bytes.length <= MAX_INLINE_BYTES) return bytes.slice();
    await this.mark();
    const blob: Blob = {
      writeId: this.id,
      blob: this.#blobs++,
      bytes: bytes.length,
    };
    const chunks = Array.from(
      { length: Math.ceil(bytes.length / CHUNK_BYTES) },
      (_, index) => ({
        key: chunkAt(blob, index),
        value: bytes.slice(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES),
      }),
    );
    for (let start = 0; start < chunks.length; start += CHUNKS_AT_ONCE) {
      await this.#session.write(chunks.slice(start, start + CHUNKS_AT_ONCE));
    }
    return blob;
  }
}

/**
 * Reads what {@linkcode KvDraft.keep} kept.
 *
 * @param session where it is
 * @param content what the record holds
 * @returns the bytes
 */
export async function readBytes(
  session: KvSession,
  content: Content,
): Promise<Uint8Array> {
  if (content instanceof Uint8Array) return content;
  const bytes = new Uint8Array(content.bytes);
  const count = Math.ceil(content.bytes / CHUNK_BYTES);
  for (let start = 0; start < count; start += CHUNKS_AT_ONCE) {
    const length = Math.min(CHUNKS_AT_ONCE, count - start);
    const found = await session.getMany(
      Array.from({ length }, (_, index) => chunkAt(content, start + index)),
    );
    for (const [index, { value }] of found.entries()) {
      if (!(value instanceof Uint8Array)) throw chunkMissing();
      bytes.set(value, (start + index) * CHUNK_BYTES);
    }
  }
  return bytes;
}

/** Reads a text that {@linkcode KvDraft.keepText} kept. */
export async function readText(
  session: KvSession,
  content: Content,
): Promise<string> {
  return decoder.decode(await readBytes(session, content));
}

/** The mark that a blob is no longer needed; nothing for bytes in a record. */
export function trashOf(content: Content | undefined): readonly GatewayKey[] {
  if (!content || content instanceof Uint8Array) return [];
  return [["trash", content.writeId, content.blob]];
}

function chunkAt({ writeId, blob }: Blob, index: number): GatewayKey {
  return ["blob", writeId, blob, index];
}

function chunkMissing(): LakeSyncError {
  return new LakeSyncError(
    "INTERNAL_ERROR",
    "A part of a large value is missing in Deno KV, restore it from a backup",
  );
}
