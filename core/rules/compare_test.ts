import assert from "node:assert/strict";
import fc from "fast-check";
import { valueOf } from "../testing_values.ts";
import type { ColumnType } from "../value.ts";
import { compareValues, keyText } from "./compare.ts";

const ORDERED: readonly ColumnType[] = [
  "string",
  "integer",
  "number",
  "timestamp",
  "date",
  "decimal(12,4)",
];

for (const type of ORDERED) {
  Deno.test(`compareValues orders ${type} totally, and keyText is equal where it says equal`, () => {
    const value = valueOf(type);
    fc.assert(
      fc.property(value, value, value, (a, b, c) => {
        const order = compareValues(a, b, type);
        assert.ok(order !== undefined);
        assert.equal(Math.sign(order) + Math.sign(compareValues(b, a, type) ?? NaN), 0);
        assert.equal(order === 0, keyText(a, type) === keyText(b, type));
        if (order <= 0 && (compareValues(b, c, type) ?? NaN) <= 0) {
          assert.ok((compareValues(a, c, type) ?? NaN) <= 0);
        }
      }),
    );
  });
}

Deno.test("compareValues compares text by code point, instants with microseconds, decimals as numbers", () => {
  const less: readonly [ColumnType, string, string][] = [
    ["string", "\uffff", "😀"],
    ["string", "a", "aa"],
    ["timestamp", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000001Z"],
    ["timestamp", "2026-01-01T00:00:00.09Z", "2026-01-01T00:00:00.1Z"],
    ["decimal(38,1)", "9007199254740993.1", "9007199254740993.2"],
    ["decimal(5,2)", "-10", "-9.5"],
    ["decimal(5,2)", "9", "10"],
  ];
  for (const [type, a, b] of less) {
    assert.ok((compareValues(a, b, type) ?? 0) < 0, `${a} < ${b}`);
    assert.ok((compareValues(b, a, type) ?? 0) > 0, `${b} > ${a}`);
  }
  assert.equal(compareValues("-0", "0.0", "decimal(5,2)"), 0);
  assert.equal(compareValues(2 ** 53 - 1, 2n ** 53n, "integer"), -1);
  assert.equal(compareValues(true, false, "boolean"), undefined);
  assert.equal(compareValues("a", "b", "uuid"), undefined);
});

Deno.test("keyText is one text for equal values and plain canonical JSON elsewhere", () => {
  assert.equal(keyText("2026-01-01T00:00:00.500Z", "timestamp"), '"2026-01-01T00:00:00.5Z"');
  assert.equal(keyText("2026-01-01T00:00:00.000Z", "timestamp"), '"2026-01-01T00:00:00Z"');
  assert.equal(keyText("10.00", "decimal(5,2)"), '"10"');
  assert.equal(keyText("100", "decimal(5,2)"), '"100"');
  assert.equal(keyText("1.50", "string"), '"1.50"');
  assert.equal(keyText(-0, "number"), "0");
  assert.equal(keyText(2n ** 53n, "integer"), '"9007199254740992"');
});
