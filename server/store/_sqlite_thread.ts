/**
 * The main thread's side of the SQLite thread, which starts with the first order. Where it may not
 * start, orders are followed here, and other requests wait for them.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { headMoved } from "./_errors.ts";
import type { SqlCounters } from "./_sqlite.ts";
import type { SqliteOptions } from "./_sqlite_layout.ts";
import type { Answer, NumberedOrder, Order } from "./_sqlite_messages.ts";
import { SqliteOrders } from "./_sqlite_orders.ts";
import type { LargeCommit } from "./store.ts";

const logger = getLogger(["lakesync", "store"]);

/** An order that has no answer yet. */
interface Waiting extends PromiseWithResolvers<Answer> {
  readonly numbered: NumberedOrder;
}

/** One thread for all gateways of a factory. */
export class SqliteThread {
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #here: SqliteOrders | undefined;
  #hasAnswered = false;
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
    const answer = await this.#send({ id, order });
    counters.statements += answer.statements;
    counters.rowsRead += answer.rowsRead;
    if (answer.problem === "head moved") throw headMoved();
    if (answer.problem !== "") throw answer.problem;
    return answer;
  }

  #send(numbered: NumberedOrder): Promise<Answer> {
    if (this.#here) return Promise.resolve(this.#here.follow(numbered));
    const waiting = { numbered, ...Promise.withResolvers<Answer>() };
    this.#waiting.set(numbered.id, waiting);
    this.#worker ??= this.#start();
    this.#worker.postMessage(numbered);
    return waiting.promise;
  }

  #start(): Worker {
    const worker = new Worker(new URL("_sqlite_worker.ts", import.meta.url), {
      type: "module",
      name: "lakesync sqlite",
    });
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      this.#hasAnswered = true;
      this.#waiting.get(data.id)?.resolve(data);
      this.#waiting.delete(data.id);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.close();
      this.#fail(event.message);
    };
    return worker;
  }

  #fail(message: string): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    if (this.#hasAnswered) {
      for (const { reject } of waiting) reject(new Error(message));
      return;
    }
    logger.warn(
      "The SQLite thread cannot start, so large commits hold up other requests: {message}",
      { message },
    );
    const here = this.#here ??= new SqliteOrders();
    for (const { numbered, resolve } of waiting) resolve(here.follow(numbered));
  }
}
