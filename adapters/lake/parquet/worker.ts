/**
 * What runs in the thread that writes and reads Parquet files. The module is its own entry, so that
 * it is found wherever the package is, under whatever name it has there.
 *
 * @module
 */

import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { follow } from "./orders.ts";
import { type PackedOrder, packOutcome, unpackOrder } from "./packing.ts";

/** Where a thread begins. */
export const ENTRY: URL = new URL(import.meta.url);

/** What a thread is given, so that this module knows that it is one. */
export const ROLE = "lakesync parquet";

/** What a thread says once it waits for orders. */
export const READY = "ready";

if (!isMainThread && workerData === ROLE && parentPort !== null) {
  const port = parentPort;
  port.on("message", async (order: PackedOrder) => {
    const { message, transfer } = packOutcome(await follow(unpackOrder(order)));
    port.postMessage(message, transfer);
  });
  port.postMessage(READY);
}
