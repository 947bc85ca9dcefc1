/**
 * The JSON forms of the protocol as JSON Schemas, by name; docs/protocol.md in the words of a
 * machine. Requests are closed (an unknown field is refused), answers are open (a later gateway
 * may say more).
 *
 * @module
 */

import {
  DEFAULT_LIMITS,
  ERROR_STATUS,
  MAX_BUCKET_ID_LENGTH,
  MAX_REPAIR_BUCKETS,
  MAX_WAIT_SECONDS,
  REJECTION_CODES,
} from "@lakesync/core";
import { AUDIT_ACTIONS } from "../audit/actions.ts";
import { ICEBERG_SCHEMAS } from "./openapi_iceberg_schemas.ts";
import type { JsonSchema } from "./openapi_model.ts";

const whole = (minimum: number): JsonSchema => ({
  type: "integer",
  minimum,
  maximum: Number.MAX_SAFE_INTEGER,
});

/** A field that may be null, which says the same as leaving it out. */
const nullable = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, { type: "null" }] });

const text: JsonSchema = { type: "string" };
const flag: JsonSchema = { type: "boolean" };

/** Points to a schema of {@linkcode SCHEMAS}. */
export function ref(name: string): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}

function open(required: readonly string[], properties: JsonSchema): JsonSchema {
  return { type: "object", required, properties };
}

function closed(required: readonly string[], properties: JsonSchema): JsonSchema {
  return { ...open(required, properties), additionalProperties: false };
}

function listOf(items: JsonSchema, bounds: JsonSchema = {}): JsonSchema {
  return { type: "array", items, ...bounds };
}

function mapOf(values: JsonSchema): JsonSchema {
  return { type: "object", additionalProperties: values };
}

const IDENTIFIER = "^[A-Za-z_][A-Za-z0-9_]{0,63}$";

const writes: Readonly<Record<string, JsonSchema>> = {
  ClientId: {
    ...text,
    pattern: "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$",
    description: "Names one database on one device; belongs to the sub that used it first.",
  },
  Uint64: {
    ...text,
    pattern: "^(0|[1-9][0-9]{0,19})$",
    description: "A 64-bit number in decimal.",
  },
  Digest: { ...text, pattern: "^[0-9a-f]{64}$", description: "A SHA-256 in hex." },
  Link: {
    ...text,
    pattern: "^(|[0-9a-f]{64})$",
    description: "A chain in hex; empty before the first transaction.",
  },
  Op: { enum: ["INSERT", "UPDATE", "DELETE"] },
  Columns: {
    ...mapOf({}),
    description: "Values by column, each in the JSON form of its column's type.",
  },
  Delta: closed(["op", "table", "rowId"], {
    op: ref("Op"),
    table: text,
    rowId: { ...text, description: "The key's value; several: the JSON array of them." },
    clientId: { description: "Not read; the push says whose it is." },
    columns: nullable(ref("Columns")),
    hlc: nullable(ref("Uint64")),
    deltaId: nullable(ref("Digest")),
    written: nullable(ref("Uint64")),
  }),
  Transaction: {
    ...closed(["mutationId", "deltas"], {
      mutationId: whole(1),
      deltas: listOf(ref("Delta")),
      part: nullable(whole(1)),
      parts: nullable(whole(1)),
      chain: nullable(ref("Digest")),
      refused: nullable(ref("RefusedBefore")),
    }),
    description: "One local transaction, or with part and parts one part of a large one.",
  },
  RefusedBefore: {
    ...closed(["previous", "code", "message", "delta"], {
      previous: ref("Link"),
      code: { enum: REJECTION_CODES },
      message: text,
      delta: whole(0),
    }),
    description: "Of a transaction, without its deltas, that a gateway refused and has forgotten.",
  },
  Push: closed(["clientId", "transactions"], {
    clientId: ref("ClientId"),
    schemaVersion: nullable(whole(0)),
    transactions: listOf(ref("Transaction"), { maxItems: DEFAULT_LIMITS.maxPushTransactions }),
    refusalsSeen: nullable(whole(0)),
    origin: nullable(ref("Origin")),
  }),
  Origin: {
    ...closed(["clientId", "mutationId", "chain", "next"], {
      clientId: ref("ClientId"),
      mutationId: whole(0),
      chain: ref("Link"),
      next: ref("Digest"),
    }),
    description: "Where a client's name comes from, when it had another before a fork.",
  },
  Pull: closed(["clientId"], {
    clientId: ref("ClientId"),
    cursor: nullable(text),
    limit: nullable(whole(1)),
    wait: nullable({
      ...whole(0),
      description: `Seconds; more than ${MAX_WAIT_SECONDS} is cut to that.`,
    }),
    schemaVersion: nullable(whole(0)),
    repair: nullable(
      listOf({ ...text, maxLength: MAX_BUCKET_ID_LENGTH }, { maxItems: MAX_REPAIR_BUCKETS }),
    ),
  }),
};

const DESTINATION_NEEDED = [
  "name",
  "state",
  "seq",
  "lagCommits",
  "lagChanges",
  "lagSeconds",
  "failures",
] as const;

const DESTINATION_FIELDS: JsonSchema = {
  name: text,
  state: {
    enum: ["idle", "flushing", "filling", "retrying", "open", "stopped", "gap", "closed"],
  },
  seq: ref("Uint64"),
  lagCommits: whole(0),
  lagChanges: whole(0),
  lagSeconds: { type: "number", minimum: 0 },
  failures: whole(0),
  lastError: open(["message", "at"], { message: text, at: text }),
};

const answers: Readonly<Record<string, JsonSchema>> = {
  Rejection: open(["mutationId", "code", "message", "delta"], {
    mutationId: whole(1),
    code: { enum: REJECTION_CODES },
    message: text,
    delta: whole(0),
  }),
  Stop: open(["mutationId", "code", "message"], {
    mutationId: whole(1),
    code: { enum: ["CLOCK_DRIFT", "SCHEMA_AHEAD"] },
    message: text,
  }),
  PushResult: open(["lastMutationId", "rejected", "seq", "serverTime", "serverHlc"], {
    lastMutationId: whole(0),
    rejected: listOf(ref("Rejection")),
    stopped: ref("Stop"),
    seq: ref("Uint64"),
    serverTime: { ...text, format: "date-time" },
    serverHlc: ref("Uint64"),
  }),
  Change: {
    oneOf: [
      open(["op", "table", "rowId", "columns"], {
        op: { const: "PUT" },
        table: text,
        rowId: text,
        columns: ref("Columns"),
        unset: listOf(text),
        buckets: listOf(whole(0)),
      }),
      open(["op", "table", "rowId"], { op: { const: "REMOVE" }, table: text, rowId: text }),
    ],
  },
  Bucket: open(["id", "rows"], {
    id: text,
    rows: whole(0),
    checksum: { type: "integer", minimum: 0, maximum: 2 ** 32 - 1 },
    whole: { const: true },
    gone: { const: true },
    columns: mapOf(listOf(text)),
  }),
  PullResult: open(["changes", "cursor", "complete", "lastMutationId", "serverHlc"], {
    changes: listOf(ref("Change")),
    cursor: text,
    complete: flag,
    lastMutationId: whole(0),
    chain: ref("Digest"),
    serverHlc: ref("Uint64"),
    checkpoint: open(["seq", "buckets"], { seq: ref("Uint64"), buckets: listOf(ref("Bucket")) }),
  }),
  Error: open(["error", "code", "requestId"], {
    error: { ...text, minLength: 1, description: "What happened and what to do, for a person." },
    code: { enum: Object.keys(ERROR_STATUS), description: "What a program decides on." },
    requestId: { ...text, minLength: 1, maxLength: 128 },
    lastMutationId: whole(0),
    mutationId: whole(0),
    links: listOf(open(["mutationId", "hash"], { mutationId: whole(1), hash: text })),
    clientId: text,
    retryAfterSeconds: { type: "number", exclusiveMinimum: 0 },
  }),
  Stats: open(
    [
      "gatewayId",
      "epoch",
      "seq",
      "schemaVersion",
      "clients",
      "connections",
      "tables",
      "log",
      "destinations",
    ],
    {
      gatewayId: text,
      epoch: text,
      seq: ref("Uint64"),
      schemaVersion: whole(0),
      clients: whole(0),
      connections: whole(0),
      tables: mapOf(open(["rows"], { rows: whole(0) })),
      log: open(["entries", "bytes"], { entries: whole(0), bytes: whole(0) }),
      destinations: listOf(ref("DestinationStatus")),
    },
  ),
  DestinationStatus: open(DESTINATION_NEEDED, DESTINATION_FIELDS),
  DestinationReport: open(["destinations"], {
    destinations: listOf(open(DESTINATION_NEEDED, {
      ...DESTINATION_FIELDS,
      problems: listOf(open(["table", "rowId", "kind", "reason", "seq", "at"], {
        table: text,
        rowId: text,
        kind: { enum: ["parked", "dead"] },
        reason: text,
        code: text,
        seq: ref("Uint64"),
        at: text,
      })),
    })),
    lakes: listOf(ref("LakeStatus")),
  }),
  Gateways: open(["gateways"], {
    gateways: listOf(open(["gatewayId", "seq", "schemaVersion"], {
      gatewayId: text,
      seq: ref("Uint64"),
      schemaVersion: whole(0),
    })),
  }),
  AuditLog: open(["entries"], {
    entries: listOf(ref("AuditEntry")),
    cursor: { ...text, description: "Where to go on; left out at the end." },
  }),
  AuditEntry: {
    ...open(["id", "at", "what", "outcome", "who"], {
      id: text,
      at: { ...text, format: "date-time" },
      what: { enum: Object.keys(AUDIT_ACTIONS) },
      outcome: { enum: ["done", "refused", "failed"] },
      who: open([], { sub: text, role: text }),
      ip: text,
      requestId: text,
      gatewayId: text,
      code: { enum: Object.keys(ERROR_STATUS) },
      details: mapOf({}),
    }),
    description: "What somebody did, or what was refused to them.",
  },
  Cursors: open(["cursors"], {
    cursors: listOf(
      open(["name", "value", "savedAt"], {
        name: text,
        value: text,
        savedAt: { ...text, format: "date-time" },
      }),
    ),
  }),
  CursorName: closed(["name"], { name: text }),
  CursorReset: open(["name", "filled"], { name: text, filled: flag }),
  FlushResult: open(["destinations"], {
    destinations: listOf(
      open([...DESTINATION_NEEDED, "flushed"], { ...DESTINATION_FIELDS, flushed: flag }),
    ),
  }),
  Tail: open(["tables", "headSeq", "lives", "trimmed", "entries"], {
    schema: ref("Schema"),
    tables: {
      ...mapOf(open(["id", "columns"], { id: whole(1), columns: mapOf(whole(0)) })),
      description: "The numbers that tables and columns keep when they are renamed.",
    },
    headSeq: ref("Uint64"),
    lives: listOf(open(["id", "fromSeq"], { id: text, fromSeq: ref("Uint64") })),
    trimmed: { ...flag, description: "Whether the log no longer has everything after the place." },
    entries: listOf(open(["seq", "slice", "last", "committedMs", "changes"], {
      seq: ref("Uint64"),
      slice: whole(0),
      last: flag,
      committedMs: whole(0),
      changes: listOf(open(["deltaId", "op", "table", "rowId", "columns", "hlc", "clientId"], {
        deltaId: ref("Digest"),
        op: ref("Op"),
        table: text,
        rowId: text,
        columns: { ...listOf({}), description: "Pairs of name and value." },
        hlc: ref("Uint64"),
        clientId: ref("ClientId"),
        effect: open(["table", "isVisible", "replaces", "cells"], { table: whole(1) }),
      })),
    })),
  }),
  Explanation: open(["exists", "visible", "writable", "lines"], {
    exists: flag,
    visible: flag,
    writable: open(["INSERT", "UPDATE", "DELETE"], { INSERT: flag, UPDATE: flag, DELETE: flag }),
    lines: listOf(text),
  }),
  Alive: open(["status"], { status: { const: "ok" } }),
  Startup: open(["status"], { status: { enum: ["starting", "started"] } }),
  Readiness: open(["status", "checks"], {
    status: { enum: ["ready", "not_ready"] },
    reason: text,
    checks: mapOf({ enum: ["ok", "failed", "timeout", "late"] }),
  }),
};

const name: JsonSchema = { ...text, pattern: IDENTIFIER };
const filters: JsonSchema = listOf(ref("Filter"));
const parameters: JsonSchema = mapOf(ref("RuleParameter"));

const administration: Readonly<Record<string, JsonSchema>> = {
  ColumnType: {
    ...text,
    pattern: "^(string|integer|number|boolean|timestamp|date|uuid|bytes|json|decimal\\(.+\\))$",
  },
  Column: {
    anyOf: [
      ref("ColumnType"),
      closed(["type"], {
        type: ref("ColumnType"),
        merge: { enum: ["lww", "counter", "max", "min", "set"] },
        references: text,
        renamedFrom: name,
      }),
    ],
  },
  Table: closed(["primaryKey", "columns"], {
    primaryKey: listOf(text, { minItems: 1 }),
    columns: { ...mapOf(ref("Column")), propertyNames: name },
    renamedFrom: name,
  }),
  Schema: closed(["version", "tables"], {
    version: whole(1),
    tables: { ...mapOf(ref("Table")), propertyNames: name },
  }),
  AccessNames: closed([], {
    users: listOf(text),
    clients: listOf(text),
    tables: listOf(text),
  }),
  Access: closed(["gatewayId", "deny", "allow"], {
    gatewayId: text,
    deny: ref("AccessNames"),
    allow: ref("AccessNames"),
  }),
  AccessChange: closed([], { deny: ref("AccessNames"), undeny: ref("AccessNames") }),
  Filter: {
    oneOf: [
      closed(["op"], {
        column: text,
        claim: text,
        op: {
          enum: ["eq", "neq", "in", "nin", "gt", "gte", "lt", "lte", "isNull", "contains"],
        },
        value: { description: "A literal, jwt:<claim>, param:<name>, or an array of literals." },
      }),
      closed(["any"], { any: listOf(ref("Filter"), { minItems: 1 }) }),
      closed(["all"], { all: listOf(ref("Filter"), { minItems: 1 }) }),
    ],
  },
  RuleParameter: closed(["from", "column"], { from: text, column: text, filters }),
  Rules: closed(["buckets"], {
    buckets: listOf(closed(["name", "tables"], {
      name,
      parameters,
      filters,
      tables: listOf({
        anyOf: [
          text,
          closed(["table"], { table: text, key: text, columns: listOf(text), filters }),
        ],
      }),
    })),
    parameters,
    write: listOf(closed(["tables", "ops"], {
      tables: listOf(text),
      ops: listOf(ref("Op")),
      filters,
    })),
    tables: mapOf(
      closed(["mode"], { mode: { enum: ["two-way", "download-only", "upload-only"] } }),
    ),
    exempt: listOf({ enum: ["admin", "connector"] }),
  }),
  Question: closed(["claims", "table", "rowId"], {
    claims: mapOf({}),
    table: text,
    rowId: text,
  }),
};

/** All schemas by name. */
export const SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  ...writes,
  ...answers,
  ...administration,
  ...ICEBERG_SCHEMAS,
};
