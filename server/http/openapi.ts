/**
 * The OpenAPI 3.1 description of a server, put together from the routes and what each takes and
 * answers, and `GET /openapi.json`. What stays in docs/protocol.md: frames of live connections, the
 * frames of a checkpoint, protobuf bodies.
 *
 * @module
 */

import type { ErrorCode } from "@lakesync/core";
import { gzipSync } from "node:zlib";
import manifest from "../deno.json" with { type: "json" };
import type { Handler } from "./context.ts";
import { byQuality } from "./media.ts";
import { WITHOUT_KEPT_ANSWER } from "./idempotency.ts";
import { answer, headerRefs, HEADERS, RATE_HEADERS, refusal, refusals } from "./openapi_answers.ts";
import { ICEBERG_PATH_PARAMETERS, icebergRefusal, icebergRefusals } from "./openapi_iceberg.ts";
import type { Answer, Operation, Parameter, Reference } from "./openapi_model.ts";
import { OPERATIONS } from "./openapi_operations.ts";
import { SCHEMAS } from "./openapi_schemas.ts";
import { type Method, METHODS, type OperationId, ROUTES } from "./routes.ts";

const ABOUT = "A gateway of LakeSync. Bodies of push and pull are JSON as described here or " +
  "protobuf (lakesync.proto), by Content-Type and Accept; they may come compressed by gzip or " +
  "deflate. /sync/... and /admin/... without a version answer 308 to /v1/.... A method that a " +
  "path has not is answered as in components.responses.MethodNotAllowed, a path that is not here " +
  "as in NotFound, one without a version as in Moved; before its route is known a request may be " +
  "refused with 400, 429 or 503. GET routes take HEAD too. Errors under /v1/iceberg have the form " +
  "of Iceberg's catalogs, a method that a path there has not that of IcebergMethodNotAllowed.";

/** An operation as OpenAPI writes it. */
export interface OperationObject {
  /** Names it. */
  readonly operationId: OperationId;
  /** In a few words. */
  readonly summary: string;
  /** What a caller must know beside it. */
  readonly description?: string;
  /** Its group. */
  readonly tags: readonly string[];
  /** Which tokens it needs; an empty list: none. */
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  /** Beside the path's own. */
  readonly parameters: readonly (Parameter | Reference)[];
  /** The body. */
  readonly requestBody?: { readonly required: true; readonly content: Operation["body"] };
  /** Answers by status. */
  readonly responses: Readonly<Record<string, Answer>>;
}

/** The methods of a path, in lower case, and its own parameters. */
export type PathItem = Readonly<Record<string, OperationObject | readonly Parameter[]>>;

/** The description. */
export interface OpenApiDocument {
  /** The version of OpenAPI. */
  readonly openapi: "3.1.0";
  /** What is described. */
  readonly info: Readonly<Record<string, string | object>>;
  /** Operations by path and method. */
  readonly paths: Readonly<Record<string, PathItem>>;
  /** What the operations point to. */
  readonly components: Readonly<Record<string, Readonly<Record<string, object>>>>;
  /** The groups. */
  readonly tags: readonly { readonly name: string; readonly description: string }[];
}

const gatewayId: Parameter = {
  name: "gatewayId",
  in: "path",
  description: "The gateway.",
  required: true,
  schema: { type: "string", pattern: "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$" },
};

const requestId: Parameter = {
  name: "X-Request-Id",
  in: "header",
  description: "Kept as the answer's when it is 1 to 128 visible ASCII characters.",
  schema: { type: "string", pattern: "^[!-~]{1,128}$" },
};

const pathParameters: readonly Parameter[] = [gatewayId, ...ICEBERG_PATH_PARAMETERS];

const idempotencyKey: Parameter = {
  name: "Idempotency-Key",
  in: "header",
  description: "The same key gives the same answer for 24 hours.",
  schema: { type: "string", pattern: "^[ -~]{1,255}$" },
};

/** Whether an operation has one effect however often it is sent with one key. */
function isIdempotent(method: Method, operationId: OperationId): boolean {
  return operationId === "push" ||
    method !== "GET" && WITHOUT_KEPT_ANSWER[operationId] === undefined;
}

function withHeaders(
  answers: Readonly<Record<string, Answer>>,
  names: readonly string[],
): Record<string, Answer> {
  return Object.fromEntries(
    Object.entries(answers).map(([status, answer]) => [
      status,
      { ...answer, headers: { ...answer.headers, ...headerRefs(names) } },
    ]),
  );
}

function describe(method: Method, operationId: OperationId): OperationObject {
  const { summary, description, tag, access, parameters = [], body, answers, errors } =
    OPERATIONS[operationId];
  const isKept = isIdempotent(method, operationId);
  const more = [
    ...(tag === "health" ? [] : Object.keys(RATE_HEADERS)),
    ...(isKept ? ["Idempotency-Replayed"] : []),
  ];
  const codes = new Set<ErrorCode>([
    // A Host that is none is refused whatever is asked.
    "VALIDATION_ERROR",
    ...errors,
    ...(isKept ? ["IDEMPOTENCY_MISMATCH"] as const : []),
  ]);
  return {
    operationId,
    summary,
    ...(description === undefined ? {} : { description }),
    tags: [tag],
    security: access === "none" ? [] : [{ bearer: [access] }],
    parameters: [...parameters, ...(isKept ? [idempotencyKey] : []), requestId],
    ...(body === undefined ? {} : { requestBody: { required: true, content: body } }),
    responses: withHeaders({
      ...(tag === "iceberg" ? icebergRefusals : refusals)([...codes]),
      ...answers,
    }, more),
  };
}

function pathItem(path: string): PathItem {
  const item: Record<string, OperationObject | readonly Parameter[]> = {};
  const own = pathParameters.filter(({ name }) => path.includes(`{${name}}`));
  if (own.length > 0) item["parameters"] = own;
  for (const method of METHODS) {
    const operationId = ROUTES[path]?.[method];
    if (operationId !== undefined) item[method.toLowerCase()] = describe(method, operationId);
  }
  return item;
}

/**
 * Puts the description together.
 *
 * @returns an OpenAPI 3.1 document
 */
export function describeApi(): OpenApiDocument {
  return {
    openapi: "3.1.0",
    info: {
      title: "LakeSync",
      version: manifest.version,
      description: ABOUT,
      license: { name: manifest.license, identifier: manifest.license },
    },
    paths: Object.fromEntries(Object.keys(ROUTES).map((path) => [path, pathItem(path)])),
    components: {
      schemas: SCHEMAS,
      headers: HEADERS,
      responses: withHeaders({
        MethodNotAllowed: refusal(405, ["METHOD_NOT_ALLOWED"]),
        NotFound: refusal(404, ["NOT_FOUND"]),
        Moved: answer("The path is now below /v1; the method stays.", undefined, {
          Location: { description: "The path to use.", required: true, schema: { type: "string" } },
          Deprecation: {
            description: "Since when the path is deprecated (RFC 9745).",
            required: true,
            schema: { type: "string", pattern: "^@[0-9]+$" },
          },
          Sunset: {
            description: "When it ends (RFC 8594).",
            required: true,
            schema: { type: "string", pattern: " GMT$" },
          },
        }),
        Preflight: answer("To OPTIONS of a page whose origin is configured (CORS)."),
        IcebergMethodNotAllowed: icebergRefusal(405, ["METHOD_NOT_ALLOWED"]),
      }, Object.keys(RATE_HEADERS)),
      securitySchemes: {
        bearer: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description: "Claims sub, gw (a gateway's id or *), exp; role client or admin.",
        },
      },
    },
    tags: [
      { name: "sync", description: "What clients do." },
      { name: "admin", description: "What tokens of role admin do. JSON only." },
      {
        name: "iceberg",
        description: "The lakes as a read-only Iceberg REST catalog, for tokens of role admin.",
      },
      { name: "health", description: "Without a token." },
    ],
  };
}

/** The description as it is sent; it is long, and anybody may ask for it as often as they like. */
let written: { readonly plain: string; readonly gzipped: Uint8Array<ArrayBuffer> } | undefined;

function writeDescription(): NonNullable<typeof written> {
  const plain = JSON.stringify(describeApi());
  return { plain, gzipped: new Uint8Array(gzipSync(plain)) };
}

/** `GET /openapi.json`. */
export const descriptionHandler: Handler = (c) => {
  const { plain, gzipped } = written ??= writeDescription();
  const accepted = byQuality(c.req.header("Accept-Encoding") ?? "");
  const isGzipped = accepted.some(({ name, quality }) => name === "gzip" && quality > 0);
  return new Response(isGzipped ? gzipped : plain, {
    headers: {
      "Content-Type": "application/json",
      // The runtime would compress it again for each who asks.
      "Cache-Control": "public, max-age=300, no-transform",
      "Vary": "Accept-Encoding",
      ...(isGzipped ? { "Content-Encoding": "gzip" } : {}),
    },
  });
};
