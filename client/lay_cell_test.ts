import { parseSchema, toInteger } from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import type { SqlValue } from "./database/driver.ts";
import { issuedCell, layersOf } from "./lay_cell.ts";
import { placedTable, placeSchema } from "./layout.ts";

const SCHEMA = parseSchema({
  version: 1,
  tables: {
    t: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        plain: "string",
        votes: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
        best: { type: "decimal(10,3)", merge: "max" },
        first: { type: "timestamp", merge: "min" },
        high: { type: "integer", merge: "max" },
        name: { type: "string", merge: "max" },
      },
    },
    lww: { primaryKey: ["id"], columns: { id: "string", a: "integer" } },
  },
});
const { layout } = placeSchema([], SCHEMA);
const table = placedTable(layout, "t");

function laid(name: string, cell: SqlValue, ...written: readonly SqlValue[]): SqlValue {
  const layer = layersOf(table)?.[table.columns.findIndex((column) => column.name === name)];
  assert.ok(layer !== undefined);
  return layer.settle(written.reduce<SqlValue>(layer.lay, cell));
}

Deno.test("layersOf gives nothing for a table and a column whose last write wins", () => {
  assert.equal(layersOf(placedTable(layout, "lww")), undefined);
  assert.equal(layersOf(table)?.[0], undefined);
});

Deno.test("a counter's increments add up exactly, in any order, within 64 bits", () => {
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  fc.assert(
    fc.property(int64, fc.array(int64), (base, increments) => {
      const sum = increments.reduce((a, b) => a + b, base);
      const clamped = sum > 2n ** 63n - 1n
        ? 2n ** 63n - 1n
        : sum < -(2n ** 63n)
        ? -(2n ** 63n)
        : sum;
      const texts = increments.map(String);
      assert.equal(laid("votes", toInteger(base), ...texts), toInteger(clamped));
      assert.equal(laid("votes", toInteger(base), ...texts.reverse()), toInteger(clamped));
    }),
  );
  assert.equal(laid("votes", null, "5", null, "-2"), 3);
  assert.equal(laid("votes", null, null), null);
});

Deno.test("a set's elements are those of the base, less what was removed, with what was added", () => {
  const lists = fc.array(fc.constantFrom<string | number | boolean>("a", "1", 1, true, 0.5, "é"));
  fc.assert(
    fc.property(lists, lists, lists, (base, add, remove) => {
      const text = (list: readonly unknown[]) => new Set(list.map((item) => JSON.stringify(item)));
      const expected = [...text(base).difference(text(remove)).union(text(add))].sort();
      const cell = laid("tags", JSON.stringify(base), JSON.stringify({ add, remove }));
      assert.equal(cell, `[${expected.join()}]`);
    }),
  );
  assert.equal(laid("tags", null, '{"remove":["x"]}'), "[]");
  assert.equal(laid("tags", '["b"]', null), '["b"]');
  assert.equal(laid("tags", "[1.0]", '{"remove":[1],"add":[1e2]}'), "[100]");
});

Deno.test("the greater and the lesser stand by what texts mean", () => {
  assert.equal(laid("best", "9.5", "10.25"), "10.25");
  assert.equal(laid("best", "-1", "-2"), "-1");
  assert.equal(laid("best", null, "-2", null), "-2");
  assert.equal(
    laid("first", "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00Z"),
    "2026-01-01T00:00:00Z",
  );
  assert.equal(
    laid("first", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z"),
    "2026-01-01T00:00:00Z",
  );
  assert.equal(laid("high", 2n ** 62n, 5), 2n ** 62n);
  assert.equal(laid("high", 5, 2n ** 62n), 2n ** 62n);
  assert.equal(laid("name", "\uffff", "😀"), "😀");
});

Deno.test("issuedCell adds what a written form says, and takes an UPDATE's plain value as it is", () => {
  const column = (name: string) => table.columns.find((column) => column.name === name);
  const issued = (name: string, ...rest: [Parameters<typeof issuedCell>[2], unknown, SqlValue]) => {
    const [op, value, cell] = rest;
    const placed = column(name);
    assert.ok(placed !== undefined);
    return issuedCell(table, placed, op, value as never, cell);
  };
  assert.equal(issued("votes", "UPDATE", { add: 2 }, 40), 42);
  assert.equal(issued("votes", "INSERT", { add: "9007199254740993" }, null), 9007199254740993n);
  assert.equal(issued("votes", "INSERT", 2, 40), 42);
  assert.equal(issued("votes", "UPDATE", 2, 40), 2);
  assert.equal(issued("votes", "UPDATE", null, 40), 40);
  assert.equal(issued("tags", "UPDATE", { add: ["x"], remove: ["y"] }, '["y","z"]'), '["x","z"]');
  assert.equal(issued("tags", "INSERT", ["x"], '["z"]'), '["x","z"]');
  assert.equal(issued("tags", "UPDATE", ["x"], '["z"]'), '["x"]');
  assert.equal(issued("high", "UPDATE", 3, 4), 4);
  assert.equal(issued("plain", "UPDATE", "new", "old"), "new");
  assert.equal(issued("plain", "UPDATE", null, "old"), null);
});
