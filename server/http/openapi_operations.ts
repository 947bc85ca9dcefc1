/**
 * What each route takes and answers, as data. Which routes there are is in `routes.ts`.
 *
 * @module
 */

import type { ErrorCode, JsonValue } from "@lakesync/core";
import { AUDIT_ACTIONS } from "../audit/actions.ts";
import { CHECKPOINT_TYPE } from "./checkpoint.ts";
import { answer, both, json } from "./openapi_answers.ts";
import { ICEBERG_OPERATIONS } from "./openapi_iceberg.ts";
import type { Header, JsonSchema, Operation, Parameter } from "./openapi_model.ts";
import { ref } from "./openapi_schemas.ts";
import type { OperationId } from "./routes.ts";

/** What may be wrong with any request to a gateway. */
const ANY: readonly ErrorCode[] = [
  "VALIDATION_ERROR",
  "AUTH_ERROR",
  "FORBIDDEN",
  "NOT_FOUND",
  "RATE_LIMITED",
  "INTERNAL_ERROR",
  "ADAPTER_ERROR",
  "BACKPRESSURE",
  "DRAINING",
  "TIMEOUT",
];

/** The same where nothing is looked for. */
const ANY_BUT_MISSING: readonly ErrorCode[] = ANY.filter((code) => code !== "NOT_FOUND");

/** What may be wrong with any body. */
const BODY: readonly ErrorCode[] = ["PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"];

function query(
  name: string,
  description: string,
  schema: JsonSchema,
  required = false,
): Parameter {
  return { name, in: "query", description, schema, ...(required ? { required } : {}) };
}

function header(name: string, description: string, schema: JsonSchema): Parameter {
  return { name, in: "header", description, schema };
}

const clientId = query("clientId", "The database that asks.", ref("ClientId"), true);
/** A number that JavaScript holds exactly. */
const whole: JsonSchema = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER };

const schemaVersion = query(
  "schemaVersion",
  "The schema version the client has; 0: the newest.",
  { type: "integer", minimum: 0, maximum: 999_999_999_999_999 },
);

/** The pull's fields in a query, as they are in its body. */
const pullQuery: readonly Parameter[] = [
  clientId,
  query("cursor", "Where the last pull ended; left out: everything.", { type: "string" }),
  query("limit", "Rows of one page, 1,000 unless given; more than 10,000 is cut to that.", {
    type: "integer",
    minimum: 1,
  }),
  query("wait", "How long an empty answer is held, in seconds; more than 30 is cut to that.", {
    type: "integer",
    minimum: 0,
  }),
  schemaVersion,
  query("repair", "Ids of buckets to be sent whole; may be repeated.", {
    type: "array",
    maxItems: 100,
    items: { type: "string", maxLength: 8192 },
  }),
];

const schemaExample: JsonValue = {
  version: 1,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        owner: "string",
        title: "string",
        done: "boolean",
        votes: { type: "integer", merge: "counter" },
      },
    },
  },
};

const rulesExample: JsonValue = {
  buckets: [{
    name: "mine",
    tables: ["todos"],
    filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
  }],
  write: [{
    tables: ["todos"],
    ops: ["INSERT", "UPDATE", "DELETE"],
    filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
  }],
};

const pushExample: JsonValue = {
  clientId: "phone-1",
  schemaVersion: 1,
  transactions: [{
    mutationId: 1,
    deltas: [{
      op: "INSERT",
      table: "todos",
      rowId: "t1",
      columns: { title: "Buy milk", done: false },
    }],
  }],
};

const pullErrors: readonly ErrorCode[] = [
  ...ANY,
  "CLIENT_NOT_YOURS",
  "SCHEMA_CONFLICT",
  "RESYNC_REQUIRED",
];

const page = { 200: answer("A page of changes.", both("PullResult")) };

const rulesState = {
  "X-LakeSync-Rules": {
    description: "Whether these rules hold (active) or others are being built.",
    required: true,
    schema: { enum: ["active", "building"] },
  },
};

const chunks: Header = {
  description: "Chunks may be asked for.",
  required: true,
  schema: { const: "chunks" },
};

function probe(summary: string, schema: string, unready?: string): Operation {
  const retry = {
    "Retry-After": {
      description: "Seconds after which to look again.",
      required: true,
      schema: { type: "string", pattern: "^[1-9][0-9]*$" },
    },
  };
  return {
    summary,
    tag: "health",
    access: "none",
    answers: {
      200: answer("Yes.", json(schema)),
      ...(unready === undefined ? {} : { 503: answer(unready, json(schema), retry) }),
    },
    errors: [],
  };
}

const alive = probe("Whether the process answers", "Alive");
const ready: Operation = {
  ...probe("Whether requests are welcome", "Readiness", "Not now; reason says why."),
  parameters: [
    query("exclude", "destinations: they are told and do not count.", { enum: ["destinations"] }),
  ],
};

/** The operations. */
export const OPERATIONS: Readonly<Record<OperationId, Operation>> = {
  push: {
    summary: "Commit transactions of a client",
    description: "Answered when they are durable. Sending them again has no second effect.",
    tag: "sync",
    access: "client",
    body: both("Push", pushExample),
    answers: { 200: answer("What came of them.", both("PushResult")) },
    errors: [
      ...ANY,
      ...BODY,
      "CLIENT_NOT_YOURS",
      "MUTATION_GAP",
      "CLIENT_FORKED",
      "SCHEMA_CONFLICT",
      "SCHEMA_ERROR",
    ],
  },
  pull: {
    summary: "Read what changed since a cursor",
    tag: "sync",
    access: "client",
    parameters: pullQuery,
    answers: page,
    errors: pullErrors,
  },
  pullByPost: {
    summary: "Read what changed since a cursor, asked by a body",
    tag: "sync",
    access: "client",
    body: both("Pull", { clientId: "phone-1", limit: 100 }),
    answers: page,
    errors: [...pullErrors, ...BODY],
  },
  checkpoint: {
    summary: "Stream the large buckets of a first pull",
    tag: "sync",
    access: "client",
    parameters: [
      clientId,
      schemaVersion,
      header("Range", "chunks=<n>-: from chunk n on, with If-Range.", { type: "string" }),
      header("If-Range", "The ETag that the range is of.", { type: "string" }),
      header("If-None-Match", "ETags that the client has.", { type: "string" }),
    ],
    answers: {
      200: answer("Frames from the first chunk on.", { [CHECKPOINT_TYPE]: {} }, {
        "ETag": { description: "Names the stream.", required: true, schema: { type: "string" } },
        "Accept-Ranges": chunks,
      }),
      206: answer("Frames from the chunk that was asked for.", { [CHECKPOINT_TYPE]: {} }, {
        "ETag": { description: "Names the stream.", required: true, schema: { type: "string" } },
        "Accept-Ranges": chunks,
        "Content-Range": {
          description: "The chunks it has.",
          required: true,
          schema: { type: "string", pattern: "^chunks [0-9]+-/\\*$" },
        },
      }),
      304: answer("The client has it.", undefined, {
        "ETag": { description: "Names the stream.", required: true, schema: { type: "string" } },
      }),
    },
    errors: [...ANY, "CLIENT_NOT_YOURS", "SCHEMA_CONFLICT"],
  },
  connect: {
    summary: "Open a live connection",
    description:
      "A WebSocket handshake that offers lakesync.v1 or lakesync.v1+json, and the token " +
      "as bearer.<token> where no Authorization header can be set.",
    tag: "sync",
    access: "client",
    parameters: [
      header("Upgrade", "websocket", { type: "string" }),
      header("Sec-WebSocket-Protocol", "What is offered.", { type: "string" }),
    ],
    answers: { 101: answer("Frames follow.") },
    errors: ANY,
  },
  getSchema: {
    summary: "Read the schema",
    tag: "admin",
    access: "admin",
    answers: { 200: answer("The newest schema.", json("Schema", schemaExample)) },
    errors: ANY,
  },
  putSchema: {
    summary: "Put a schema, and make the gateway if need be",
    tag: "admin",
    access: "admin",
    parameters: [
      query("force", "true: clients that are still there may lose what it drops.", {
        type: "string",
      }),
    ],
    body: json("Schema", schemaExample),
    answers: { 200: answer("The schema as it is stored.", json("Schema")) },
    errors: [...ANY_BUT_MISSING, ...BODY, "SCHEMA_CONFLICT", "SCHEMA_ERROR"],
  },
  getRules: {
    summary: "Read the sync rules",
    tag: "admin",
    access: "admin",
    answers: { 200: answer("The rules that hold.", json("Rules", rulesExample), rulesState) },
    errors: ANY,
  },
  putRules: {
    summary: "Put sync rules",
    tag: "admin",
    access: "admin",
    body: json("Rules", rulesExample),
    answers: {
      200: answer("They hold.", json("Rules"), rulesState),
      202: answer("Rows are still being placed by them.", json("Rules"), rulesState),
    },
    errors: [...ANY, ...BODY, "SCHEMA_ERROR"],
  },
  explain: {
    summary: "Tell why a user sees a row or not, and may write it or not",
    tag: "admin",
    access: "admin",
    body: json("Question", { claims: { sub: "alice" }, table: "todos", rowId: "t1" }),
    answers: { 200: answer("The reasons.", json("Explanation")) },
    errors: [...ANY, ...BODY, "SCHEMA_ERROR"],
  },
  getStats: {
    summary: "Count what a gateway holds",
    tag: "admin",
    access: "admin",
    answers: { 200: answer("The counts.", json("Stats")) },
    errors: ANY,
  },
  getAccess: {
    summary: "Read who and what is kept out",
    tag: "admin",
    access: "admin",
    answers: { 200: answer("The lists.", json("Access")) },
    errors: ANY,
  },
  changeAccess: {
    summary: "Keep users, devices or tables out, or let them in again",
    description: "When it is answered, it holds in the process that was asked, and live " +
      "connections of those who are denied are closed with 4403; others that share the store " +
      "follow within a second.",
    tag: "admin",
    access: "admin",
    body: {
      "application/json": {
        schema: ref("AccessChange"),
        example: { deny: { clients: ["phone-1"] } },
      },
    },
    answers: { 200: answer("The lists as they are now.", json("Access")) },
    errors: [...ANY, ...BODY],
  },
  getCursors: {
    summary: "Read how far sources and destinations are",
    description: "Of a destination the position is told that it had when it was written to last, " +
      "as far as the gateway knows; it goes by what the destination says itself.",
    tag: "admin",
    access: "admin",
    answers: { 200: answer("The cursors.", json("Cursors")) },
    errors: ANY,
  },
  resetCursor: {
    summary: "Forget a cursor",
    description: "A source is read from its beginning then. A destination keeps the changes it " +
      "has; a database is filled from all rows anew (`filled`), and it is answered when it has " +
      "noted that; a lake is asked again where it stands.",
    tag: "admin",
    access: "admin",
    body: {
      "application/json": {
        schema: ref("CursorName"),
        example: { name: "destination:lake" },
      },
    },
    answers: { 200: answer("The cursor was forgotten.", json("CursorReset")) },
    errors: [...ANY, ...BODY, "ADAPTER_ERROR"],
  },
  flush: {
    summary: "Write to all destinations now",
    tag: "admin",
    access: "admin",
    answers: {
      200: answer("How the destinations stand, after 25 seconds at most.", json("FlushResult")),
    },
    errors: [...ANY, ...BODY],
  },
  getDestinations: {
    summary: "Tell how the destinations stand, and which rows they did not take",
    tag: "admin",
    access: "admin",
    answers: { 200: answer("The destinations.", json("DestinationReport")) },
    errors: ANY,
  },
  getTail: {
    summary: "Read what was committed after a place",
    description: "For those who read a destination and want what it does not have yet.",
    tag: "admin",
    access: "admin",
    parameters: [
      query("after", "Entries after this commit; from the beginning unless given.", whole),
      query("slice", "Only after this slice of it.", whole),
    ],
    answers: { 200: answer("Entries of the log; none at its end.", json("Tail")) },
    errors: ANY,
  },
  listGateways: {
    summary: "List the gateways that the token is for",
    tag: "admin",
    access: "admin",
    answers: { 200: answer("The gateways.", json("Gateways")) },
    errors: ANY_BUT_MISSING,
  },
  getAudit: {
    summary: "Read what admins did",
    description: "The newest entries first. A token for one gateway is told of that gateway.",
    tag: "admin",
    access: "admin",
    parameters: [
      query("from", "Entries at or after this time.", { type: "string", format: "date-time" }),
      query("to", "Entries before this time.", { type: "string", format: "date-time" }),
      query("gateway", "Entries about this gateway.", { type: "string" }),
      query("who", "Entries of this user.", { type: "string" }),
      query("what", "Entries of this action.", { enum: Object.keys(AUDIT_ACTIONS) }),
      query("limit", "Entries of one page, 100 unless given; more than 1,000 is cut to that.", {
        type: "integer",
        minimum: 1,
      }),
      query("cursor", "Where the last page ended.", { type: "string" }),
    ],
    answers: { 200: answer("Entries; a page may have few or none, and go on.", json("AuditLog")) },
    errors: ANY_BUT_MISSING,
  },
  ...ICEBERG_OPERATIONS,
  getLivez: alive,
  getHealth: { ...alive, summary: "Another name of /livez" },
  getStartupz: probe("Whether the stores are open", "Startup", "Not yet."),
  getReady: ready,
  getHealthReady: { ...ready, summary: "Another name of /ready" },
  getMetrics: {
    summary: "Tell Prometheus how the server is doing",
    tag: "health",
    access: "none",
    answers: { 200: answer("Text of Prometheus, version 0.0.4.", { "text/plain": {} }) },
    errors: [],
  },
  getDescription: {
    summary: "Read this description",
    tag: "health",
    access: "none",
    answers: { 200: answer("OpenAPI 3.1.", { "application/json": {} }) },
    errors: [],
  },
};
