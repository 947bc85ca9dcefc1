/**
 * Receives what a gateway has ready for a client that has nothing yet: chunks, stored as they come,
 * so that a stream that breaks off, or a client that ends, goes on where it was. Pulls follow from
 * the cursor at the stream's end.
 *
 * Where there is nothing ready, the gateway is older, or something on the way breaks every stream,
 * it gives up, and pulls bring everything.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { DamagedChunkError, readChunk, READS_CHUNKS, type StreamPlace } from "./chunks.ts";
import type { Replica } from "./replica.ts";
import type { StatusValue } from "./status.ts";
import type { CheckpointAnswer, HttpTransport } from "./transport/http.ts";
import { DamagedStreamError } from "./transport/frames.ts";

/** So many streams in a row may end in damage without a new chunk, or in no checkpoint. */
const MAX_FRUITLESS = 3;

/** What a bootstrap works with. */
export interface BootstrapContext {
  /** The local database. */
  readonly replica: Replica;
  /** Requests over HTTP. */
  readonly http: HttpTransport;
  /** Where the progress is shown. */
  readonly status: StatusValue;
  /** Told when the gateway answers. */
  readonly onReached: () => void;
  /** Told with each chunk that was stored. */
  readonly onChunk: () => void;
}

/** Where one stream stands. */
interface Streamed {
  readonly clientId: string;
  etag: string;
  number: number;
  place: number;
}

/** The chunks of one client. */
export class Bootstrap {
  readonly #context: BootstrapContext;
  #fruitless = 0;
  #ended = 0;
  #running = false;

  /** @param context what it works with */
  constructor(context: BootstrapContext) {
    this.#context = context;
  }

  /** Whether it is receiving. */
  get running(): boolean {
    return this.#running;
  }

  /** Says that a checkpoint is complete: the next bootstrap begins with new hopes. */
  complete(): void {
    this.#fruitless = 0;
    this.#ended = 0;
  }

  /**
   * Receives chunks, if the database has no cursor.
   *
   * @param signal gives up
   * @throws what the connection failed by, which is to be tried again
   */
  async run(signal: AbortSignal): Promise<void> {
    this.#running = true;
    try {
      for (;;) {
        const { cursor, clientId, schemaVersion, stream } = await this.#context.replica.state();
        if (cursor !== undefined && stream !== undefined) this.#goOn(stream);
        if (cursor !== undefined || signal.aborted) return;
        if (!this.#hopes) return void this.#giveUp();
        if (await this.#receive({ clientId, schemaVersion }, stream, signal)) return;
      }
    } finally {
      this.#running = false;
    }
  }

  get #hopes(): boolean {
    return READS_CHUNKS && this.#fruitless < MAX_FRUITLESS && this.#ended < MAX_FRUITLESS;
  }

  /** All chunks are here, maybe since before the client was opened. */
  #goOn({ rows, totalRows }: StreamPlace): void {
    if (this.#context.status.value.progress === undefined) this.#show(rows, totalRows);
  }

  #giveUp(): true {
    this.#fruitless = MAX_FRUITLESS;
    this.#context.status.set({ progress: undefined });
    return true;
  }

  /** Receives one stream; gives whether it ended, or there is none. */
  async #receive(
    asking: { readonly clientId: string; readonly schemaVersion: number },
    stored: StreamPlace | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { http, onReached } = this.#context;
    const after = stored === undefined ? {} : { after: stored };
    let answer: CheckpointAnswer | undefined;
    try {
      answer = await http.checkpoint({ ...asking, ...after }, signal);
    } catch (error) {
      if (error instanceof DamagedStreamError) this.#fruitless++;
      // Of an older server the path alone is not there.
      if (!(error instanceof LakeSyncError) || error.code !== "NOT_FOUND") throw error;
    }
    if (answer === undefined) return this.#giveUp();
    onReached();
    const before = this.#fruitless++;
    try {
      return await this.#store(answer, asking.clientId, stored, signal);
    } catch (error) {
      // What failed here or was given up says nothing of the stream.
      if (!(error instanceof DamagedStreamError)) {
        this.#fruitless = Math.min(before, this.#fruitless);
      }
      throw error;
    }
  }

  async #store(
    { resumed, frames }: CheckpointAnswer,
    clientId: string,
    stored: StreamPlace | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { replica } = this.#context;
    const at: Streamed = { clientId, etag: "", number: 0, place: 0 };
    let buckets = 0;
    for await (const frame of frames) {
      signal.throwIfAborted();
      switch (frame.kind) {
        case "header": {
          const { header } = frame;
          at.etag = header.etag;
          buckets = header.buckets;
          if (resumed && stored?.etag === at.etag) at.number = stored.chunks;
          else if (resumed) return await this.#forget(at);
          else if (!await replica.storePart({ kind: "begin", header }, clientId)) return true;
          const rows = resumed ? stored?.rows ?? 0 : 0;
          if (buckets > 0) this.#show(rows, header.totalRows);
          break;
        }
        case "chunk": {
          const { place, bytes } = frame;
          if (place < at.place || place >= buckets) {
            throw new DamagedStreamError("The checkpoint's chunks are not in order");
          }
          at.place = place;
          if (!await this.#storeChunk(at, bytes)) return true;
          break;
        }
        case "end": {
          const { cursor } = frame;
          if (cursor === undefined || buckets === 0) return this.#giveUp();
          this.#ended++;
          this.#fruitless = 0;
          const { etag, number: chunks } = at;
          await replica.storePart({ kind: "end", etag, chunks, cursor }, clientId);
          return true;
        }
      }
    }
    return true;
  }

  /** What is stored cannot be gone on with: the next stream is asked for from its beginning. */
  async #forget({ clientId, etag }: Streamed): Promise<false> {
    const header = { etag, totalRows: 0, buckets: 0 };
    await this.#context.replica.storePart({ kind: "begin", header }, clientId);
    return false;
  }

  async #storeChunk(at: Streamed, bytes: Uint8Array): Promise<boolean> {
    const { replica, status, onChunk } = this.#context;
    const rows = await rowsOf(bytes);
    const { etag, number, place } = at;
    const part = { kind: "chunk", etag, number, place, rows, bytes } as const;
    if (!await replica.storePart(part, at.clientId)) return false;
    at.number++;
    this.#fruitless = 0;
    onChunk();
    const { rows: before = 0, totalRows = 0 } = status.value.progress ?? {};
    this.#show(before + rows, totalRows);
    return true;
  }

  #show(rows: number, totalRows: number): void {
    this.#context.status.set({ progress: { rows, totalRows: Math.max(rows, totalRows) } });
  }
}

/** Counts the rows of a chunk, which shows whether it is whole. */
async function rowsOf(bytes: Uint8Array): Promise<number> {
  try {
    return (await readChunk(bytes)).changes.length;
  } catch (error) {
    if (!(error instanceof DamagedChunkError)) throw error;
    throw new DamagedStreamError(error.message, { cause: error });
  }
}
