import assert from "node:assert/strict";
import { type Hlc, parseSchema, type Table, type Value } from "@lakesync/core";
import fc from "fast-check";
import type { Cell, Change, RowEffect } from "../../adapter.ts";
import {
  type ChangesLayout,
  decodeChangeRow,
  encodeChange,
  encodeRow,
  type LayoutColumn,
} from "./changes.ts";

const { tables } = parseSchema({
  version: 3,
  tables: {
    tasks: {
      primaryKey: ["id", "at"],
      columns: {
        id: "string",
        at: "timestamp",
        title: "string",
        n: "integer",
        price: "decimal(10,2)",
        due: "timestamp",
        day: "date",
        data: "json",
        tags: { type: "json", merge: "set" },
        votes: { type: "integer", merge: "counter" },
        blob: "bytes",
      },
    },
  },
});

function tableOf(name: string): Table {
  const table = tables.get(name);
  assert.ok(table !== undefined);
  return table;
}

const newest = tableOf("tasks");
const columns = newest.columns.map(({ name, type, merge, key }, i): LayoutColumn => ({
  number: i + 1,
  name,
  type,
  merge,
  isKey: key,
}));

/** `title` was called `name` first, and `n` was called `title` before. */
const LAYOUT: ChangesLayout = {
  table: 7,
  firstName: "todos",
  names: new Map([
    ...columns.map(({ name, number }): [string, number] => [name, number]),
    ["name", 3],
  ]),
  columns,
  newest,
  version: 3,
};

const text = fc.constantFrom("", "a", "'\"\\", "é🎈");
const times = fc.constantFrom(
  "2026-01-31T09:30:00Z",
  "2026-01-31T09:30:00.100Z",
  "1969-12-31T23:59:59.999999Z",
);
const VALUES: Readonly<Record<string, fc.Arbitrary<Value>>> = {
  title: text,
  n: fc.constantFrom<Value>(0, -0, -5, 2n ** 62n),
  price: fc.constantFrom("0", "-0", "12.5", "12.50", "-7"),
  due: times,
  day: fc.constantFrom("1600-02-29", "2026-01-31"),
  data: fc.constantFrom<Value>({}, [1, null], "x", { $int: "5" }, 1.5),
  tags: fc.constantFrom<Value>(["a"], { add: ["b"] }, { remove: ["a"] }),
  votes: fc.constantFrom<Value>(3, { add: 1 }),
  blob: fc.constantFrom(new Uint8Array(), new Uint8Array([0, 255])),
};

const written = fc.record(
  Object.fromEntries(
    Object.entries(VALUES).map(([name, value]) => [name, fc.option(value)] as const),
  ),
  { requiredKeys: [], noNullPrototype: true },
).map((cells) =>
  Object.fromEntries(
    Object.entries(cells).map(([name, value]): [string, Value] => [name, value ?? null]),
  )
);
const stamp = fc.record({
  hlc: fc.constantFrom(5n as Hlc, (2n ** 63n - 1n) as Hlc),
  clientId: fc.constantFrom("c1", 'c"2'),
}, { noNullPrototype: true });
const ROW_ID = '["r1","2026-01-31T09:30:00Z"]';
const key = { table: 7, rowId: ROW_ID };

function sorted({ cells, ...effect }: RowEffect): RowEffect {
  return { ...effect, cells: cells.toSorted(([a], [b]) => a - b) };
}

const cell: fc.Arbitrary<Cell> = fc.tuple(
  fc.integer({ min: 3, max: 14 }),
  fc.oneof(...Object.values(VALUES), fc.constant(null)),
  fc.option(stamp, { nil: undefined }),
).map(([column, value, stamp]) => stamp === undefined ? [column, value] : [column, value, stamp]);

const effect: fc.Arbitrary<RowEffect> = fc.record({
  key: fc.constant(key),
  isVisible: fc.boolean(),
  replaces: fc.boolean(),
  cells: fc.uniqueArray(cell, { selector: ([column]) => column, maxLength: 6 }),
}, { noNullPrototype: true });

/** What the newest schema's names, other names, and names that nobody knows stand for. */
const naming = fc.constantFrom("newest", "numbered", "swapped", "unknown");

const change: fc.Arbitrary<Change> = fc.record({
  op: fc.constantFrom("INSERT" as const, "UPDATE" as const, "DELETE" as const),
  written,
  stamp,
  naming,
  table: fc.constantFrom("todos", "tasks"),
  outcome: fc.oneof(
    { weight: 4, arbitrary: fc.constant("usual" as const) },
    { weight: 4, arbitrary: effect },
    { weight: 1, arbitrary: fc.constantFrom("unknown" as const, "unsettles" as const) },
  ),
}).map(({ op, written, stamp, naming, table, outcome }) => {
  const names = Object.keys(written);
  const numbers = names.map((name) => columns.find((column) => column.name === name)?.number ?? 0);
  if (naming === "swapped") numbers.reverse();
  const isKnown = naming !== "unknown";
  const usual: RowEffect = {
    key,
    isVisible: op !== "DELETE",
    replaces: op !== "UPDATE",
    cells: isKnown
      ? names.map((name, i): Cell => [numbers[i] ?? 0, written[name] ?? null, stamp])
      : [],
  };
  return {
    ...{ deltaId: "d1", op, table, rowId: ROW_ID, columns: written, ...stamp, mutationId: 4 },
    ...{ seq: 2 ** 45, slice: 3, committedMs: 1_700_000_000_123 },
    schemaVersion: naming === "newest" ? 3 : 1,
    ...(naming === "numbered" || naming === "swapped" ? { columnIds: numbers } : {}),
    effect: outcome === "usual" ? usual : typeof outcome === "string" ? undefined : outcome,
    ...(outcome === "unsettles" ? { unsettles: key } : {}),
  };
});

Deno.test("G10: a change is read back from its row as it was, with its effect", () => {
  fc.assert(
    fc.property(change, (given) => {
      const decoded = decodeChangeRow(LAYOUT, encodeChange(LAYOUT, given));
      assert.ok(decoded.kind === "change");
      const { columnIds: _, ...found } = decoded.change;
      const { columnIds: __, ...expected } = given;
      assert.deepStrictEqual(
        { ...found, effect: found.effect && sorted(found.effect) },
        { ...expected, effect: expected.effect && sorted(expected.effect) },
      );
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("a row that is set is read back as it was, with the stamps that are known", () => {
  const place = fc.constantFrom({ seq: 9 }, { seq: 9, slice: 0 });
  fc.assert(
    fc.property(effect, place, fc.boolean(), (given, at, isUnsettled) => {
      const row = { ...given, replaces: true };
      const decoded = decodeChangeRow(LAYOUT, encodeRow(LAYOUT, row, at, 77, isUnsettled));
      assert.deepStrictEqual(
        decoded,
        { kind: "set", row: sorted(row), at, committedMs: 77, isUnsettled },
      );
    }),
    { numRuns: 2_000 },
  );
});

const STAMP = { hlc: 5n as Hlc, clientId: "c1" };

Deno.test("a change that did what it says has no effect of its own, and the key's values", () => {
  const row = encodeChange(LAYOUT, {
    ...{ deltaId: "d1", op: "INSERT", table: "todos", rowId: ROW_ID, mutationId: 1 },
    ...{ ...STAMP, seq: 1, slice: 0, committedMs: 0, schemaVersion: 3 },
    columns: { id: "r1", title: "a", price: "12.5", tags: { add: ["x"] } },
    effect: {
      key,
      isVisible: true,
      replaces: true,
      cells: [[3, "a", STAMP], [5, "12.5", STAMP], [9, { add: ["x"] }, STAMP]],
    },
  });
  assert.equal(row.effect, null);
  assert.equal(row.changed, '["id","title","price","tags"]');
  assert.equal(row.raw, '{"price":"12.5","tags":{"add":["x"]}}');
  const nulls = Array.from({ length: 6 }, () => null);
  assert.deepEqual(row.values, ["r1", "2026-01-31T09:30:00Z", "a", null, "12.50", ...nulls]);
});
