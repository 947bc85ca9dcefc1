/**
 * A request as data, and how it is written as bytes with what a run has learned so far.
 *
 * @module
 */

import { encodePull, encodePush, PROTOBUF_TYPE, pullFromJson, pushFromJson } from "@lakesync/core";
import { deflateSync, gzipSync } from "node:zlib";
import type { ApiOperation, Json } from "./http_api.ts";
import { type Break, broken, LAST_CURSOR, writeJson } from "./http_values.ts";
import { concat, headerOf, type Reply, type WireRequest } from "./http_wire.ts";
import { tokenOf } from "./http_world.ts";

/** Stands for the ETag of the last checkpoint. */
export const LAST_ETAG = "@last-etag";

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
  let path = operation.path.replace(/\{(?:gatewayId|namespace)\}/, gatewayId)
    .replaceAll(/[{}]/g, "");
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
