/**
 * What a live client is sent and when. One page is on its way at a time: the next is read only
 * when the client has acknowledged it, so a slow reader costs nothing but one page and then gets
 * everything since in one.
 *
 * @module
 */

import type { PullResult } from "@lakesync/core";

/** What a delivery stands on. */
export interface DeliveryPort {
  /** Reads the page after a cursor. */
  read(cursor: string | undefined): Promise<PullResult>;
  /** Resolves when the outcomes of pushes that the page contains have been told. */
  settled(): Promise<void>;
  /** Sends a page. */
  send(page: PullResult): void;
  /** Told when reading failed; nothing is delivered until {@linkcode Delivery.seek}. */
  failed(error: unknown): void;
}

/** Sends one client's changes. */
export class Delivery {
  readonly #port: DeliveryPort;
  #cursor: string | undefined;
  /** The page on its way, by its cursor. */
  #unacked: string | undefined;
  /** Whether there may be something to read. */
  #stale = false;
  /** Whether the next page is sent even when there is nothing in it. */
  #owed = false;
  #lastMutationId = 0;
  /** Counts seeks; a page that was read before the last one is not sent. */
  #seeks = 0;
  #running = false;
  #stopped = true;

  constructor(port: DeliveryPort) {
    this.#port = port;
  }

  /** Goes on from a cursor and sends at least one page from there. */
  seek(cursor: string | undefined): void {
    this.#seeks++;
    this.#cursor = cursor;
    this.#unacked = undefined;
    this.#owed = true;
    this.#stopped = false;
    this.changed();
  }

  /** Something was committed that may concern the client. */
  changed(): void {
    this.#stale = true;
    void this.#run();
  }

  /** The client has stored the page that ends with this cursor. */
  acked(cursor: string): void {
    if (cursor !== this.#unacked) return;
    this.#unacked = undefined;
    void this.#run();
  }

  /** Sends nothing more. */
  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#stale && this.#unacked === undefined && !this.#stopped) {
        await this.#step();
      }
    } catch (error) {
      if (!this.#stopped) {
        this.#stopped = true;
        this.#port.failed(error);
      }
    } finally {
      this.#running = false;
    }
  }

  async #step(): Promise<void> {
    this.#stale = false;
    const seeks = this.#seeks;
    const page = await this.#port.read(this.#cursor);
    if (seeks !== this.#seeks || this.#stopped) return;
    const advanced = page.lastMutationId > this.#lastMutationId;
    const news = page.changes.length > 0 || !page.complete || advanced;
    if (!news && !this.#owed) {
      this.#cursor = page.cursor;
      return;
    }
    if (advanced) {
      await this.#port.settled();
      if (seeks !== this.#seeks || this.#stopped) return;
    }
    this.#owed = false;
    this.#cursor = page.cursor;
    this.#unacked = page.cursor;
    this.#lastMutationId = page.lastMutationId;
    if (!page.complete) this.#stale = true;
    this.#port.send(page);
  }
}
