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
  /**
   * Asks to read and send a page.
   *
   * @returns what is called when the page was sent or given up; at once when nothing is in the way
   */
  turn(): (() => void) | Promise<() => void>;
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
  /** Before the first seek, and after a failure. */
  #idle = true;
  #stopped = false;

  constructor(port: DeliveryPort) {
    this.#port = port;
  }

  /** Goes on from a cursor and sends at least one page from there. */
  seek(cursor: string | undefined): void {
    this.#seeks++;
    this.#cursor = cursor;
    this.#unacked = undefined;
    this.#owed = true;
    this.#idle = false;
    this.changed();
  }

  /** Something was committed that may concern the client. */
  changed(): void {
    this.#stale = true;
    void this.#run();
  }

  /** Whether a page is on its way. */
  get isAwaiting(): boolean {
    return this.#unacked !== undefined;
  }

  /** How long the cursor of the page on its way is; 0 without one. */
  get awaitedChars(): number {
    return this.#unacked?.length ?? 0;
  }

  /** Whether the page that ends with this cursor is on its way. */
  awaits(cursor: string): boolean {
    return cursor === this.#unacked;
  }

  /** The client has stored the page that ends with this cursor. */
  acked(cursor: string): void {
    if (cursor !== this.#unacked) return;
    this.#unacked = undefined;
    void this.#run();
  }

  /** Sends nothing more, for good. */
  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#mayRead()) await this.#step();
    } finally {
      this.#running = false;
    }
  }

  #mayRead(): boolean {
    return this.#stale && this.#unacked === undefined && !this.#idle &&
      !this.#stopped;
  }

  async #step(): Promise<void> {
    const turn = this.#port.turn();
    const end = turn instanceof Promise ? await turn : turn;
    try {
      if (!this.#stopped) await this.#next();
    } finally {
      end();
    }
  }

  async #next(): Promise<void> {
    this.#stale = false;
    const seeks = this.#seeks;
    const overtaken = () => seeks !== this.#seeks || this.#stopped;
    try {
      const page = await this.#port.read(this.#cursor);
      const advanced = page.lastMutationId > this.#lastMutationId;
      if (advanced && !overtaken()) await this.#port.settled();
      if (!overtaken()) this.#take(page, advanced);
    } catch (error) {
      if (overtaken()) return;
      this.#idle = true;
      this.#port.failed(error);
    }
  }

  #take(page: PullResult, advanced: boolean): void {
    this.#cursor = page.cursor;
    const news = advanced || page.changes.length > 0 || !page.complete;
    if (!news && !this.#owed) return;
    this.#unacked = page.cursor;
    this.#lastMutationId = page.lastMutationId;
    this.#owed = !page.complete;
    this.#stale ||= !page.complete;
    this.#port.send(page);
  }
}
