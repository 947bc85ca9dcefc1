import assert from "node:assert/strict";
import {
  type CellKind,
  type Change,
  EMPTY_ROW,
  type Hlc,
  merge,
  type RowState,
  type Value,
} from "@lakesync/core";
import fc from "fast-check";
import { type Membership, readRecord, type RowRecord, writeRecord } from "./record.ts";

const COLUMNS: readonly (readonly [CellKind, fc.Arbitrary<Value>])[] = [
  [
    "lww",
    fc.oneof(
      fc.constantFrom<Value>(null, -0, 0.5, 2n ** 60n, new Uint8Array([1, 255]), { $i: "1" }, [[]]),
      fc.string(),
      fc.boolean(),
    ),
  ],
  ["counter", fc.constantFrom<Value>({ add: 1 }, { add: "9223372036854775807" }, { add: 0 }, null)],
  ["max", fc.constantFrom<Value>(-0, 0, 2n ** 60n, -1.5, null)],
  ["min:timestamp", fc.constantFrom<Value>("2026-01-31T09:30:00Z", "2026-01-31T09:30:00.5Z")],
  [
    "set",
    fc.record({
      add: fc.subarray<string | number | boolean>(["a", "😀", 1, -2.5, true]),
      remove: fc.subarray<string | number | boolean>(["a", '"', 1, false]),
    }),
  ],
];

const change: fc.Arbitrary<Change> = fc.record({
  op: fc.constantFrom("INSERT", "UPDATE", "UPDATE", "DELETE"),
  hlc: fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }).map((hlc) => hlc as Hlc),
  clientId: fc.constantFrom("a", "b", '"c'),
  seq: fc.nat(),
  cells: fc.tuple(...COLUMNS.map(([, value]) => value)),
  columns: fc.subarray(COLUMNS.map((_, column) => column)),
}).map(({ cells, columns, ...more }): Change => {
  const carried = more.op === "DELETE" ? [] : columns;
  return {
    ...more,
    columns: carried,
    kinds: carried.map((column) => COLUMNS[column]?.[0] ?? "lww"),
    values: carried.map((column) => cells[column] ?? null),
  } as Change;
});

const state: fc.Arbitrary<RowState> = fc.array(change, { maxLength: 8 })
  .map((changes) => changes.reduce(merge, EMPTY_ROW));

const values = fc.array(
  fc.constantFrom<Value>(null, "a", 1, 2n ** 60n, -0, true, ["list"], { a: 1 }),
  { maxLength: 3 },
);

const membership: fc.Arbitrary<Membership> = fc.record({
  bucket: fc.nat(),
  seq: fc.nat(),
  spans: fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
  residual: fc.boolean(),
  values: fc.array(values, { minLength: 2, maxLength: 2 }),
}, { noNullPrototype: true }).map(({ residual, values, ...more }) => {
  if (!residual) return more;
  return { ...more, values: values.slice(0, Math.ceil(more.spans.length / 2)) };
});

const record: fc.Arbitrary<RowRecord> = fc.record({
  state,
  memberships: fc.array(membership, { maxLength: 3 }),
  cutSeq: fc.oneof(fc.constant(0), fc.nat()),
  orphanOf: fc.option(fc.constantFrom("a", ""), { nil: undefined }),
}, { noNullPrototype: true });

Deno.test("readRecord reads what writeRecord wrote", () => {
  fc.assert(
    fc.property(record, (record) => {
      assert.deepStrictEqual(readRecord(writeRecord(record)), record);
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("a record that was read merges on as the one that was written", () => {
  fc.assert(
    fc.property(record, change, (record, change) => {
      const read = readRecord(writeRecord(record)).state;
      assert.deepStrictEqual(merge(read, change), merge(record.state, change));
    }),
    { numRuns: 2_000 },
  );
});

function insert(cells: readonly (readonly [CellKind, Value])[]): RowState {
  return merge(EMPTY_ROW, {
    op: "INSERT",
    hlc: 5n as Hlc,
    clientId: "c",
    seq: 7,
    columns: cells.map((_, i) => i + 1),
    kinds: cells.map(([kind]) => kind),
    values: cells.map(([, value]) => value),
  });
}

const MEMBERSHIPS: readonly Membership[] = [{ bucket: 1, seq: 7, spans: [7] }];

Deno.test("a row of lww columns alone is stored without a word of anything else", () => {
  const state = insert([["lww", "x"], ["lww", true]]);
  const text = '[0,null,[["5","c",7,[1,2],["x",true]]],[[1,7,7]]]';
  assert.equal(
    writeRecord({ state, memberships: MEMBERSHIPS, cutSeq: 0, orphanOf: undefined }),
    text,
  );
  assert.equal(Object.hasOwn(readRecord(text).state, "merged"), false);
  assert.equal(
    writeRecord({ state, memberships: MEMBERSHIPS, cutSeq: 3, orphanOf: undefined }),
    `${text.slice(0, -1)},3]`,
  );
});

Deno.test("merged cells and the values of spans are stored in few words", () => {
  const record = {
    state: insert([["counter", 4], ["max", 9], ["set", ["b", "a"]]]),
    memberships: [{ bucket: 1, seq: 9, spans: [7, 9, 9], values: [[1, "x"], [2n ** 60n, null]] }],
    cutSeq: 0,
    orphanOf: undefined,
  };
  assert.equal(
    writeRecord(record),
    '[["5","c"],null,[],[[1,9,7,9,9,[[1,"x"],[{"$i":"1152921504606846976"},null]]]],0,null,' +
      '[[1,7,"counter",0,4],[2,7,"max",0,9],[3,7,"set",0,0,["a","b"],[]]]]',
  );
});
