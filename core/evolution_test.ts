import assert from "node:assert/strict";
import fc from "fast-check";
import { formerNameOf, widens } from "./evolution.ts";
import { valueOf } from "./testing_values.ts";
import { type ColumnType, toPlainJson, valueCheck } from "./value.ts";

const TYPES: readonly ColumnType[] = [
  "string",
  "integer",
  "number",
  "boolean",
  "timestamp",
  "date",
  "uuid",
  "bytes",
  "json",
  "decimal(12,4)",
  "decimal(20,4)",
  "decimal(20,6)",
];

Deno.test("formerNameOf prefers a declared rename, then the same name", () => {
  const before = new Set(["a", "b"]);
  assert.equal(formerNameOf({ name: "b", renamedFrom: "a" }, before), "a");
  assert.equal(formerNameOf({ name: "b", renamedFrom: "c" }, before), "b");
  assert.equal(formerNameOf({ name: "b", renamedFrom: undefined }, before), "b");
  assert.equal(formerNameOf({ name: "d", renamedFrom: "c" }, before), undefined);
});

Deno.test("widens allows these and nothing else", () => {
  const allowed = TYPES.flatMap((from) =>
    TYPES.filter((to) => widens(from, to)).map((to) => `${from} > ${to}`)
  );
  assert.deepEqual(allowed, [
    "integer > number",
    "timestamp > string",
    "date > string",
    "uuid > string",
    "decimal(12,4) > decimal(20,4)",
  ]);
});

for (const from of TYPES) {
  for (const to of TYPES.filter((type) => widens(from, type))) {
    Deno.test(`G12: every ${from} is a ${to}, whole numbers beyond 2^53 as the nearest one`, () => {
      const check = valueCheck(to);
      fc.assert(fc.property(valueOf(from), (value) => {
        const read = to === "number" ? Number(value) : value;
        assert.equal(check?.(read), undefined);
        if (typeof value !== "bigint") assert.equal(toPlainJson(read), toPlainJson(value));
      }));
    });
  }
}
