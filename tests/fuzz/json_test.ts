/** JSON: bodies, frames, schemas and rules as text that JSON.parse takes and nobody would write. */

import {
  clientFrameFromJson,
  decodePush,
  encodePush,
  type JsonValue,
  parseJsonBody,
  parseRules,
  parseSchema,
  pullFromJson,
  pushFromJson,
  type PushRequest,
  toPlainJson,
} from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import * as messages from "../../core/protocol/testing_messages.ts";
import { mutate, mutation } from "../../core/protocol/testing_hostile.ts";
import { SCHEMA } from "../../core/testing_values.ts";
import { isSchemaError, readHostile } from "./hostile.ts";
import { hostileJson } from "./json.ts";
import { law } from "./law.ts";

const RUNS = 1_500;

const PUSH: JsonValue = {
  clientId: "a",
  schemaVersion: 1,
  refusalsSeen: 1,
  origin: { clientId: "b", mutationId: 1, chain: "ab".repeat(32), next: "cd".repeat(32) },
  transactions: [{
    mutationId: 1,
    part: 1,
    parts: 2,
    chain: "ab".repeat(32),
    refused: { previous: "", code: "FORBIDDEN_WRITE", message: "No", delta: 0 },
    deltas: [{
      op: "INSERT",
      table: "things",
      rowId: "t1",
      clientId: "a",
      hlc: "116",
      deltaId: "ab".repeat(32),
      written: "115",
      columns: { name: "x", size: "9007199254740993", blob: "AA==", meta: { a: [1] } },
    }],
  }],
};
const PULL: JsonValue = {
  clientId: "a",
  cursor: "c",
  limit: 10,
  wait: 1,
  schemaVersion: 1,
  repair: ["b"],
};
const HELLO: JsonValue = {
  clientId: "a",
  cursor: "c",
  schemaVersion: 1,
  refusalsSeen: 1,
  repair: ["b"],
};

function pushToJson(push: PushRequest): string {
  const transactions = push.transactions.map(({ deltas, ...transaction }) => ({
    ...transaction,
    deltas: deltas.map((
      { shape: { op, table, columns }, rowId, hlc, values, deltaId, written },
    ) => ({
      op,
      table,
      rowId,
      ...(hlc === undefined ? {} : { hlc: String(hlc) }),
      ...(deltaId === undefined ? {} : { deltaId }),
      ...(written === undefined ? {} : { written: String(written) }),
      columns: Object.fromEntries(columns.map((name, i) => [name, toPlainJson(values[i] ?? null)])),
    })),
  }));
  return JSON.stringify({ ...push, transactions });
}

/** The only number that JSON does not keep. */
function withoutNegativeZero(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, item) => typeof item === "bigint" ? `${item}n` : item),
  );
}

law("pushFromJson reads what the binary form says", {
  inputs: messages.push,
  runs: 300,
  holds: (push) => {
    const read = pushFromJson(parseJsonBody(pushToJson(push)), SCHEMA);
    assert.deepEqual(withoutNegativeZero(read), withoutNegativeZero(decodePush(encodePush(push))));
  },
});

law("pushFromJson refuses any JSON by VALIDATION_ERROR or reads what can be written again", {
  inputs: hostileJson(PUSH),
  runs: RUNS,
  holds: (body) => {
    const read = readHostile(() => pushFromJson(parseJsonBody(body), SCHEMA));
    if (read.refused) return;
    const again = pushFromJson(parseJsonBody(pushToJson(read.value)), SCHEMA);
    assert.equal(pushToJson(again), pushToJson(read.value));
  },
});

law("pullFromJson refuses any JSON by VALIDATION_ERROR or reads a pull", {
  inputs: hostileJson(PULL),
  runs: RUNS,
  holds: (body) => {
    const read = readHostile(() => pullFromJson(parseJsonBody(body)));
    if (read.refused) return;
    const written = JSON.stringify(read.value);
    assert.equal(JSON.stringify(pullFromJson(parseJsonBody(written))), written);
  },
});

law("clientFrameFromJson refuses any JSON by VALIDATION_ERROR or reads a frame", {
  inputs: fc.oneof(...[
    { hello: HELLO },
    { push: PUSH },
    { pull: PULL },
    { ack: { cursor: "c" } },
    { token: { jwt: "j" } },
    { ping: {} },
  ].map(hostileJson)),
  runs: RUNS,
  holds: (body) => {
    const read = readHostile(() => clientFrameFromJson(parseJsonBody(body), SCHEMA));
    if (!read.refused) assert.equal(typeof read.value.type, "string");
  },
});

law("parseJsonBody refuses any text by VALIDATION_ERROR or reads what JSON.parse reads", {
  inputs: fc.tuple(
    fc.oneof(hostileJson(PUSH), fc.json(), fc.string({ unit: "binary" })),
    mutation,
  ),
  runs: RUNS,
  examples: [
    ["[".repeat(2 ** 20), []],
    [`${"[".repeat(2 ** 20)}${"]".repeat(2 ** 20)}`, []],
    [`${'{"a":'.repeat(2 ** 18)}1${"}".repeat(2 ** 18)}`, []],
  ],
  holds: ([text, edits]) => {
    const bytes = edits.length === 0
      ? new TextEncoder().encode(text)
      : mutate(new TextEncoder().encode(text), edits);
    const body = new TextDecoder().decode(bytes);
    const read = readHostile(() => parseJsonBody(body));
    if (!read.refused) assert.deepStrictEqual(read.value, JSON.parse(body));
  },
});

const SPEC: JsonValue = JSON.parse(JSON.stringify(SCHEMA.spec));
const KINDS: JsonValue = {
  version: 2,
  tables: {
    items: {
      primaryKey: ["id", "n"],
      renamedFrom: "old",
      columns: {
        id: "uuid",
        n: { type: "integer" },
        hits: { type: "integer", merge: "counter", renamedFrom: "was" },
        tags: { type: "json", merge: "set" },
        low: { type: "decimal(4,2)", merge: "min" },
        of: { type: "string", references: "items" },
      },
    },
  },
};

law("parseSchema refuses any JSON by SCHEMA_ERROR or reads a schema that it reads again", {
  inputs: fc.oneof(hostileJson(SPEC), hostileJson(KINDS)),
  runs: RUNS,
  holds: (text) => {
    const input: unknown = JSON.parse(text);
    const read = readHostile(() => parseSchema(input), isSchemaError);
    if (read.refused) return;
    const { spec, tables } = read.value;
    const again = parseSchema(JSON.parse(JSON.stringify(spec)));
    assert.deepEqual([...again.tables.keys()], [...tables.keys()]);
    for (const [name, { columns, primaryKey }] of tables) {
      assert.deepEqual(
        again.tables.get(name)?.columns.map((column) => ({ ...column, check: 0 })),
        columns.map((column) => ({ ...column, check: 0 })),
      );
      assert.ok(primaryKey.length > 0);
    }
  },
});

const RULES: JsonValue = {
  buckets: [
    { name: "all", tables: ["*"] },
    {
      name: "by_org",
      parameters: {
        org: {
          from: "pairs",
          column: "org",
          filters: [{ column: "note", op: "eq", value: "claim:sub" }],
        },
      },
      filters: [{ column: "name", op: "in", value: "param:org" }],
      tables: [{
        table: "things",
        columns: ["name", "size"],
        filters: [{
          any: [
            { column: "size", op: "gt", value: 3 },
            { all: [{ column: "done", op: "eq", value: true }] },
          ],
        }],
      }],
    },
  ],
  parameters: {},
  write: [{ tables: ["things"], ops: ["INSERT", "UPDATE"], filters: [] }],
  tables: { pairs: { mode: "download-only" } },
  exempt: ["admin"],
};

law("parseRules refuses any JSON by VALIDATION_ERROR or reads rules that it reads again", {
  inputs: hostileJson(RULES),
  runs: RUNS,
  examples: [JSON.stringify(RULES)],
  holds: (text) => {
    const input: unknown = JSON.parse(text);
    const read = readHostile(() => parseRules(input, SCHEMA));
    if (read.refused) return;
    const again = parseRules(JSON.parse(JSON.stringify(read.value.spec)), SCHEMA);
    assert.deepEqual(
      again.buckets.map(({ name }) => name),
      read.value.buckets.map(({ name }) => name),
    );
    assert.deepEqual(again.writes, read.value.writes);
  },
});
