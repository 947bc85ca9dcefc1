/**
 * Requests by the description: right ones, and ones that are wrong in one or several places.
 *
 * @module
 */

import { PROTOBUF_TYPE } from "@lakesync/core";
import fc from "fast-check";
import type { Api, ApiOperation, Json } from "./http_api.ts";
import { LAST_ETAG, type Packing, type Plan } from "./http_requests.ts";
import { BAD } from "./http_tokens.ts";
import { bodyOf, breaks, LAST_CURSOR, ODD_TEXTS, valueOf } from "./http_values.ts";
import { GATEWAYS, TRIED } from "./http_world.ts";

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
