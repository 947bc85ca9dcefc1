import assert from "node:assert/strict";
import type { Value } from "@lakesync/core";
import fc from "fast-check";
import { cellComparator, extremesOf, rowComparator } from "./compare.ts";
import { columnOf, type Kind, KINDS, nameOf, valuesOfKind } from "./testing_columns.ts";

const encoder = new TextEncoder();

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at < 0 ? a.length - b.length : at >= b.length ? 1 : (a[at] ?? 0) - (b[at] ?? 0);
}

/** A number that orders as the value, whatever its type. */
function rank(value: Value): bigint | number {
  if (typeof value === "boolean") return Number(value);
  if (typeof value === "bigint" || typeof value === "number") return value;
  const text = String(value);
  return /^-?\d+(\.\d+)?$/.test(text) ? BigInt(text.replace(".", "")) : NaN;
}

/** The order by the values themselves, without columns. */
function expected({ type, from }: Kind, a: Value, b: Value): number {
  if (a === null || b === null) return Number(b === null) - Number(a === null);
  if (type === "string") {
    const [left, right] = from === "json" ? [JSON.stringify(a), JSON.stringify(b)] : [a, b];
    return compareBytes(encoder.encode(String(left)), encoder.encode(String(right)));
  }
  if (a instanceof Uint8Array && b instanceof Uint8Array) return compareBytes(a, b);
  if (type === "date" || type === "timestamptz") {
    const [left, right] = [a, b].map((value) => {
      const text = String(value).replace(/Z$/, "");
      return text.includes(".") ? text : `${text}.`;
    });
    return String(left) < String(right) ? -1 : left === right ? 0 : 1;
  }
  if (Object.is(a, -0) || Object.is(b, -0)) {
    if (a === 0 && b === 0) return Number(Object.is(b, -0)) - Number(Object.is(a, -0));
  }
  const [left, right] = [rank(a), rank(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

for (const kind of KINDS) {
  Deno.test(`cellComparator orders ${nameOf(kind)} as the values are`, () => {
    fc.assert(fc.property(valuesOfKind(kind, 12), valuesOfKind(kind, 12), (a, b) => {
      const compare = cellComparator(columnOf(kind, a), columnOf(kind, b));
      for (const [i, left] of a.entries()) {
        for (const [j, right] of b.entries()) {
          assert.equal(Math.sign(compare(i, j)), Math.sign(expected(kind, left, right)));
        }
      }
    }));
  });

  Deno.test(`extremesOf finds the least and the greatest ${nameOf(kind)}`, () => {
    fc.assert(fc.property(valuesOfKind(kind, 60), (values) => {
      const extremes = extremesOf(columnOf(kind, values));
      const present = values.filter((value) => value !== null);
      assert.equal(extremes === undefined, present.length === 0);
      if (extremes === undefined) return;
      const [min = null, max = null] = [values[extremes.min], values[extremes.max]];
      for (const value of present) {
        assert.ok(expected(kind, min, value) <= 0);
        assert.ok(expected(kind, max, value) >= 0);
      }
    }));
  });
}

Deno.test("rowComparator lets the first column that differs decide", () => {
  const columns = [
    columnOf({ type: "string" }, ["a", "a", "b", "a"]),
    columnOf({ type: "long" }, [2, 1, 0, 2]),
  ];
  const compare = rowComparator(columns, columns);
  const order = [0, 1, 2, 3].sort((i, j) => compare(i, j) || i - j);
  assert.deepStrictEqual(order, [1, 0, 3, 2]);
  assert.equal(compare(0, 3), 0);
});

Deno.test("comparators refuse other types and other numbers of columns", () => {
  const [int, date] = [columnOf({ type: "int" }, [1]), columnOf({ type: "date" }, ["2026-01-01"])];
  assert.throws(() => cellComparator(int, date), TypeError);
  assert.throws(() => rowComparator([int], [int, int]), TypeError);
});
