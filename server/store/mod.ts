/**
 * Where gateways keep their data: the port and its implementations.
 *
 * @module
 */

export * from "./kv.ts";
export * from "./lock.ts";
export * from "./memory.ts";
export * from "./records.ts";
export * from "./snapshot.ts";
export * from "./sqlite.ts";
export * from "./store.ts";
