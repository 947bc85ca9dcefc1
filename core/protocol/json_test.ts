import assert from "node:assert/strict";
import fc from "fast-check";
import type { Hlc } from "../clock.ts";
import type { Delta } from "../delta.ts";
import { LakeSyncError } from "../errors.ts";
import { SCHEMA, throughJson } from "../testing_values.ts";
import { fromPlainJson, type JsonValue, toPlainJson } from "../value.ts";
import { decodePullResult, encodePullResult } from "./binary.ts";
import {
  clientFrameFromJson,
  parseJsonBody,
  pullFromJson,
  pullResultToJson,
  pushFromJson,
  pushResultToJson,
  serverFrameToJson,
} from "./json.ts";
import type { PushRequest } from "./messages.ts";
import * as messages from "./testing_messages.ts";

function wire(value: unknown): JsonValue {
  return parseJsonBody(JSON.stringify(value));
}

/** A push as a hand would write it. */
function pushToJson(push: PushRequest): unknown {
  return {
    ...push,
    transactions: push.transactions.map((transaction) => ({
      ...transaction,
      deltas: transaction.deltas.map(({ shape, values, hlc, written, ...delta }) => ({
        ...delta,
        op: shape.op,
        table: shape.table,
        hlc: hlc === undefined ? undefined : String(hlc),
        written: written === undefined ? undefined : String(written),
        columns: Object.fromEntries(
          shape.columns.map((
            name,
            i,
          ) => [name, toPlainJson(values[i] ?? null)]),
        ),
      })),
    })),
  };
}

function deltaThroughJson(delta: Delta): Delta {
  return { ...delta, values: delta.values.map(throughJson) };
}

function pushThroughJson(push: PushRequest): PushRequest {
  return {
    ...push,
    transactions: push.transactions.map((transaction) => ({
      ...transaction,
      deltas: transaction.deltas.map(deltaThroughJson),
    })),
  };
}

Deno.test("pushFromJson reads every value by its column's type", () => {
  fc.assert(
    fc.property(messages.push, (push) => {
      assert.deepStrictEqual(
        pushFromJson(wire(pushToJson(push)), SCHEMA),
        pushThroughJson(push),
      );
    }),
    { numRuns: 300 },
  );
});

Deno.test("pushFromJson reads the example of the protocol page", () => {
  const push = pushFromJson(
    parseJsonBody(`{ "clientId": "phone-1", "schemaVersion": 1,
      "transactions": [ { "mutationId": 1, "deltas": [
        { "op": "INSERT", "table": "things", "rowId": "t1", "hlc": "116",
          "columns": { "name": "Buy milk", "done": false } },
        { "op": "DELETE", "table": "things", "rowId": "t1" } ] } ] }`),
    SCHEMA,
  );
  const [insert, remove] = push.transactions[0]?.deltas ?? [];
  assert.deepStrictEqual(insert, {
    shape: { op: "INSERT", table: "things", columns: ["name", "done"] },
    rowId: "t1",
    hlc: 116n,
    values: ["Buy milk", false],
    deltaId: undefined,
  });
  assert.equal(remove?.hlc, undefined);
  assert.deepStrictEqual(remove?.values, []);
});

Deno.test("pushFromJson shares one shape between deltas of the same kind", () => {
  const delta = { op: "UPDATE", table: "things", rowId: "a" };
  const push = pushFromJson(
    wire({
      clientId: "a",
      transactions: [{
        mutationId: 1,
        deltas: [
          { ...delta, columns: { name: "x", done: true } },
          { ...delta, columns: { name: "y", done: true } },
          { ...delta, columns: { done: true, name: "y" } },
        ],
      }],
    }),
    SCHEMA,
  );
  const [a, b, c] = push.transactions[0]?.deltas ?? [];
  assert.equal(a?.shape, b?.shape);
  assert.notEqual(a?.shape, c?.shape);
});

Deno.test("pushFromJson leaves values of columns it does not know as they are", () => {
  const push = pushFromJson(
    wire({
      clientId: "a",
      transactions: [{
        mutationId: 1,
        deltas: [{
          op: "UPDATE",
          table: "toString",
          rowId: "a",
          columns: { constructor: "AA==" },
        }],
      }],
    }),
    SCHEMA,
  );
  assert.deepStrictEqual(push.transactions[0]?.deltas[0]?.values, ["AA=="]);
});

Deno.test("pullFromJson reads what was written", () => {
  fc.assert(
    fc.property(messages.pull, (pull) => {
      assert.deepStrictEqual(pullFromJson(wire(pull)), pull);
    }),
  );
});

Deno.test("clientFrameFromJson reads every frame as an object with one key", () => {
  fc.assert(
    fc.property(messages.clientFrame, (frame) => {
      const expected = frame.type === "push"
        ? { ...frame, push: pushThroughJson(frame.push) }
        : frame;
      const { type, ...rest } = frame;
      const body = "push" in rest
        ? pushToJson(rest.push)
        : "hello" in rest
        ? rest.hello
        : "pull" in rest
        ? rest.pull
        : rest;
      assert.deepStrictEqual(
        clientFrameFromJson(wire({ [type]: body }), SCHEMA),
        expected,
      );
    }),
    { numRuns: 300 },
  );
});

Deno.test("pullResultToJson writes cells that read back by their column's type", () => {
  fc.assert(
    fc.property(messages.pullResult, (result) => {
      const page = JSON.parse(JSON.stringify(pullResultToJson(result)));
      assert.equal(page.cursor, result.cursor);
      assert.equal(page.complete, result.complete);
      assert.equal(page.lastMutationId, result.lastMutationId);
      assert.equal(page.serverHlc, String(result.serverHlc));
      assert.equal(page.checkpoint?.seq, result.checkpoint?.seq.toString());
      assert.deepStrictEqual(
        page.checkpoint?.buckets,
        result.checkpoint?.buckets,
      );
      assert.equal(page.changes.length, result.changes.length);
      for (const [i, { shape, rowId, values }] of result.changes.entries()) {
        const { columns, ...change } = page.changes[i];
        const { columns: names, ...rest } = shape;
        assert.deepStrictEqual(change, { ...rest, rowId });
        assert.equal(columns === undefined, shape.op === "REMOVE");
        const table = SCHEMA.tables.get(shape.table);
        for (const [at, name] of names.entries()) {
          const type = table?.byName.get(name)?.type ?? "";
          assert.deepStrictEqual(
            fromPlainJson(columns[name], type),
            throughJson(values[at] ?? null),
          );
        }
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("pushResultToJson writes 64-bit numbers as text", () => {
  assert.deepStrictEqual(
    pushResultToJson({
      lastMutationId: 7,
      rejected: [
        { mutationId: 7, code: "NO_SUCH_ROW", message: "No row", delta: 2 },
      ],
      stopped: { mutationId: 8, code: "CLOCK_DRIFT", message: "Mend it" },
      seq: 42,
      serverTime: "2026-01-31T09:30:00.000Z",
      serverHlc: (2n ** 62n) as Hlc,
    }),
    {
      lastMutationId: 7,
      rejected: [
        { mutationId: 7, code: "NO_SUCH_ROW", message: "No row", delta: 2 },
      ],
      stopped: { mutationId: 8, code: "CLOCK_DRIFT", message: "Mend it" },
      seq: "42",
      serverTime: "2026-01-31T09:30:00.000Z",
      serverHlc: "4611686018427387904",
    },
  );
});

Deno.test("serverFrameToJson writes an object with one key for every frame", () => {
  fc.assert(
    fc.property(messages.serverFrame, (frame) => {
      const written = wire(serverFrameToJson(frame));
      assert.ok(typeof written === "object" && written !== null);
      assert.deepStrictEqual(Object.keys(written), [frame.type]);
    }),
  );
  assert.deepStrictEqual(
    serverFrameToJson({ type: "resync", reason: "too old" }),
    { resync: { code: "RESYNC_REQUIRED", reason: "too old" } },
  );
});

Deno.test("pullResultToJson writes the buckets of a row, what it unsets, and buckets as they are", () => {
  const shape = {
    op: "PUT",
    table: "things",
    columns: ["name"],
    unset: ["size"],
    buckets: [0, 2],
  } as const;
  const page = {
    cursor: "c",
    complete: true,
    lastMutationId: 1,
    serverHlc: 5n as Hlc,
    changes: [{ shape, rowId: "t1", values: ["x"] }],
    checkpoint: {
      seq: 9,
      buckets: [
        { id: "all", rows: 1, checksum: 0 },
        { id: 'by_list["l1"]', rows: 0, gone: true },
        { id: "mine", rows: 7, whole: true, columns: { things: ["name"] } },
      ],
    },
  } as const;
  assert.deepStrictEqual(pullResultToJson(page), {
    cursor: "c",
    complete: true,
    lastMutationId: 1,
    serverHlc: "5",
    changes: [{
      op: "PUT",
      table: "things",
      rowId: "t1",
      columns: { name: "x" },
      unset: ["size"],
      buckets: [0, 2],
    }],
    checkpoint: { seq: "9", buckets: [...page.checkpoint.buckets] },
  });
  assert.deepStrictEqual(decodePullResult(encodePullResult(page)), page);
});

const DELTA = { op: "INSERT", table: "things", rowId: "a", columns: {} };

function withDelta(delta: unknown): unknown {
  return { clientId: "a", transactions: [{ mutationId: 1, deltas: [delta] }] };
}

function withTransaction(transaction: unknown): unknown {
  return { clientId: "a", transactions: [transaction] };
}

Deno.test("pushFromJson says where a body is wrong", () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [null, /^The body must be an object/],
    [[], /^The body must be an object/],
    [{}, /^clientId must be a text/],
    [{ clientId: 1 }, /^clientId must be a text/],
    [{ clientId: "a" }, /^transactions must be an array/],
    [{ clientId: "a", transactions: {} }, /^transactions must be an array/],
    [{ clientId: "a", transactions: [], x: 1 }, /unknown field "x"/],
    [{ clientId: "a", schemaVersion: "1" }, /^schemaVersion must be a whole/],
    [{ clientId: "a", refusalsSeen: -1 }, /^refusalsSeen must be a whole/],
    [withTransaction(1), /^transactions\[0\] must be an object/],
    [withTransaction({}), /^transactions\[0\]\.mutationId must be/],
    [withTransaction({ mutationId: 0, deltas: [] }), /mutationId must be/],
    [withTransaction({ mutationId: 1.5, deltas: [] }), /mutationId must be/],
    [withTransaction({ mutationId: 2 ** 53, deltas: [] }), /mutationId must/],
    [withTransaction({ mutationId: 1 }), /\[0\]\.deltas must be an array/],
    [withTransaction({ mutationId: 1, deltas: [], part: 1 }), /part and parts/],
    [
      withTransaction({ mutationId: 1, deltas: [], part: 3, parts: 2 }),
      /\.part must be at most parts/,
    ],
    [
      withTransaction({ mutationId: 1, deltas: [], chain: "x" }),
      /\.chain must/,
    ],
    [withDelta(null), /deltas\[0\] must be an object/],
    [withDelta({ ...DELTA, op: "UPSERT" }), /deltas\[0\]\.op must be/],
    [withDelta({ ...DELTA, table: 1 }), /deltas\[0\]\.table must be a text/],
    [withDelta({ ...DELTA, rowId: 1 }), /deltas\[0\]\.rowId must be a text/],
    [withDelta({ ...DELTA, hlc: 5 }), /deltas\[0\]\.hlc must be a text/],
    [withDelta({ ...DELTA, hlc: "-5" }), /\.hlc must be a 64-bit number/],
    [withDelta({ ...DELTA, columns: [] }), /\.columns must be an object/],
    [withDelta({ ...DELTA, deltaId: "AB".repeat(32) }), /\.deltaId must be 64/],
    [withDelta({ ...DELTA, extra: 1 }), /\[0\] has an unknown field "extra"/],
  ];
  for (const [body, message] of cases) {
    assert.throws(() => pushFromJson(wire(body), SCHEMA), (error) => {
      assert.ok(error instanceof LakeSyncError);
      assert.equal(error.code, "VALIDATION_ERROR");
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("parseJsonBody takes 64 levels and refuses deeper, at once", () => {
  const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
  assert.ok(parseJsonBody(nested(64)));
  for (const body of [nested(65), nested(1_000_000), '{"a":'.repeat(100)]) {
    assert.throws(() => parseJsonBody(body), { code: "VALIDATION_ERROR" });
  }
});
