import assert from "node:assert/strict";
import type { ColumnType, Value } from "@lakesync/core";
import fc from "fast-check";
import type { LakeType } from "../iceberg/schema.ts";
import { columnBuilder } from "./build.ts";
import { bytesOfBits } from "./bits.ts";
import { columnOf, KINDS, nameOf, valuesOf, valuesOfKind } from "./testing_columns.ts";
import { valueAt } from "./value_at.ts";

for (const kind of KINDS) {
  Deno.test(`columnBuilder takes ${nameOf(kind)} and valueAt gives the same back`, () => {
    const column = columnOf(kind, [...kind.edges, null, ...kind.edges]);
    assert.deepStrictEqual(valuesOf(column, kind.from), [...kind.edges, null, ...kind.edges]);
    fc.assert(fc.property(valuesOfKind(kind), (values) => {
      const built = columnOf(kind, values);
      const nulls = values.filter((value) => value === null).length;
      assert.equal(built.length, values.length);
      assert.equal(built.nulls, nulls);
      assert.equal(built.validity === undefined, nulls === 0);
      assert.deepStrictEqual(valuesOf(built, kind.from), values);
    }));
  });
}

Deno.test("columnBuilder grows, counts its bytes and begins anew", () => {
  for (const kind of KINDS) {
    const builder = columnBuilder(kind.type, kind.from);
    for (const length of [10_000, 3, 0]) {
      const values = Array.from(
        { length },
        (_, i) => i % 7 === 5 ? null : kind.edges[i % kind.edges.length] ?? null,
      );
      for (const value of values) assert.equal(builder.append(value), undefined);
      assert.equal(builder.length, length);
      assert.ok(builder.byteLength >= length / 8);
      const column = builder.finish();
      assert.equal(builder.length, 0);
      assert.equal(builder.byteLength, 0);
      assert.equal(column.validity === undefined, !values.includes(null));
      assert.deepStrictEqual(valuesOf(column, kind.from), values);
    }
  }
});

Deno.test("columnBuilder leaves no bit set behind the last row", () => {
  for (let length = 0; length < 20; length++) {
    const column = columnOf({ type: "int" }, Array.from({ length }, (_, i) => i > 0 ? i : null));
    const last = column.validity?.at(-1) ?? 0;
    assert.equal(column.validity?.length ?? 0, length === 0 ? 0 : bytesOfBits(length));
    if (length % 8 !== 0) assert.equal(last >> (length % 8), 0);
  }
});

const MISFITS: readonly (readonly [LakeType, readonly Value[], ColumnType?])[] = [
  ["boolean", [1, "true", 0n]],
  ["int", [2 ** 31, -(2 ** 31) - 1, 0.5, "1", 2n ** 40n, NaN]],
  ["long", [2 ** 53, 0.5, 2n ** 63n, -(2n ** 63n) - 1n, "1", Infinity]],
  ["double", [NaN, Infinity, -Infinity, 2n ** 53n + 1n, "1"]],
  ["date", ["2026-02-29", "2026-00-01", "2026-1-01", "2026-01-01T00:00:00Z", 5, "", "x026-01-01"]],
  ["timestamptz", [
    "2026-01-31T09:30:00",
    "2026-01-31 09:30:00Z",
    "2026-01-31T09:30:00.Z",
    "2026-01-31T09:30:00.1234567Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31T09:60:00Z",
    "2026-01-31T09:30:60Z",
    "2026-01-31T09:30:00+00:00",
    "2026-01-31T09:30Z",
    "2026-02-30T09:30:00Z",
    "2026-01-31T09:30:00.1 3Z",
    "10000-01-01T00:00:00Z",
    0,
  ]],
  ["string", [1, true, "a\ud800", "\udc00", new Uint8Array(1)]],
  ["string", [1n, new Uint8Array(1), { a: "\ud800" }], "json"],
  ["binary", ["text", [1, 2]]],
  ["decimal(5, 2)", ["1000.00", "0.001", "1e2", ".5", "05.1", "", "-", "1.", 1, "+1"]],
];

Deno.test("columnBuilder refuses what is not held exactly, and takes nothing of it", () => {
  for (const [type, misfits, from] of MISFITS) {
    for (const value of misfits) {
      const builder = columnBuilder(type, from);
      builder.append(null);
      const misfit = builder.append(value);
      if (from === "json" && typeof value === "object" && !(value instanceof Uint8Array)) {
        assert.equal(misfit, undefined, "JSON escapes half of a surrogate pair");
        continue;
      }
      assert.match(String(misfit), /^(takes|does not fit)/, `${type} took ${String(value)}`);
      builder.append(null);
      assert.equal(builder.length, 2);
      assert.deepStrictEqual(valuesOf(builder.finish()), [null, null]);
    }
  }
});

Deno.test("columnBuilder takes other ways to write the same number or time", () => {
  const cases: readonly (readonly [LakeType, Value, Value])[] = [
    ["decimal(5, 2)", "1", "1.00"],
    ["decimal(5, 2)", "1.5000", "1.50"],
    ["decimal(5, 2)", "-0", "0.00"],
    ["timestamptz", "2026-01-31T09:30:00.000Z", "2026-01-31T09:30:00Z"],
    ["timestamptz", "2026-01-31T09:30:00.120000Z", "2026-01-31T09:30:00.12Z"],
    ["double", 2n ** 60n, 2 ** 60],
    ["long", 5n, 5],
    ["long", -0, 0],
  ];
  for (const [type, value, back] of cases) {
    assert.deepStrictEqual(valuesOf(columnOf({ type }, [value])), [back]);
  }
});

Deno.test("columnBuilder keeps nothing of buffers that it gave away", () => {
  const builder = columnBuilder("string");
  builder.append("first");
  const first = builder.finish();
  builder.append("other");
  builder.finish();
  assert.deepStrictEqual(valuesOf(first), ["first"]);
});

Deno.test("columnBuilder and valueAt refuse types and rows that there are not", () => {
  assert.throws(() => columnBuilder("decimal(39, 2)"), TypeError);
  assert.throws(() => valueAt(columnOf({ type: "int" }, [1]), 1), RangeError);
  assert.throws(() => valueAt(columnOf({ type: "int" }, [1]), -1), RangeError);
});
