/**
 * What the routes of the Iceberg catalog take and answer, as data.
 *
 * @module
 */

import { ERROR_STATUS, type ErrorCode } from "@lakesync/core";
import { ICEBERG_TYPES } from "./iceberg_reply.ts";
import { CONTENT_TYPE } from "./media.ts";
import { answer, headersOf, json } from "./openapi_answers.ts";
import type { Answer, JsonSchema, Operation, Parameter } from "./openapi_model.ts";
import { ref } from "./openapi_schemas.ts";
import type { OperationId } from "./routes.ts";

const text: JsonSchema = { type: "string" };

function query(name: string, description: string): Parameter {
  return { name, in: "query", description, schema: text };
}

const paging: readonly Parameter[] = [
  query("pageToken", "A page is asked for, the first one by an empty text; else all are answered."),
  query("pageSize", "How many are on a page, 1,000 unless given."),
];

const there = answer("To HEAD: it is there.");

const ICEBERG_ERRORS: readonly ErrorCode[] = [
  "VALIDATION_ERROR",
  "AUTH_ERROR",
  "FORBIDDEN",
  "NOT_FOUND",
  "RATE_LIMITED",
  "INTERNAL_ERROR",
  "BACKPRESSURE",
  "DRAINING",
  "TIMEOUT",
];

function operation(
  summary: string,
  answers: Readonly<Record<string, Answer>>,
  parameters: readonly Parameter[] = [],
  errors: readonly ErrorCode[] = [],
): Operation {
  return {
    summary,
    tag: "iceberg",
    access: "admin",
    parameters,
    answers,
    errors: [...ICEBERG_ERRORS, ...errors],
  };
}

const etag = {
  ETag: { description: "Names what was answered.", required: true, schema: text },
};

/** The operations. */
export const ICEBERG_OPERATIONS: Readonly<
  Record<Extract<OperationId, `iceberg${string}`>, Operation>
> = {
  icebergConfig: operation(
    "Tell an engine where the tables of a warehouse are asked for",
    {
      200: answer(
        "What to configure.",
        json("IcebergConfig", {
          defaults: { "token-refresh-enabled": "false" },
          overrides: { prefix: "lake" },
          endpoints: ["GET /v1/{prefix}/namespaces"],
        }),
      ),
    },
    [query("warehouse", "The destination; needed where there are several.")],
  ),
  icebergTokens: {
    summary: "Say that tokens are not to be had here",
    tag: "iceberg",
    access: "none",
    answers: {
      400: answer("Always, in OAuth's form.", {
        [CONTENT_TYPE.json]: { schema: { anyOf: [ref("IcebergNoTokens"), ref("IcebergError")] } },
      }),
    },
    errors: ["RATE_LIMITED", "BACKPRESSURE", "DRAINING", "TIMEOUT"],
  },
  icebergNamespaces: operation(
    "List the gateways of a warehouse",
    {
      200: answer(
        "Those that the token is for.",
        json("IcebergNamespaces", { namespaces: [["default"]], "next-page-token": null }),
      ),
    },
    [query("parent", "There are no namespaces in a gateway's."), ...paging],
  ),
  icebergNamespace: operation("Find a gateway of a warehouse", {
    200: answer(
      "It is there.",
      json("IcebergNamespace", { namespace: ["default"], properties: {} }),
    ),
    204: there,
  }),
  icebergTables: operation(
    "List the tables of a gateway",
    {
      200: answer(
        "The tables.",
        json("IcebergTables", {
          identifiers: [{ namespace: ["default"], name: "todos" }],
          "next-page-token": null,
        }),
      ),
    },
    paging,
    ["ADAPTER_ERROR"],
  ),
  icebergTable: operation(
    "Load a table",
    {
      200: answer("The table as it is now.", json("IcebergTable"), etag),
      204: there,
      304: answer("It is as the caller has it.", undefined, etag),
    },
    [
      query("snapshots", "refs: only those that branches and tags name."),
      { name: "If-None-Match", in: "header", description: "The ETag it has.", schema: text },
    ],
    ["ADAPTER_ERROR"],
  ),
};

/** Values of the catalog's paths. */
export const ICEBERG_PATH_PARAMETERS: readonly Parameter[] = [
  ["warehouse", "The destination, as config says."],
  ["namespace", "The gateway."],
  ["table", "The table."],
].map(([name = "", description = ""]) => ({
  name,
  in: "path",
  description,
  required: true,
  schema: text,
}));

/**
 * The answer that refuses a request, in the catalog's form.
 *
 * @param status its status
 * @param codes what may be wrong; all have this status
 */
export function icebergRefusal(status: number, codes: readonly ErrorCode[]): Answer {
  return {
    description: codes.map((code) => ICEBERG_TYPES[code] ?? code).join(", "),
    headers: headersOf(status),
    content: json("IcebergError"),
  };
}

/**
 * The answers that refuse a request, in the catalog's form.
 *
 * @param codes what may be wrong
 * @returns one answer for each status
 */
export function icebergRefusals(codes: readonly ErrorCode[]): Record<string, Answer> {
  const byStatus = Map.groupBy(codes, (code) => ERROR_STATUS[code]);
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [String(status), icebergRefusal(status, codes)]),
  );
}
