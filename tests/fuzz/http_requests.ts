/**
 * Requests by the description: right ones, and ones that are wrong in one or several places.
 *
 * @module
 */

import { encodePull, encodePush, PROTOBUF_TYPE, pullFromJson, pushFromJson } from "@lakesync/core";
import fc from "fast-check";
import { deflateSync, gzipSync } from "node:zlib";
import type { Api, ApiOperation, Json } from "./http_api.ts";
import { BAD } from "./http_tokens.ts";
import {
  bodyOf,
  type Break,
  breaks,
  broken,
  LAST_CURSOR,
  ODD_TEXTS,
  valueOf,
  writeJson,
} from "./http_values.ts";
import { concat, headerOf, type Reply, type WireRequest } from "./http_wire.ts";
import { GATEWAYS, tokenOf, TRIED } from "./http_world.ts";

/** Stands for the ETag of the last checkpoint. */
const LAST_ETAG = "@last-etag";

/** How a body travels. */
export type Packing =
  | "plain"
  | "gzip"
  | "deflate"
  | "cut gzip"
  | "gzip bomb"
  | "two gzips"
  | "not gzip"
  | "br"
  | "cut"
  | "bad UTF-8"
  | "odd bytes";

/** A request as it is found; everything that is random is in it. */
export interface Plan {
  /** The operation it is for. */
  readonly operation: ApiOperation;
  /** The kind of its token; empty: none. */
  readonly token: string;
  /** The gateway, for paths that have one. */
  readonly gatewayId: string;
  /** The body as JSON, before it is broken. */
  readonly value: Json;
  /** Values of the query and of headers, before they are broken. */
  readonly parameters: Readonly<Record<string, Json>>;
  /** Whether a body is sent as protobuf. */
  readonly protobuf: boolean;
  /** How the body is broken. */
  readonly bodyBreaks: readonly Break[];
  /** How its bytes are sent. */
  readonly packing: Packing;
  /** Parameters by name in place of right ones. */
  readonly oddParameters: Readonly<Record<string, string>>;
  /** Headers beside the right ones. */
  readonly oddHeaders: readonly (readonly [name: string, value: string])[];
  /** In place of the method. */
  readonly oddMethod: string | undefined;
  /** Put into the path at a place. */
  readonly oddPath: readonly [text: string, place: number] | undefined;
}

const BOMB_BYTES = 64 * 1024 * 1024;
let bomb: Uint8Array | undefined;

function pack(packing: Packing, body: Uint8Array): [body: Uint8Array, encoding?: string] {
  switch (packing) {
    case "plain":
      return [body];
    case "gzip":
      return [gzipSync(body), "gzip"];
    case "deflate":
      return [deflateSync(body), "DEFLATE"];
    case "cut gzip":
      return [gzipSync(body).subarray(0, -3), "gzip"];
    case "gzip bomb":
      return [bomb ??= gzipSync(new Uint8Array(BOMB_BYTES)), "gzip"];
    case "two gzips":
      return [gzipSync(gzipSync(body)), "gzip, gzip"];
    case "not gzip":
      return [body, "gzip"];
    case "br":
      return [body, "br"];
    case "cut":
      return [body.subarray(0, Math.floor(body.length / 2))];
    case "bad UTF-8":
      return [concat(body, new Uint8Array([0xc0, 0xae, 0xed, 0xa0, 0x80]))];
    case "odd bytes":
      return [concat(new Uint8Array([0xff, 0x00, 0x80]), body)];
  }
}

function protobufOf(operation: string, value: Json): Uint8Array {
  try {
    return operation === "push"
      ? encodePush(pushFromJson(value, undefined))
      : encodePull(pullFromJson(value));
  } catch {
    return new TextEncoder().encode(writeJson(value)); // A broken one, or text that protobuf has not
  }
}

/** Whether nothing in it is wrong on purpose. */
export function isRight(plan: Plan): boolean {
  return plan.bodyBreaks.length === 0 &&
    ["plain", "gzip", "deflate"].includes(plan.packing) &&
    Object.keys(plan.oddParameters).length === 0 && plan.oddHeaders.length === 0 &&
    plan.oddMethod === undefined && plan.oddPath === undefined;
}

/** What a run knows from the answers so far, so that later requests fit them. */
export interface Memory {
  /** The cursor that the last pull gave. */
  cursor: string;
  /** The ETag of the last checkpoint. */
  etag: string;
  /** The last mutationId consumed, by clientId. */
  readonly lastMutationIds: Map<string, number>;
}

/** Puts what a run knows into a right body: the cursor, and mutationIds that follow. */
function recall(value: Json, memory: Memory): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const { cursor, transactions, clientId } = value;
  if (cursor === LAST_CURSOR) return { ...value, cursor: memory.cursor };
  if (!Array.isArray(transactions) || transactions[0]?.mutationId !== 1) return value;
  const last = memory.lastMutationIds.get(clientId) ?? 0;
  return {
    ...value,
    transactions: transactions.map((transaction, i) => ({
      ...transaction,
      mutationId: last + 1 + i,
    })),
  };
}

/** Learns from a right request's answer. */
export function learn({ operation, value }: Plan, reply: Reply, body: Json, memory: Memory): void {
  memory.etag = headerOf(reply, "ETag") ?? memory.etag;
  if (typeof body?.cursor === "string") memory.cursor = body.cursor;
  if (operation.id === "push" && typeof body?.lastMutationId === "number") {
    memory.lastMutationIds.set(value.clientId, body.lastMutationId);
  }
}

/** A pull that would rightly be held tells nothing and takes long. */
function atOnce(value: Json): Json {
  return Number.isSafeInteger(value?.wait) && value.wait > 0 ? { ...value, wait: 0 } : value;
}

function sentValue({ value, bodyBreaks }: Plan, memory: Memory): Json {
  const recalled = recall(value, memory);
  return atOnce(bodyBreaks.length === 0 ? recalled : broken(recalled, bodyBreaks));
}

/** The body as JSON, as it is sent. */
export function bodyValue(plan: Plan, memory: Memory): Json {
  return JSON.parse(writeJson(sentValue(plan, memory)));
}

function textOf(value: Json): string {
  return encodeURIComponent(String(value).toWellFormed());
}

function targetOf(plan: Plan, memory: Memory): string {
  const { operation, gatewayId, parameters, oddParameters, oddPath } = plan;
  let path = operation.path.replace("{gatewayId}", gatewayId);
  if (oddPath !== undefined) {
    const at = oddPath[1] % (path.length + 1);
    path = path.slice(0, at) + oddPath[0] + path.slice(at);
  }
  const query: string[] = [];
  for (const { name, in: place } of operation.parameters) {
    if (place !== "query") continue;
    const given = oddParameters[name] ?? parameters[name];
    if (name === "wait" && /^[1-9]\d*$/.test(String(given))) continue; // It would be held
    const value = given === LAST_CURSOR ? memory.cursor : given;
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined) query.push(`${name}=${textOf(one)}`);
    }
  }
  return query.length === 0 ? path : `${path}?${query.join("&")}`;
}

/**
 * Writes a request.
 *
 * @param plan what it is
 * @param memory what the run knows
 * @returns it as it is sent
 */
export function requestOf(plan: Plan, memory: Memory): WireRequest {
  const { operation, token, parameters, protobuf } = plan;
  const headers: (readonly [string, string])[] = [];
  if (token !== "") headers.push(["Authorization", `Bearer ${tokenOf(token)}`]);
  for (const { name, in: place } of operation.parameters) {
    const given = plan.oddParameters[name] ?? parameters[name];
    if (place === "header" && given !== undefined) {
      headers.push([name, given === LAST_ETAG ? memory.etag : String(given)]);
    }
  }
  let body: Uint8Array | undefined;
  if (operation.body !== undefined) {
    const sent = sentValue(plan, memory);
    const [packed, encoding] = pack(
      plan.packing,
      protobuf ? protobufOf(operation.id, sent) : new TextEncoder().encode(writeJson(sent)),
    );
    body = packed;
    headers.push(["Content-Type", protobuf ? PROTOBUF_TYPE : "application/json"]);
    if (encoding !== undefined) headers.push(["Content-Encoding", encoding]);
  }
  const odd = new Set(plan.oddHeaders.map(([name]) => name));
  return {
    method: plan.oddMethod ?? operation.method,
    target: targetOf(plan, memory),
    headers: [...headers.filter(([name]) => !odd.has(name)), ...plan.oddHeaders],
    ...(body === undefined ? {} : { body }),
  };
}

/** Text that a header can carry: what is in one byte and no control character but tab. */
const headerText = fc.oneof(
  fc.constantFrom(...ODD_TEXTS).map((text) => text.replaceAll(/[^\t -~\x80-\xff]/g, "?").trim()),
  fc.string({ unit: fc.constantFrom(...'aZ0,;=*"\\ /\xe9\xff\t'.split("")), maxLength: 20 }),
);

const oddHeader: fc.Arbitrary<readonly [string, string]> = fc.oneof(
  fc.tuple(
    fc.constantFrom(
      "Content-Type",
      "Content-Encoding",
      "Accept",
      "Accept-Encoding",
      "X-Request-Id",
      "Idempotency-Key",
      "Range",
      "If-Range",
      "If-None-Match",
      "Authorization",
      "Upgrade",
      "Sec-WebSocket-Protocol",
      "Origin",
      "Cookie",
      "X-Forwarded-For",
      "Expect",
    ),
    headerText,
  ),
  fc.constantFrom<readonly [string, string]>(
    ["Content-Type", "text/plain"],
    ["Content-Type", "application/json; charset=utf-16"],
    ["Content-Type", "multipart/form-data; boundary=x"],
    ["Content-Type", PROTOBUF_TYPE],
    ["Content-Type", "application/json, application/json"],
    ["Accept", PROTOBUF_TYPE],
    ["Accept", "text/html;q=0.9, application/json;q=0"],
    ["Accept", `*/*;q=0, ${PROTOBUF_TYPE};q=9e9`],
    ["Accept-Encoding", "gzip;q=1, br;q=0"],
    ["Accept-Encoding", "zstd"],
    ["Authorization", "Basic YWxpY2U6YQ=="],
    ["Authorization", "Bearer"],
    ["Authorization", `Bearer ${"e".repeat(20_000)}`],
    ["Range", "bytes=0-"],
    ["Range", "chunks=99999999999999999999-"],
    ["X-Request-Id", "x".repeat(200)],
    ["X-Large", "y".repeat(20_000)],
    ["Upgrade", "websocket"],
    ["Upgrade", "h2c"],
    ["Sec-WebSocket-Protocol", "lakesync.v1+json, bearer.x"],
  ),
);

const path = fc.tuple(
  fc.constantFrom(
    "/",
    "//",
    "/..",
    "/%2e%2e/",
    "%00",
    "%",
    "%zz",
    "%c0%ae",
    "%F0%9F%A7%80",
    "\\",
    ";a=b",
    "#a",
    "?",
    ":",
    "*",
    "..",
    "a".repeat(300),
    "{gatewayId}",
    "\xe9",
  ),
  fc.nat(60),
);

const method = fc.constantFrom("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY");

const packing: fc.Arbitrary<Packing> = fc.constantFrom(
  "gzip",
  "deflate",
  "cut gzip",
  "gzip bomb",
  "two gzips",
  "not gzip",
  "br",
  "cut",
  "bad UTF-8",
  "odd bytes",
);

function sometimes<T>(arbitrary: fc.Arbitrary<T>, otherwise: T, outOf: number): fc.Arbitrary<T> {
  return fc.oneof({ arbitrary: fc.constant(otherwise), weight: outOf - 1 }, {
    arbitrary,
    weight: 1,
  });
}

/** A token that does: for half of the clients' operations an admin's. */
function rightToken({ access }: ApiOperation): fc.Arbitrary<string> {
  if (access === "none") return fc.constantFrom("", "client");
  return access === "admin"
    ? fc.constant("admin")
    : fc.constantFrom("client", "client", "admin", "another client");
}

function parametersOf(api: Api, { parameters, access }: ApiOperation) {
  const names = parameters.filter(({ in: place }) => place !== "path");
  return fc.record(
    Object.fromEntries(names.map(({ name, schema }) => [name, parameterOf(api, name, schema)])),
    {
      requiredKeys: names.filter(({ required }) => required).map(({ name }) => name),
      noNullPrototype: true,
    },
  ).map((given) => access === "none" ? {} : given);
}

function parameterOf(api: Api, name: string, schema: Json): fc.Arbitrary<Json> {
  switch (name) {
    case "clientId":
      return fc.constantFrom("phone-1", "phone-2");
    case "wait":
      return fc.constant(0);
    case "cursor":
      return fc.constantFrom("", "x", LAST_CURSOR, LAST_CURSOR, LAST_CURSOR);
    case "force":
      return fc.constantFrom("true", "false");
    case "Range":
      return fc.constantFrom("chunks=0-", "chunks=1-", "bytes=0-5");
    case "Idempotency-Key":
      return fc.constantFrom("k1", "k2");
    case "If-Range":
    case "If-None-Match":
      return fc.constantFrom(LAST_ETAG, LAST_ETAG, '"x"');
    case "Upgrade":
      return fc.constantFrom("websocket", "h2c");
    case "Sec-WebSocket-Protocol":
      return fc.constantFrom("lakesync.v1", "lakesync.v1+json, x", "x");
    default:
      return valueOf(api, schema).map((value) =>
        typeof value === "string" ? value.replaceAll(/[^!-~]/g, "~").trim() : value
      );
  }
}

/**
 * A right request, to be wrong in one place.
 *
 * @param operation what it is for
 * @param wrong what is other than right
 */
export function rightPlanOf(operation: ApiOperation, wrong: Partial<Plan> = {}): Plan {
  return {
    operation,
    token: operation.access === "none" ? "" : operation.access,
    gatewayId: TRIED,
    value: { clientId: "phone-1" },
    parameters: { clientId: "phone-1" },
    protobuf: false,
    bodyBreaks: [],
    packing: "plain",
    oddParameters: {},
    oddHeaders: [],
    oddMethod: undefined,
    oddPath: undefined,
    ...wrong,
  };
}

function rightPlan(api: Api, operation: ApiOperation): fc.Arbitrary<Plan> {
  const { body, id } = operation;
  const schema = body?.["application/json"]?.schema;
  return fc.record({
    operation: fc.constant({ ...operation, [fc.toStringMethod]: () => id }),
    token: rightToken(operation),
    gatewayId: fc.constantFrom(...GATEWAYS),
    value: schema === undefined ? fc.constant(null) : bodyOf(api, id, schema),
    parameters: parametersOf(api, operation),
    protobuf: body?.[PROTOBUF_TYPE] === undefined
      ? fc.constant(false)
      : sometimes(fc.constant(true), false, 4),
    bodyBreaks: fc.constant([]),
    packing: fc.constant("plain"),
    oddParameters: fc.constant({}),
    oddHeaders: fc.constant([]),
    oddMethod: fc.constant(undefined),
    oddPath: fc.constant(undefined),
  });
}

function wrongPlan(api: Api, operation: ApiOperation): fc.Arbitrary<Plan> {
  const names = operation.parameters.filter(({ in: place }) => place === "query");
  const oddParameter = names.length === 0 ? fc.constant({}) : fc.dictionary(
    fc.constantFrom(...names.map(({ name }) => name)),
    fc.constantFrom(...ODD_TEXTS),
    {
      maxKeys: 2,
      noNullPrototype: true,
    },
  );
  return rightPlan(api, operation).chain((plan) =>
    fc.record({
      ...Object.fromEntries(Object.entries(plan).map(([key, value]) => [key, fc.constant(value)])),
      token: sometimes(fc.constantFrom("", "client", ...Object.keys(BAD)), plan.token, 4),
      bodyBreaks: sometimes(breaks, [], 2),
      packing: sometimes(packing, "plain", 4),
      oddParameters: sometimes(oddParameter, {}, 3),
      oddHeaders: sometimes(fc.array(oddHeader, { minLength: 1, maxLength: 3 }), [], 3),
      oddMethod: sometimes(method, undefined, 8),
      oddPath: sometimes(path, undefined, 8),
    }) as unknown as fc.Arbitrary<Plan>
  );
}

/** How often an operation is asked for: what changes something most, probes least. */
function weightOf({ body, access }: ApiOperation): number {
  if (body !== undefined) return 6;
  return access === "none" ? 1 : 3;
}

function plans(
  api: Api,
  planOf: (api: Api, operation: ApiOperation) => fc.Arbitrary<Plan>,
): fc.Arbitrary<Plan> {
  return fc.oneof(
    ...api.operations.map((operation) => ({
      arbitrary: planOf(api, operation),
      weight: weightOf(operation) * (operation.id === "push" ? 3 : 1),
    })),
  );
}

/** Requests in which nothing is wrong on purpose. */
export function rightPlans(api: Api): fc.Arbitrary<Plan> {
  return plans(api, rightPlan);
}

/** Requests in which anything may be wrong. */
export function wrongPlans(api: Api): fc.Arbitrary<Plan> {
  return plans(api, wrongPlan);
}
