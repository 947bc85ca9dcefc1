/**
 * LakeSync on the device: an SQLite database that is kept in step with a gateway, under Deno, Node
 * and Bun.
 *
 * @module
 */

export { defineSchema, LakeSyncError } from "@lakesync/core";
export type {
  ErrorCode,
  InsertOf,
  KeyOf,
  RejectionCode,
  RowOf,
  SchemaSpec,
  StopCode,
  TypeOf,
} from "@lakesync/core";
export type { StreamPart, StreamPlace } from "./chunks.ts";
export { type Client, type ClientOptions, createClient } from "./client.ts";
export { isDiskFull, isUnwritable } from "./database/driver.ts";
export type { ClientEnvironment, SocketFactory } from "./environment.ts";
export * from "./local.ts";
export type { ConnectionState } from "./machine.ts";
export type {
  Applied,
  Batch,
  BatchLimits,
  BatchPosition,
  DeadLetter,
  PageOrigin,
  Replica,
  ReplicaState,
} from "./replica.ts";
export type { Progress, Repair, Subscribable, SyncProblem, SyncStatus } from "./status.ts";
export type { StreamHeader } from "./transport/frames.ts";
export type { GetToken } from "./transport/token.ts";
