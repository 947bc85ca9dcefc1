/**
 * The plain JSON form of the protocol, the one `curl` speaks: requests are read from what
 * `JSON.parse` gave, answers are written as what `JSON.stringify` may be given. 64-bit numbers
 * are decimal text; column values are read by their column's type.
 *
 * @module
 */

import { type Hlc, parseHlc } from "../clock.ts";
import type { Delta, Op, RefusedBefore, Shape, Transaction } from "../delta.ts";
import { LakeSyncError, REJECTION_CODES } from "../errors.ts";
import type { Schema, Table } from "../schema.ts";
import { fromPlainJson, type JsonValue, toPlainJson } from "../value.ts";
import {
  type BucketState,
  type ClientFrame,
  type Hello,
  MAX_BUCKET_ID_LENGTH,
  MAX_REPAIR_BUCKETS,
  type Origin,
  type PullRequest,
  type PullResult,
  type PushRequest,
  type PushResult,
  type RowChange,
  type ServerFrame,
} from "./messages.ts";
import { scanJson } from "./json_scan.ts";

type JsonObject = { readonly [key: string]: JsonValue };

function invalid(place: string, what: string): never {
  throw new LakeSyncError("VALIDATION_ERROR", `${place} ${what}`);
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function object(value: JsonValue | undefined, place: string): JsonObject {
  return isObject(value) ? value : invalid(place, "must be an object");
}

function array(
  value: JsonValue | undefined,
  place: string,
): readonly JsonValue[] {
  return Array.isArray(value) ? value : invalid(place, "must be an array");
}

function text(value: JsonValue | undefined, place: string): string {
  return typeof value === "string" ? value : invalid(place, "must be a text");
}

function whole(value: JsonValue | undefined, place: string, min = 0): number {
  if (
    typeof value === "number" && Number.isSafeInteger(value) && value >= min
  ) return value;
  return invalid(place, `must be a whole number from ${min}`);
}

function optional<T>(
  value: JsonValue | undefined,
  place: string,
  read: (value: JsonValue, place: string) => T,
): T | undefined {
  return value === undefined || value === null ? undefined : read(value, place);
}

function known(
  value: JsonObject,
  fields: readonly string[],
  place: string,
): void {
  for (const field of Object.keys(value)) {
    if (!fields.includes(field)) {
      invalid(
        place,
        `has an unknown field ${JSON.stringify(field.slice(0, 64))}`,
      );
    }
  }
}

/**
 * Parses a JSON body within bounds of what that costs.
 *
 * @param body the text of the body
 * @returns the value
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it is not JSON, nested deeper than 64 levels, or
 * of more parts than a body has
 */
export function parseJsonBody(body: string): JsonValue {
  scanJson(body);
  try {
    return JSON.parse(body);
  } catch {
    throw new LakeSyncError("VALIDATION_ERROR", "The body is not valid JSON");
  }
}

/** Reads deltas and shares one shape between all of the same kind. */
class DeltaReader {
  readonly #shapes = new Map<string, Shape>();

  constructor(readonly schema: Schema | undefined) {}

  read(input: JsonValue, place: string): Delta {
    const delta = object(input, place);
    known(delta, [
      "op",
      "table",
      "rowId",
      "clientId",
      "hlc",
      "columns",
      "deltaId",
      "written",
    ], place);
    const op = delta["op"];
    if (op !== "INSERT" && op !== "UPDATE" && op !== "DELETE") {
      invalid(`${place}.op`, "must be INSERT, UPDATE or DELETE");
    }
    const table = text(delta["table"], `${place}.table`);
    const columns = optional(delta["columns"], `${place}.columns`, object) ??
      {};
    const names = Object.keys(columns);
    const shape = this.#shape(op, table, names);
    const spec = this.schema?.tables.get(table);
    const written = optional(delta["written"], `${place}.written`, stamp);
    return {
      shape,
      rowId: text(delta["rowId"], `${place}.rowId`),
      hlc: optional(delta["hlc"], `${place}.hlc`, stamp),
      values: names.map((name) => readValue(spec, name, columns[name] ?? null)),
      deltaId: optional(delta["deltaId"], `${place}.deltaId`, deltaId),
      ...(written === undefined ? {} : { written }),
    };
  }

  #shape(op: Op, table: string, columns: readonly string[]): Shape {
    const key = JSON.stringify([op, table, columns]);
    let shape = this.#shapes.get(key);
    if (shape === undefined) {
      shape = { op, table, columns };
      this.#shapes.set(key, shape);
    }
    return shape;
  }
}

function readValue(table: Table | undefined, column: string, value: JsonValue) {
  const type = table?.byName.get(column)?.type;
  return type === undefined ? value : fromPlainJson(value, type);
}

function stamp(value: JsonValue, place: string): Hlc {
  return parseHlc(text(value, place)) ??
    invalid(place, "must be a 64-bit number as decimal text");
}

function deltaId(value: JsonValue, place: string): string {
  const id = text(value, place);
  return /^[0-9a-f]{64}$/.test(id) ? id : invalid(place, "must be 64 lower-case hex digits");
}

function transaction(
  reader: DeltaReader,
  input: JsonValue,
  place: string,
): Transaction {
  const value = object(input, place);
  known(value, ["mutationId", "deltas", "part", "parts", "chain", "refused"], place);
  const part = optional(
    value["part"],
    `${place}.part`,
    (v, p) => whole(v, p, 1),
  );
  const parts = optional(
    value["parts"],
    `${place}.parts`,
    (v, p) => whole(v, p, 1),
  );
  const chain = optional(value["chain"], `${place}.chain`, deltaId);
  const refused = optional(value["refused"], `${place}.refused`, refusedBefore);
  if ((part === undefined) !== (parts === undefined)) {
    invalid(place, "must have both part and parts");
  }
  if (part !== undefined && parts !== undefined && part > parts) {
    invalid(`${place}.part`, "must be at most parts");
  }
  return {
    mutationId: whole(value["mutationId"], `${place}.mutationId`, 1),
    deltas: array(value["deltas"], `${place}.deltas`).map((delta, i) =>
      reader.read(delta, `${place}.deltas[${i}]`)
    ),
    ...(part !== undefined && parts !== undefined ? { part, parts } : {}),
    ...(chain === undefined ? {} : { chain }),
    ...(refused === undefined ? {} : { refused }),
  };
}

function refusedBefore(input: JsonValue, place: string): RefusedBefore {
  const value = object(input, place);
  known(value, ["previous", "code", "message", "delta"], place);
  const code = REJECTION_CODES.find((code) => code === value["code"]);
  return {
    previous: link(value["previous"] ?? null, `${place}.previous`),
    code: code ?? invalid(`${place}.code`, "must be the code of a refusal"),
    message: text(value["message"], `${place}.message`),
    delta: whole(value["delta"], `${place}.delta`),
  };
}

function link(value: JsonValue, place: string): string {
  return value === "" ? "" : deltaId(value, place);
}

function origin(input: JsonValue, place: string): Origin {
  const value = object(input, place);
  known(value, ["clientId", "mutationId", "chain", "next"], place);
  return {
    clientId: text(value["clientId"], `${place}.clientId`),
    mutationId: whole(value["mutationId"], `${place}.mutationId`),
    chain: link(value["chain"] ?? null, `${place}.chain`),
    next: deltaId(value["next"] ?? "", `${place}.next`),
  };
}

/**
 * Reads a push.
 *
 * @param body what {@linkcode parseJsonBody} gave
 * @param schema the gateway's schema; values of columns it does not know stay as they are
 * @returns the push
 * @throws {LakeSyncError} `VALIDATION_ERROR`, with the place in the message
 */
export function pushFromJson(
  body: JsonValue,
  schema: Schema | undefined,
): PushRequest {
  const value = object(body, "The body");
  known(
    value,
    ["clientId", "schemaVersion", "transactions", "refusalsSeen", "origin"],
    "The body",
  );
  const from = optional(value["origin"], "origin", origin);
  const reader = new DeltaReader(schema);
  const refusalsSeen = optional(value["refusalsSeen"], "refusalsSeen", whole);
  return {
    clientId: text(value["clientId"], "clientId"),
    schemaVersion: optional(value["schemaVersion"], "schemaVersion", whole) ??
      0,
    transactions: array(value["transactions"], "transactions").map((item, i) =>
      transaction(reader, item, `transactions[${i}]`)
    ),
    ...(refusalsSeen === undefined ? {} : { refusalsSeen }),
    ...(from === undefined ? {} : { origin: from }),
  };
}

function bucketIds(value: JsonValue, place: string): readonly string[] {
  const ids = array(value, place).map((id, i) => text(id, `${place}[${i}]`));
  if (ids.length > MAX_REPAIR_BUCKETS) {
    invalid(place, `must have at most ${MAX_REPAIR_BUCKETS} ids of buckets`);
  }
  if (ids.some((id) => id.length > MAX_BUCKET_ID_LENGTH)) {
    invalid(place, `must have ids of at most ${MAX_BUCKET_ID_LENGTH} characters`);
  }
  return ids;
}

/**
 * Reads a pull.
 *
 * @param body what {@linkcode parseJsonBody} gave
 * @returns the pull
 * @throws {LakeSyncError} `VALIDATION_ERROR`, with the place in the message
 */
export function pullFromJson(body: JsonValue): PullRequest {
  const value = object(body, "The body");
  known(
    value,
    ["clientId", "cursor", "limit", "wait", "schemaVersion", "repair"],
    "The body",
  );
  const cursor = optional(value["cursor"], "cursor", text);
  const limit = optional(value["limit"], "limit", (v, p) => whole(v, p, 1));
  const wait = optional(value["wait"], "wait", whole);
  const schemaVersion = optional(
    value["schemaVersion"],
    "schemaVersion",
    whole,
  );
  const repair = optional(value["repair"], "repair", bucketIds);
  return {
    clientId: text(value["clientId"], "clientId"),
    ...(cursor === undefined ? {} : { cursor }),
    ...(limit === undefined ? {} : { limit }),
    ...(wait === undefined ? {} : { wait }),
    ...(schemaVersion === undefined ? {} : { schemaVersion }),
    ...(repair === undefined || repair.length === 0 ? {} : { repair }),
  };
}

/** Writes the answer to a push. */
export function pushResultToJson(result: PushResult): JsonValue {
  return {
    lastMutationId: result.lastMutationId,
    rejected: result.rejected.map((rejection) => ({ ...rejection })),
    ...(result.stopped === undefined ? {} : { stopped: { ...result.stopped } }),
    seq: String(result.seq),
    serverTime: result.serverTime,
    serverHlc: String(result.serverHlc),
  };
}

function changeToJson(change: RowChange): JsonValue {
  const { op, table, columns, unset, buckets } = change.shape;
  const values: Record<string, JsonValue> = {};
  columns.forEach((column, i) => values[column] = toPlainJson(change.values[i] ?? null));
  return {
    op,
    table,
    rowId: change.rowId,
    ...(op === "PUT" ? { columns: values } : {}),
    ...(unset === undefined ? {} : { unset }),
    ...(buckets === undefined ? {} : { buckets }),
  };
}

function bucketToJson({ columns, ...bucket }: BucketState): JsonValue {
  return { ...bucket, ...(columns === undefined ? {} : { columns: { ...columns } }) };
}

/** Writes a page of changes. */
export function pullResultToJson(result: PullResult): JsonValue {
  const { checkpoint } = result;
  return {
    changes: result.changes.map(changeToJson),
    cursor: result.cursor,
    complete: result.complete,
    lastMutationId: result.lastMutationId,
    ...(result.chain === undefined ? {} : { chain: result.chain }),
    serverHlc: String(result.serverHlc),
    ...(checkpoint === undefined ? {} : {
      checkpoint: {
        seq: String(checkpoint.seq),
        buckets: checkpoint.buckets.map(bucketToJson),
      },
    }),
  };
}

function hello(value: JsonValue | undefined): Hello {
  const frame = object(value, "hello");
  known(
    frame,
    ["clientId", "cursor", "schemaVersion", "refusalsSeen", "repair"],
    "hello",
  );
  const cursor = optional(frame["cursor"], "hello.cursor", text);
  const refusalsSeen = optional(
    frame["refusalsSeen"],
    "hello.refusalsSeen",
    whole,
  );
  const repair = optional(frame["repair"], "hello.repair", bucketIds);
  return {
    clientId: text(frame["clientId"], "hello.clientId"),
    schemaVersion: optional(frame["schemaVersion"], "hello.schemaVersion", whole) ?? 0,
    ...(cursor === undefined || cursor === "" ? {} : { cursor }),
    ...(refusalsSeen === undefined ? {} : { refusalsSeen }),
    ...(repair === undefined || repair.length === 0 ? {} : { repair }),
  };
}

/**
 * Reads a frame of a client: an object with one key, the frame's name.
 *
 * @param body what {@linkcode parseJsonBody} gave
 * @param schema the gateway's schema
 * @returns the frame
 * @throws {LakeSyncError} `VALIDATION_ERROR`, with the place in the message
 */
export function clientFrameFromJson(
  body: JsonValue,
  schema: Schema | undefined,
): ClientFrame {
  const frame = object(body, "The frame");
  const [name, ...more] = Object.keys(frame);
  if (name === undefined || more.length > 0) {
    invalid("The frame", "must have one key, its name");
  }
  const value = frame[name];
  switch (name) {
    case "hello":
      return { type: "hello", hello: hello(value) };
    case "push":
      return { type: "push", push: pushFromJson(value ?? null, schema) };
    case "pull":
      return { type: "pull", pull: pullFromJson(value ?? null) };
    case "ack":
      return {
        type: "ack",
        cursor: text(object(value, "ack")["cursor"], "ack.cursor"),
      };
    case "token":
      return {
        type: "token",
        jwt: text(object(value, "token")["jwt"], "token.jwt"),
      };
    case "ping":
      return { type: "ping" };
    default:
      return invalid("The frame", "is of an unknown kind");
  }
}

/** Writes a frame of the gateway: an object with one key, the frame's name. */
export function serverFrameToJson(frame: ServerFrame): JsonValue {
  switch (frame.type) {
    case "welcome":
      return {
        welcome: { serverTime: frame.serverTime, limits: { ...frame.limits } },
      };
    case "pushResult":
      return { pushResult: pushResultToJson(frame.result) };
    case "changes":
      return { changes: pullResultToJson(frame.result) };
    case "rejected":
      return {
        rejected: {
          rejected: frame.rejected.map((rejection) => ({ ...rejection })),
        },
      };
    case "resync":
      return { resync: { code: "RESYNC_REQUIRED", reason: frame.reason } };
    case "error": {
      const { links, ...error } = frame.error;
      const told = links === undefined ? {} : { links: links.map((link) => ({ ...link })) };
      return { error: { ...error, ...told } };
    }
    case "pong":
      return { pong: { serverTime: frame.serverTime } };
    case "draining":
      return { draining: {} };
  }
}
