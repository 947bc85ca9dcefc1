import assert from "node:assert/strict";
import fc from "fast-check";
import { type ExtremeKind, kindOf, orderOf } from "./merge_kind.ts";
import { parseSchema } from "./schema.ts";
import { valueOf } from "./testing_values.ts";
import type { ColumnType, Value } from "./value.ts";

const TYPES: readonly ColumnType[] = [
  ...["integer", "number", "string", "timestamp", "date"] as const,
  "decimal(12,4)",
];

function kindFor(type: ColumnType, merge: "max" | "min"): ExtremeKind {
  const columns = { id: "string", x: { type, merge } };
  const schema = parseSchema({ version: 1, tables: { t: { primaryKey: ["id"], columns } } });
  const column = schema.tables.get("t")?.byName.get("x");
  assert.ok(column);
  const kind = kindOf(column);
  assert.ok(kind !== "lww" && kind !== "counter" && kind !== "set");
  return kind;
}

for (const type of TYPES) {
  Deno.test(`the order of ${type} columns is total, and zero only for the same value`, () => {
    const order = orderOf(kindFor(type, "max"));
    const turned = orderOf(kindFor(type, "min"));
    const value = valueOf(type);
    fc.assert(
      fc.property(value, value, value, (a, b, c) => {
        assert.equal(Math.sign(order(a, b)) + Math.sign(order(b, a)), 0);
        assert.equal(Math.sign(order(a, b)) + Math.sign(turned(a, b)), 0);
        assert.equal(order(a, b) === 0, Object.is(a, b));
        const [least, middle, greatest] = [a, b, c].sort(order);
        assert.ok(order(least ?? null, middle ?? null) <= 0);
        assert.ok(order(least ?? null, greatest ?? null) <= 0);
      }),
      { numRuns: 2_000 },
    );
  });
}

function isSorted(type: ColumnType, values: readonly Value[]): void {
  const order = orderOf(kindFor(type, "max"));
  for (const [i, value] of values.entries()) {
    for (const later of values.slice(i + 1)) {
      assert.ok(order(value, later) < 0, `${value} comes before ${later}`);
    }
  }
}

Deno.test("values are ordered by what they stand for, then by how they are written", () => {
  isSorted("integer", [-(2n ** 63n), -1, -0, 0, 1, 2 ** 53 - 1, 2n ** 53n, 2n ** 63n - 1n]);
  isSorted("number", [-1e308, -0.5, -0, 0, 5e-324, 9, 10, 1e21]);
  isSorted("string", ["", "10", "9", "B", "a", "aa", "é", "\ud7ff", "\ue000", "\uffff", "😀"]);
  isSorted("timestamp", [
    "2026-01-31T09:30:00Z",
    "2026-01-31T09:30:00.000001Z",
    "2026-01-31T09:30:00.1Z",
    "2026-01-31T09:30:00.10Z",
    "2026-01-31T09:30:00.11Z",
    "2026-01-31T09:30:01Z",
  ]);
  isSorted("date", ["0001-01-01", "1999-12-31", "2026-01-31"]);
  isSorted("decimal(12,4)", [
    ...["-10", "-9.5", "-9.25", "-9.05", "-0.1", "-0", "-0.0", "0", "0.0"],
    ...["0.05", "0.1", "0.10", "0.11", "1", "1.0", "9", "10", "100.5"],
  ]);
});

function compareBytes(a: string, b: string): number {
  const [x, y] = [new TextEncoder().encode(a), new TextEncoder().encode(b)];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const by = (x[i] ?? 0) - (y[i] ?? 0);
    if (by !== 0) return by;
  }
  return x.length - y.length;
}

Deno.test("text is ordered as its UTF-8 bytes are, as SQLite has it", () => {
  const order = orderOf("max");
  const text = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(text, text, (a, b) => {
      assert.equal(Math.sign(order(a, b)), Math.sign(compareBytes(a, b)));
    }),
    { numRuns: 5_000 },
  );
  assert.ok(order("\uffff", "😀") < 0);
});
