/**
 * The binary form of the protocol: protobuf by lakesync.proto, for HTTP bodies and WebSocket
 * frames.
 *
 * @module
 */

import { create, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { type Hlc, isHlc } from "../clock.ts";
import type { Delta, RefusedBefore, Transaction } from "../delta.ts";
import {
  type ChainLink,
  isErrorCode,
  LakeSyncError,
  REJECTION_CODES,
  type RejectionCode,
} from "../errors.ts";
import { checkMessageCount } from "./budget.ts";
import { malformed } from "./cells.ts";
import * as wire from "./gen/lakesync_pb.ts";
import {
  type BucketState,
  type Checkpoint,
  type ClientFrame,
  type ErrorBody,
  MAX_BUCKET_ID_LENGTH,
  MAX_REPAIR_BUCKETS,
  type Origin,
  type PullRequest,
  type PullResult,
  type PushRequest,
  type PushResult,
  type Rejection,
  type ServerFrame,
  type Stop,
} from "./messages.ts";
import { checkColumnNames, packChanges, packDeltas, unpackChanges, unpackDeltas } from "./rows.ts";

/** The content type of the binary form. */
export const PROTOBUF_TYPE = "application/x-protobuf";

function parse<M extends Message>(
  schema: GenMessage<M>,
  bytes: Uint8Array,
  bounded = true,
): M {
  try {
    if (bounded) checkMessageCount(schema, bytes);
    return fromBinary(schema, bytes, { readUnknownFields: false });
  } catch (cause) {
    if (cause instanceof LakeSyncError) throw cause;
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "The body is not the protobuf message expected here",
      {},
      {
        cause,
      },
    );
  }
}

function toNumber(value: bigint, what: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw malformed(`${what} is too large`);
  }
  return Number(value);
}

function toHlc(value: bigint): Hlc {
  if (!isHlc(value)) throw malformed("hlc is out of range");
  return value;
}

function packTransaction(transaction: Transaction): wire.Transaction {
  return create(wire.TransactionSchema, {
    mutationId: BigInt(transaction.mutationId),
    deltas: packDeltas(transaction.deltas),
    part: transaction.part ?? 0,
    parts: transaction.parts ?? 0,
    chain: hexToBytes(transaction.chain ?? ""),
    ...(transaction.refused === undefined ? {} : { refused: packRefused(transaction.refused) }),
  });
}

function unpackTransaction(transaction: wire.Transaction): Transaction {
  const { part, parts, chain, refused } = transaction;
  if (transaction.mutationId === 0n) {
    throw malformed("mutation_id must be from 1");
  }
  if (part > parts || (part === 0 && parts !== 0)) {
    throw malformed("part must be from 1 to parts");
  }
  return {
    mutationId: toNumber(transaction.mutationId, "mutation_id"),
    deltas: transaction.deltas === undefined ? [] : unpackDeltas(transaction.deltas),
    ...(part !== 0 || parts !== 0 ? { part, parts } : {}),
    ...(chain.length === 0 ? {} : { chain: toChain(chain) }),
    ...(refused === undefined ? {} : { refused: unpackRefused(refused) }),
  };
}

function packRefused({ previous, ...why }: RefusedBefore): wire.RefusedBefore {
  return create(wire.RefusedBeforeSchema, { ...why, previous: hexToBytes(previous) });
}

function unpackRefused(refused: wire.RefusedBefore): RefusedBefore {
  const { previous, message, delta } = refused;
  return { previous: toChain(previous), code: toRejectionCode(refused.code), message, delta };
}

function toRejectionCode(text: string): RejectionCode {
  const code = REJECTION_CODES.find((known) => known === text);
  if (code === undefined) throw malformed("unknown rejection code");
  return code;
}

function toChain(bytes: Uint8Array): string {
  if (bytes.length !== 0 && bytes.length !== 32) throw malformed("chain must be 32 bytes");
  return bytesToHex(bytes);
}

function packOrigin(origin: Origin): wire.Origin {
  return create(wire.OriginSchema, {
    clientId: origin.clientId,
    mutationId: BigInt(origin.mutationId),
    chain: hexToBytes(origin.chain),
    next: hexToBytes(origin.next),
  });
}

function unpackOrigin({ clientId, mutationId, chain, next }: wire.Origin): Origin {
  return {
    clientId,
    mutationId: toNumber(mutationId, "mutation_id"),
    chain: toChain(chain),
    next: toChain(next),
  };
}

function packPush(request: PushRequest): wire.PushRequest {
  return create(wire.PushRequestSchema, {
    clientId: request.clientId,
    schemaVersion: request.schemaVersion,
    transactions: request.transactions.map(packTransaction),
    refusalsSeen: BigInt(request.refusalsSeen ?? 0),
    ...(request.origin === undefined ? {} : { origin: packOrigin(request.origin) }),
  });
}

function unpackPush(message: wire.PushRequest): PushRequest {
  return {
    clientId: message.clientId,
    schemaVersion: message.schemaVersion,
    transactions: message.transactions.map(unpackTransaction),
    ...(message.refusalsSeen === 0n
      ? {}
      : { refusalsSeen: toNumber(message.refusalsSeen, "refusals_seen") }),
    ...(message.origin === undefined ? {} : { origin: unpackOrigin(message.origin) }),
  };
}

function packRejection(rejection: Rejection): wire.Rejection {
  return create(wire.RejectionSchema, {
    ...rejection,
    mutationId: BigInt(rejection.mutationId),
  });
}

function unpackRejection(message: wire.Rejection): Rejection {
  return {
    mutationId: toNumber(message.mutationId, "mutation_id"),
    code: toRejectionCode(message.code),
    message: message.message,
    delta: message.delta,
  };
}

function unpackStop(message: wire.Stop): Stop {
  const { code } = message;
  if (code !== "CLOCK_DRIFT" && code !== "SCHEMA_AHEAD") {
    throw malformed("unknown stop code");
  }
  return {
    mutationId: toNumber(message.mutationId, "mutation_id"),
    code,
    message: message.message,
  };
}

function packPushResult(result: PushResult): wire.PushResult {
  const { stopped } = result;
  return create(wire.PushResultSchema, {
    lastMutationId: BigInt(result.lastMutationId),
    rejected: result.rejected.map(packRejection),
    seq: BigInt(result.seq),
    serverTime: result.serverTime,
    serverHlc: result.serverHlc,
    ...(stopped === undefined ? {} : {
      stopped: create(wire.StopSchema, {
        ...stopped,
        mutationId: BigInt(stopped.mutationId),
      }),
    }),
  });
}

function unpackPushResult(message: wire.PushResult): PushResult {
  return {
    lastMutationId: toNumber(message.lastMutationId, "last_mutation_id"),
    rejected: message.rejected.map(unpackRejection),
    ...(message.stopped === undefined ? {} : { stopped: unpackStop(message.stopped) }),
    seq: toNumber(message.seq, "seq"),
    serverTime: message.serverTime,
    serverHlc: toHlc(message.serverHlc),
  };
}

function packPullRequest(request: PullRequest): wire.PullRequest {
  return create(wire.PullRequestSchema, {
    clientId: request.clientId,
    cursor: request.cursor ?? "",
    limit: request.limit ?? 0,
    wait: request.wait ?? 0,
    schemaVersion: request.schemaVersion ?? 0,
    repair: [...request.repair ?? []],
  });
}

function unpackRepair(repair: readonly string[]): { readonly repair?: readonly string[] } {
  if (repair.length > MAX_REPAIR_BUCKETS) throw malformed("repair names too many buckets");
  if (repair.some((id) => id.length > MAX_BUCKET_ID_LENGTH)) {
    throw malformed("the id of a bucket is too long");
  }
  return repair.length === 0 ? {} : { repair };
}

function unpackPullRequest(message: wire.PullRequest): PullRequest {
  const { cursor, limit, wait, schemaVersion, repair } = message;
  return {
    clientId: message.clientId,
    ...(cursor === "" ? {} : { cursor }),
    ...(limit === 0 ? {} : { limit }),
    ...(wait === 0 ? {} : { wait }),
    ...(schemaVersion === 0 ? {} : { schemaVersion }),
    ...unpackRepair(repair),
  };
}

function packBucket(bucket: BucketState): wire.Bucket {
  const { id, rows, checksum, whole = false, gone = false, columns = {} } = bucket;
  return create(wire.BucketSchema, {
    id,
    rows: BigInt(rows),
    ...(checksum === undefined ? {} : { checksum }),
    whole,
    gone,
    columns: Object.entries(columns).map(([table, columns]) =>
      create(wire.ShownColumnsSchema, { table, columns: [...columns] })
    ),
  });
}

function unpackBucket(message: wire.Bucket): BucketState {
  const { id, rows, checksum, whole, gone, columns } = message;
  if (id.length > MAX_BUCKET_ID_LENGTH) throw malformed("the id of a bucket is too long");
  for (const { columns: names } of columns) checkColumnNames(names, "a bucket");
  return {
    id,
    rows: toNumber(rows, "rows"),
    ...(checksum === undefined ? {} : { checksum }),
    ...(whole ? { whole } : {}),
    ...(gone ? { gone } : {}),
    ...(columns.length === 0 ? {} : {
      columns: Object.fromEntries(columns.map(({ table, columns }) => [table, columns])),
    }),
  };
}

function packCheckpoint(checkpoint: Checkpoint): wire.Checkpoint {
  return create(wire.CheckpointSchema, {
    seq: BigInt(checkpoint.seq),
    buckets: checkpoint.buckets.map(packBucket),
  });
}

function packPullResult(result: PullResult): wire.PullResult {
  return create(wire.PullResultSchema, {
    changes: packChanges(result.changes),
    cursor: result.cursor,
    complete: result.complete,
    lastMutationId: BigInt(result.lastMutationId),
    serverHlc: result.serverHlc,
    ...(result.checkpoint === undefined ? {} : { checkpoint: packCheckpoint(result.checkpoint) }),
    chain: hexToBytes(result.chain ?? ""),
  });
}

function unpackPullResult(message: wire.PullResult): PullResult {
  const { checkpoint, chain } = message;
  return {
    changes: message.changes === undefined ? [] : unpackChanges(message.changes),
    cursor: message.cursor,
    complete: message.complete,
    lastMutationId: toNumber(message.lastMutationId, "last_mutation_id"),
    ...(chain.length === 0 ? {} : { chain: toChain(chain) }),
    serverHlc: toHlc(message.serverHlc),
    ...(checkpoint === undefined ? {} : {
      checkpoint: {
        seq: toNumber(checkpoint.seq, "seq"),
        buckets: checkpoint.buckets.map(unpackBucket),
      },
    }),
  };
}

/** Rounded, as a time that is spread over whole seconds would else be longer than it was meant. */
function wholeSeconds(seconds: number | undefined): number {
  return seconds === undefined ? 0 : Math.max(1, Math.round(seconds));
}

function packError(error: ErrorBody): wire.Error {
  return create(wire.ErrorSchema, {
    error: error.error,
    code: error.code,
    requestId: error.requestId,
    lastMutationId: BigInt(error.lastMutationId ?? 0),
    mutationId: BigInt(error.mutationId ?? 0),
    retryAfterSeconds: wholeSeconds(error.retryAfterSeconds),
    links: (error.links ?? []).map(({ mutationId, hash }) =>
      create(wire.LinkSchema, { mutationId: BigInt(mutationId), hash: hexToBytes(hash) })
    ),
    clientId: error.clientId ?? "",
  });
}

function unpackLink({ mutationId, hash }: wire.Link): ChainLink {
  if (hash.length < 8 || hash.length > 32) throw malformed("hash must be 8 to 32 bytes");
  return { mutationId: toNumber(mutationId, "mutation_id"), hash: bytesToHex(hash) };
}

function unpackError(message: wire.Error): ErrorBody {
  if (!isErrorCode(message.code)) throw malformed("unknown error code");
  const lastMutationId = toNumber(message.lastMutationId, "last_mutation_id");
  const mutationId = toNumber(message.mutationId, "mutation_id");
  const carriesLast = message.code === "MUTATION_GAP" ||
    message.code === "CLIENT_FORKED";
  return {
    error: message.error,
    code: message.code,
    requestId: message.requestId,
    ...(carriesLast ? { lastMutationId } : {}),
    ...(mutationId === 0 ? {} : { mutationId }),
    ...(message.retryAfterSeconds === 0 ? {} : { retryAfterSeconds: message.retryAfterSeconds }),
    ...(message.links.length === 0 ? {} : { links: message.links.map(unpackLink) }),
    ...(message.clientId === "" ? {} : { clientId: message.clientId }),
  };
}

/**
 * Writes a push.
 *
 * @param request the push
 * @returns the body
 * @throws {LakeSyncError} `VALIDATION_ERROR` when a text holds a lone surrogate
 */
export function encodePush(request: PushRequest): Uint8Array {
  return toBinary(wire.PushRequestSchema, packPush(request));
}

/**
 * Reads a push. Shapes are shared between the deltas of a transaction.
 *
 * @param bytes the body
 * @returns the push
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it is damaged
 */
export function decodePush(bytes: Uint8Array): PushRequest {
  return unpackPush(parse(wire.PushRequestSchema, bytes));
}

/** Writes the answer to a push. */
export function encodePushResult(result: PushResult): Uint8Array {
  return toBinary(wire.PushResultSchema, packPushResult(result));
}

/**
 * Reads the answer to a push.
 *
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it is damaged
 */
export function decodePushResult(bytes: Uint8Array): PushResult {
  return unpackPushResult(parse(wire.PushResultSchema, bytes));
}

/** Writes a pull. */
export function encodePull(request: PullRequest): Uint8Array {
  return toBinary(wire.PullRequestSchema, packPullRequest(request));
}

/**
 * Reads a pull.
 *
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it is damaged
 */
export function decodePull(bytes: Uint8Array): PullRequest {
  return unpackPullRequest(parse(wire.PullRequestSchema, bytes));
}

/** Writes a page of changes. */
export function encodePullResult(result: PullResult): Uint8Array {
  return toBinary(wire.PullResultSchema, packPullResult(result));
}

/**
 * Reads a page of changes.
 *
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it is damaged
 */
export function decodePullResult(bytes: Uint8Array): PullResult {
  return unpackPullResult(parse(wire.PullResultSchema, bytes));
}

/** Writes an error. */
export function encodeError(error: ErrorBody): Uint8Array {
  return toBinary(wire.ErrorSchema, packError(error));
}

/**
 * Reads an error.
 *
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it is damaged
 */
export function decodeError(bytes: Uint8Array): ErrorBody {
  return unpackError(parse(wire.ErrorSchema, bytes));
}

/**
 * Writes deltas alone, as the log keeps them.
 *
 * @param deltas the deltas in order
 * @returns a `Rows` message
 */
export function encodeDeltas(deltas: readonly Delta[]): Uint8Array {
  return toBinary(wire.RowsSchema, packDeltas(deltas));
}

/**
 * Reads what {@linkcode encodeDeltas} wrote; only for bytes that were stored here, since the
 * memory they take is not bounded first.
 *
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it is damaged
 */
export function decodeDeltas(bytes: Uint8Array): Delta[] {
  return unpackDeltas(parse(wire.RowsSchema, bytes, false));
}

function packClientFrame(frame: ClientFrame): wire.ClientFrame["frame"] {
  switch (frame.type) {
    case "hello": {
      const { clientId, cursor = "", schemaVersion, refusalsSeen = 0, repair = [] } = frame.hello;
      const hello = {
        clientId,
        cursor,
        schemaVersion,
        refusalsSeen: BigInt(refusalsSeen),
        repair: [...repair],
      };
      return { case: "hello", value: create(wire.HelloSchema, hello) };
    }
    case "push":
      return { case: "push", value: packPush(frame.push) };
    case "pull":
      return { case: "pull", value: packPullRequest(frame.pull) };
    case "ack":
      return {
        case: "ack",
        value: create(wire.AckSchema, { cursor: frame.cursor }),
      };
    case "token":
      return {
        case: "token",
        value: create(wire.TokenSchema, { jwt: frame.jwt }),
      };
    case "ping":
      return { case: "ping", value: create(wire.PingSchema) };
  }
}

/** Writes a frame of a client. */
export function encodeClientFrame(frame: ClientFrame): Uint8Array {
  return toBinary(
    wire.ClientFrameSchema,
    create(wire.ClientFrameSchema, { frame: packClientFrame(frame) }),
  );
}

/**
 * Reads a frame of a client.
 *
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it is damaged
 */
export function decodeClientFrame(bytes: Uint8Array): ClientFrame {
  const { frame } = parse(wire.ClientFrameSchema, bytes);
  switch (frame.case) {
    case "hello": {
      const { clientId, cursor, schemaVersion, refusalsSeen, repair } = frame.value;
      return {
        type: "hello",
        hello: {
          clientId,
          schemaVersion,
          ...(cursor === "" ? {} : { cursor }),
          ...(refusalsSeen === 0n ? {} : { refusalsSeen: toNumber(refusalsSeen, "refusals_seen") }),
          ...unpackRepair(repair),
        },
      };
    }
    case "push":
      return { type: "push", push: unpackPush(frame.value) };
    case "pull":
      return { type: "pull", pull: unpackPullRequest(frame.value) };
    case "ack":
      return { type: "ack", cursor: frame.value.cursor };
    case "token":
      return { type: "token", jwt: frame.value.jwt };
    case "ping":
      return { type: "ping" };
    default:
      throw malformed("the frame is empty or of an unknown kind");
  }
}

function packServerFrame(frame: ServerFrame): wire.ServerFrame["frame"] {
  switch (frame.type) {
    case "welcome": {
      const limits: Record<string, bigint> = {};
      for (const [name, limit] of Object.entries(frame.limits)) {
        limits[name] = BigInt(limit);
      }
      return {
        case: "welcome",
        value: create(wire.WelcomeSchema, {
          serverTime: frame.serverTime,
          limits,
        }),
      };
    }
    case "pushResult":
      return { case: "pushResult", value: packPushResult(frame.result) };
    case "changes":
      return { case: "changes", value: packPullResult(frame.result) };
    case "rejected":
      return {
        case: "rejected",
        value: create(wire.RejectedSchema, {
          rejected: frame.rejected.map(packRejection),
        }),
      };
    case "resync":
      return {
        case: "resync",
        value: create(wire.ResyncSchema, { reason: frame.reason }),
      };
    case "error":
      return { case: "error", value: packError(frame.error) };
    case "pong":
      return {
        case: "pong",
        value: create(wire.PongSchema, { serverTime: frame.serverTime }),
      };
    case "draining":
      return { case: "draining", value: create(wire.DrainingSchema) };
  }
}

/** Writes a frame of the gateway. */
export function encodeServerFrame(frame: ServerFrame): Uint8Array {
  return toBinary(
    wire.ServerFrameSchema,
    create(wire.ServerFrameSchema, { frame: packServerFrame(frame) }),
  );
}

/**
 * Reads a frame of the gateway.
 *
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it is damaged
 */
export function decodeServerFrame(bytes: Uint8Array): ServerFrame {
  const { frame } = parse(wire.ServerFrameSchema, bytes);
  switch (frame.case) {
    case "welcome": {
      const limits: Record<string, number> = {};
      for (const [name, limit] of Object.entries(frame.value.limits)) {
        limits[name] = toNumber(limit, name);
      }
      return { type: "welcome", serverTime: frame.value.serverTime, limits };
    }
    case "pushResult":
      return { type: "pushResult", result: unpackPushResult(frame.value) };
    case "changes":
      return { type: "changes", result: unpackPullResult(frame.value) };
    case "rejected":
      return {
        type: "rejected",
        rejected: frame.value.rejected.map(unpackRejection),
      };
    case "resync":
      return { type: "resync", reason: frame.value.reason };
    case "error":
      return { type: "error", error: unpackError(frame.value) };
    case "pong":
      return { type: "pong", serverTime: frame.value.serverTime };
    case "draining":
      return { type: "draining" };
    default:
      throw malformed("the frame is empty or of an unknown kind");
  }
}
