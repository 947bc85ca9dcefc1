/**
 * A thread that writes and reads Parquet files, one after the other. It starts with the first of
 * them; where it cannot start, files are written and read here and hold up what else there is to do.
 *
 * @module
 */

import { Worker } from "node:worker_threads";
import { LakeSyncError } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import { follow, type Order, type Outcome } from "./orders.ts";
import { type PackedOutcome, packOrder, unpackOutcome } from "./packing.ts";
import type { ParquetThreading } from "./parquet.ts";
import { ENTRY, READY, ROLE } from "./worker.ts";

const logger = getLogger(["lakesync", "lake"]);

/** A thread gives memory back when it ends, so one that holds on to more is replaced. */
const DEFAULT_MAX_HELD_BYTES = 256 * 2 ** 20;

/** Does what is asked, one order after the other. */
export class ParquetThread {
  readonly #maxHeldBytes: number;
  #inLine: boolean;
  #worker: Worker | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  /**
   * Nothing starts yet.
   *
   * @param threading where orders are followed
   */
  constructor({ thread = true, maxHeldBytes = DEFAULT_MAX_HELD_BYTES }: ParquetThreading) {
    this.#inLine = !thread;
    this.#maxHeldBytes = maxHeldBytes;
  }

  /**
   * Does what is asked, after what was asked before.
   *
   * @param order what to do; the buffers of a batch in it are taken away
   * @returns what came of it
   * @throws {LakeSyncError} `ADAPTER_ERROR` when it failed
   */
  ask(order: Order): Promise<Outcome> {
    if (this.#isClosed) return Promise.reject(failed("it is closed"));
    const outcome = this.#last.then(() => this.#follow(order));
    this.#last = outcome.catch(() => {});
    return outcome;
  }

  /** Ends the thread, after what was asked before. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
    await this.#end();
  }

  async #follow(order: Order): Promise<Outcome> {
    const worker = this.#inLine ? undefined : this.#worker ??= await this.#start();
    if (worker === undefined) return checked(await follow(order));
    worker.ref();
    let outcome: Outcome;
    try {
      const { message, transfer } = packOrder(order);
      worker.postMessage(message, transfer);
      outcome = unpackOutcome(await nextMessage<PackedOutcome>(worker));
    } catch (error) {
      await this.#end();
      throw failed(messageOf(error));
    }
    worker.unref();
    // What the library does after a failure is not known.
    const isSpent = outcome.problem !== undefined || outcome.heldBytes > this.#maxHeldBytes;
    if (isSpent) await this.#end();
    return checked(outcome);
  }

  async #start(): Promise<Worker | undefined> {
    let worker: Worker | undefined;
    try {
      worker = new Worker(ENTRY, { workerData: ROLE, name: ROLE });
      if (await nextMessage<string>(worker) === READY) return worker;
    } catch (error) {
      logger.warn(
        "The Parquet thread cannot start, so writing files holds up other requests: {message}",
        { message: messageOf(error) },
      );
    }
    this.#inLine = true;
    await worker?.terminate();
    return undefined;
  }

  async #end(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }
}

function checked(outcome: Outcome): Outcome {
  if (outcome.problem !== undefined) throw failed(outcome.problem);
  return outcome;
}

function failed(why: string): LakeSyncError {
  return new LakeSyncError("ADAPTER_ERROR", `Parquet cannot be written or read: ${why}`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Waits for what a thread says next, or for its end. */
function nextMessage<Message>(worker: Worker): Promise<Message> {
  const { promise, resolve, reject } = Promise.withResolvers<Message>();
  const onExit = (code: number) => reject(new Error(`The thread ended with code ${code}`));
  worker.once("message", resolve);
  worker.once("error", reject);
  worker.once("exit", onExit);
  return promise.finally(() => {
    worker.off("message", resolve);
    worker.off("error", reject);
    worker.off("exit", onExit);
  });
}
