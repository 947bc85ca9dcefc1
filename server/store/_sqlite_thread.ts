/**
 * The main thread's side of the SQLite thread, which starts with the first order.
 *
 * @module
 */

import { headMoved } from "./_errors.ts";
import type { SqlCounters } from "./_sqlite.ts";
import type { SqliteOptions } from "./_sqlite_layout.ts";
import type { Answer, NumberedOrder, Order } from "./_sqlite_messages.ts";
import type { LargeCommit } from "./store.ts";

/** One thread for all gateways of a factory. */
export class SqliteThread {
  readonly #waiting = new Map<number, PromiseWithResolvers<Answer>>();
  #worker: Worker | undefined;
  #lastId = 0;

  /**
   * Copies what a database's write-ahead log holds now into the database. Others may read and
   * write meanwhile.
   *
   * @param file the path of the database
   * @param counters where executions are counted
   */
  async checkpoint(file: string, counters: SqlCounters): Promise<void> {
    await this.#ask({ kind: "checkpoint", file }, counters);
  }

  /**
   * Begins a transaction on a connection of its own.
   *
   * @param file the path of the database
   * @param options how it is opened
   * @param counters where executions are counted
   * @returns the transaction
   */
  async begin(
    file: string,
    options: SqliteOptions,
    counters: SqlCounters,
  ): Promise<LargeCommit> {
    const large = ++this.#lastId;
    const ask = (order: Order) => this.#ask(order, counters);
    await ask({ kind: "begin", large, file, options });
    return {
      readRows: async (keys) => (await ask({ kind: "rows", large, keys })).rows,
      write: async (writes) => {
        await ask({ kind: "write", large, writes });
      },
      commit: async (batch) => {
        await ask({ kind: "commit", large, batch });
      },
      abort: async () => {
        await ask({ kind: "abort", large });
      },
    };
  }

  /** Ends the thread. No order may be under way. */
  close(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
  }

  async #ask(order: Order, counters: SqlCounters): Promise<Answer> {
    const id = ++this.#lastId;
    const waiting = Promise.withResolvers<Answer>();
    this.#waiting.set(id, waiting);
    const numbered: NumberedOrder = { id, order };
    this.#start().postMessage(numbered);
    const answer = await waiting.promise;
    counters.statements += answer.statements;
    counters.rowsRead += answer.rowsRead;
    if (answer.problem === "head moved") throw headMoved();
    if (answer.problem !== "") throw answer.problem;
    return answer;
  }

  #start(): Worker {
    if (this.#worker) return this.#worker;
    const worker = new Worker(new URL("_sqlite_worker.ts", import.meta.url), {
      type: "module",
      name: "lakesync sqlite",
    });
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      this.#waiting.get(data.id)?.resolve(data);
      this.#waiting.delete(data.id);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.close();
      for (const { reject } of this.#waiting.values()) {
        reject(new Error(event.message));
      }
      this.#waiting.clear();
    };
    return this.#worker = worker;
  }
}
