import assert from "node:assert/strict";
import type { Value } from "@lakesync/core";
import { columnOf } from "../columns/testing_columns.ts";
import type { LakeType } from "../iceberg/schema.ts";
import { repeats } from "./encodings.ts";

const ROWS = 10_000;

const CASES: readonly (readonly [string, LakeType, (row: number) => Value, boolean])[] = [
  ["ids that all differ", "string", (row) => row.toString(16).padStart(64, "0"), false],
  ["increasing numbers", "long", (row) => row, false],
  ["one of three texts", "string", (row) => ["INSERT", "UPDATE", "DELETE"][row % 3] ?? null, true],
  ["fifty names, one after the other", "string", (row) => `phone-${Math.floor(row / 200)}`, true],
  ["the same number", "int", () => 1, true],
  ["times of commits of a hundred rows", "long", (row) => Math.floor(row / 100), false],
  ["no value at all", "string", () => null, true],
  ["a few values among nulls", "double", (row) => row % 90 === 0 ? row : null, false],
];

for (const [what, type, valueOf, expected] of CASES) {
  Deno.test(`repeats is ${expected} for ${what}`, () => {
    const column = columnOf({ type }, Array.from({ length: ROWS }, (_, row) => valueOf(row)));
    assert.equal(repeats(column), expected);
  });
}
