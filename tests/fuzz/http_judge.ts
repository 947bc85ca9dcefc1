/**
 * Whether an answer is one that the description promises.
 *
 * @module
 */

import {
  decodeError,
  decodePullResult,
  decodePushResult,
  ERROR_STATUS,
  isErrorCode,
  PROTOBUF_TYPE,
} from "@lakesync/core";
import assert from "node:assert/strict";
import type { Api, ApiOperation, ApiResponse, Json } from "./http_api.ts";
import { headerOf, type Reply } from "./http_wire.ts";

const CHECKPOINT_TYPE = "application/vnd.lakesync.checkpoint";

/** Headers that an answer may have though no description names them. */
const PLAIN_HEADERS = new Set([
  "content-type",
  "content-length",
  "content-encoding",
  "transfer-encoding",
  "connection",
  "date",
  "vary",
  "cache-control",
  "accept-ranges",
]);

/** Faults of the gateway; no request of whatever shape may bring one about. */
const FAULTS = new Set(["INTERNAL_ERROR", "ADAPTER_ERROR"]);

/** What an answer says. */
export interface Verdict {
  /** Its status. */
  readonly status: number;
  /** The error's code, if it is an error. */
  readonly code?: string;
  /** Its body, where that is JSON or an error. */
  readonly body?: Json;
}

function bodyOf(
  api: Api,
  operation: string | undefined,
  reply: Reply,
  response: ApiResponse,
): Json {
  const type = headerOf(reply, "Content-Type");
  if (Object.keys(response.content).length === 0) {
    assert.equal(reply.body.length, 0, "It has a body");
    return undefined;
  }
  // Texts say their charset and version beside the described type; of other types nothing is said.
  const described = response.content[type?.replace(/^(text\/\w+);.*$/, "$1") ?? ""];
  assert.ok(described, `${type} is not described`);
  let body: Json;
  if (type === "application/json") {
    body = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(reply.body));
    if (described.schema !== undefined) {
      assert.equal(api.misfit(described.schema, body), undefined, JSON.stringify(body));
    }
  } else if (type === PROTOBUF_TYPE && reply.status >= 400) {
    body = decodeError(reply.body);
  } else if (type === CHECKPOINT_TYPE) {
    checkStream(reply.body);
  } else if (type === PROTOBUF_TYPE) {
    if (operation === "push") decodePushResult(reply.body);
    else decodePullResult(reply.body);
  }
  return body;
}

/** A checkpoint is a header, chunks and an end, each frame whole. */
function checkStream(body: Uint8Array): void {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let kinds = "";
  for (let at = 0; at < body.length;) {
    kinds += view.getUint8(at + 4);
    at += 5 + view.getUint32(at);
    assert.ok(at <= body.length, "A frame of a checkpoint broke off");
  }
  assert.match(kinds, /^12*3$/);
}

function checkHeaders(api: Api, reply: Reply, response: ApiResponse): void {
  for (const [name, { required, schema }] of Object.entries(response.headers)) {
    const value = headerOf(reply, name);
    assert.ok(value !== undefined || required !== true, `The header ${name} is missing`);
    if (value !== undefined) {
      assert.equal(api.misfit(schema, value), undefined, `${name}: ${value}`);
    }
  }
  const named = new Set(Object.keys(response.headers).map((name) => name.toLowerCase()));
  for (const [name] of reply.headers) {
    assert.ok(named.has(name) || PLAIN_HEADERS.has(name), `The header ${name} is not described`);
  }
}

function judgeBy(
  api: Api,
  operation: string | undefined,
  method: string,
  reply: Reply,
  response: ApiResponse,
): Verdict {
  const { status } = reply;
  checkHeaders(api, reply, response);
  const body = method === "HEAD" ? undefined : bodyOf(api, operation, reply, response);
  const code: unknown = body?.code;
  if (status < 400 || method === "HEAD" || code === undefined) return { status, body };
  assert.ok(isErrorCode(code), `${code} is no code`);
  assert.equal(ERROR_STATUS[code], status, "The status is not the code's");
  assert.ok(!FAULTS.has(code), `${code}: ${body.error}`);
  assert.equal(body.requestId, headerOf(reply, "X-Request-Id"));
  return { status, code, body };
}

/**
 * Judges the answer to a request for an operation.
 *
 * @param operation the operation; undefined when the path has not the method
 * @param path the path as it is described
 * @throws {AssertionError} when it is not one that the operation's description promises
 */
export function judge(
  api: Api,
  operation: ApiOperation | undefined,
  method: string,
  reply: Reply,
  path: string = operation?.path ?? "",
): Verdict {
  const { status } = reply;
  assert.notEqual(status, 500, "The gateway failed");
  if (operation === undefined) {
    assert.equal(status, 405);
    const shared = path.startsWith("/v1/iceberg/") ? "IcebergMethodNotAllowed" : "MethodNotAllowed";
    return judgeBy(api, undefined, method, reply, api.shared(shared));
  }
  const response = operation.responses[status];
  assert.ok(response, `${operation.id} has no answer ${status}`);
  return judgeBy(api, operation.id, method, reply, response);
}

/**
 * Judges the answer to a request that need not be for any operation: an error of any code, or the
 * redirect of an unversioned path.
 *
 * @throws {AssertionError} when it is neither, or a fault
 */
export function judgeAny(api: Api, method: string, reply: Reply): Verdict {
  const { status } = reply;
  assert.notEqual(status, 500, "The gateway failed");
  assert.match(headerOf(reply, "X-Request-Id") ?? "", /^[!-~]{1,128}$/);
  assert.equal(headerOf(reply, "API-Version"), "v1");
  if (status === 308) {
    assert.match(headerOf(reply, "Location") ?? "", /^\/v1\/(sync|admin)\//);
    return { status };
  }
  if (status < 400 || method === "HEAD") return { status };
  const type = headerOf(reply, "Content-Type");
  const body = type === PROTOBUF_TYPE
    ? decodeError(reply.body)
    : JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(reply.body));
  const forms = ["Error", "IcebergError", "IcebergNoTokens"].map((name) => ({
    $ref: `#/components/schemas/${name}`,
  }));
  assert.equal(api.misfit({ anyOf: forms }, body), undefined);
  const code: unknown = body.code;
  if (code === undefined) return { status, body };
  assert.ok(isErrorCode(code));
  assert.equal(ERROR_STATUS[code], status);
  assert.ok(!FAULTS.has(code), `${code}: ${body.error}`);
  return { status, code, body };
}
