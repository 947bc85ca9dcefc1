/**
 * A gateway's lake in memory, which is flushed and merged when a test says so, as a source of rows.
 *
 * @module
 */

import { memoryObjects } from "@lakesync/adapters";
import { Flusher } from "@lakesync/adapters/flush";
import { lakeAdapter, lakeLocation } from "@lakesync/adapters/lake";
import type { Catalog } from "@lakesync/adapters/lake/catalog";
import { objectCatalog } from "@lakesync/adapters/lake/catalog/object";
import { type Lake, mergeLake } from "@lakesync/adapters/lake/maintain";
import { openParquetReader, openParquetWriter } from "@lakesync/adapters/lake/parquet";
import type { ObjectStore } from "@lakesync/adapters/object-store";
import { openRows } from "@lakesync/adapters/lake/rows";
import { gatewaySource } from "../flush/mod.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { SourceRow, SourceRows } from "../gateway/checkpoint_rows.ts";
import type { CopyingSource } from "../gateway/testing_rows.ts";

const MERGE = { maxChanges: 8, smallBytes: 0, maxGone: 0.7, targetBytes: 1_500 };

/** A lake, and what flushes to it. */
export class LakeSource implements CopyingSource, AsyncDisposable {
  readonly #gateway: () => Gateway;
  /** Its objects. */
  readonly objects: ObjectStore;
  readonly #location = lakeLocation("memory://lake");
  readonly #catalog: Catalog;
  readonly #writer = openParquetWriter({ thread: false });
  readonly #reader = openParquetReader({ thread: false });
  #flusher: Flusher | undefined;
  #end: () => Promise<void> = () => Promise.resolve();
  reads = 0;
  onPage: () => Promise<void> = () => Promise.resolve();

  /**
   * @param gateway gives the gateway, once it is open
   * @param objects those of an earlier one
   */
  constructor(gateway: () => Gateway, objects: ObjectStore = memoryObjects()) {
    this.#gateway = gateway;
    this.objects = objects;
    this.#catalog = objectCatalog({ store: objects, location: this.#location });
  }

  /** The lake. */
  get lake(): Lake {
    return {
      store: this.objects,
      location: this.#location,
      catalog: this.#catalog,
      namespace: "main",
      writer: this.#writer,
      reader: this.#reader,
      now: Date.now,
      nextTurn: () => Promise.resolve(),
    };
  }

  /** Flushes what the gateway has. */
  async flush(): Promise<void> {
    await this.#open().flushNow();
  }

  /** Merges what was flushed. */
  async merge(): Promise<void> {
    await mergeLake(this.lake, MERGE);
  }

  /** Ends the flushing, such as before the gateway is another. */
  async stop(): Promise<void> {
    const end = this.#end;
    this.#flusher = undefined;
    this.#end = () => Promise.resolve();
    await end();
  }

  async copy(isNewer?: (rowId: string) => boolean): Promise<void> {
    await this.flush();
    if (isNewer === undefined) await this.merge();
  }

  async open(tables: readonly number[]): Promise<SourceRows | undefined> {
    const rows = await openRows(this.lake, tables);
    return rows && { ...rows, read: (table) => this.#counted(rows.read(table)) };
  }

  async *#counted(
    pages: AsyncIterable<readonly SourceRow[]>,
  ): AsyncGenerator<readonly SourceRow[]> {
    for await (const page of pages) {
      await this.onPage();
      this.reads += page.length;
      yield page;
    }
  }

  #open(): Flusher {
    if (this.#flusher !== undefined) return this.#flusher;
    const destination = lakeAdapter({
      name: "lake",
      store: this.objects,
      location: this.#location,
      namespace: "main",
      thread: false,
    });
    const setTimer = (ms: number, callback: () => void) => {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    };
    const env = { now: Date.now, setTimer, random: Math.random };
    const source = gatewaySource(this.#gateway());
    const settings = { everyMs: 60_000 };
    const flusher = new Flusher({ source, destination, env, settings });
    this.#end = async () => {
      await flusher.close();
      await destination.close();
    };
    return this.#flusher = flusher;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#catalog.close();
    await this.#writer.close();
    await this.#reader.close();
  }
}
