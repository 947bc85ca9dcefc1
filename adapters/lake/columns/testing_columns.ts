/**
 * For tests: values of every type of column, with all their edges, in the form in which they are read
 * back.
 *
 * @module
 */

import type { ColumnType, Value } from "@lakesync/core";
import fc from "fast-check";
import type { LakeType } from "../iceberg/schema.ts";
import { columnBuilder } from "./build.ts";
import type { Column } from "./column.ts";
import { valueAt } from "./value_at.ts";

/** A type of column, and of which type its values are at LakeSync where that matters. */
export interface Kind {
  readonly type: LakeType;
  readonly from?: ColumnType;
  /** Values at the edges. */
  readonly edges: readonly Value[];
  /** Any values. */
  readonly any: fc.Arbitrary<Value>;
}

function int64(): fc.Arbitrary<Value> {
  return fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map((value) => {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  });
}

function date(): fc.Arbitrary<string> {
  return fc.date({
    min: new Date("0000-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59.999Z"),
    noInvalidDate: true,
  }).map((value) => value.toISOString().slice(0, 10));
}

function timestamp(): fc.Arbitrary<string> {
  const second = fc.integer({ min: 0, max: 86_399 }).map((value) =>
    new Date(value * 1_000).toISOString().slice(11, 19)
  );
  const fraction = fc.integer({ min: 0, max: 999_999 }).map((value) =>
    value === 0 ? "" : `.${String(value).padStart(6, "0").replace(/0+$/, "")}`
  );
  return fc.tuple(date(), second, fraction).map(([day, time, rest]) => `${day}T${time}${rest}Z`);
}

function decimal(precision: number, scale: number): fc.Arbitrary<string> {
  const most = 10n ** BigInt(precision) - 1n;
  return fc.bigInt(-most, most).map((units) => {
    const digits = String(units < 0n ? -units : units).padStart(scale + 1, "0");
    const cut = digits.length - scale;
    const point = scale === 0 ? "" : `.${digits.slice(cut)}`;
    return `${units < 0n ? "-" : ""}${digits.slice(0, cut)}${point}`;
  });
}

function text(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.string({ unit: "grapheme", maxLength: 20 }),
    fc.string({ maxLength: 40 }),
  );
}

/** Every type of column. */
export const KINDS: readonly Kind[] = [
  { type: "boolean", edges: [true, false], any: fc.boolean() },
  { type: "int", edges: [0, -1, 2 ** 31 - 1, -(2 ** 31)], any: fc.integer() },
  {
    type: "long",
    edges: [0, -1, 2n ** 63n - 1n, -(2n ** 63n), 2 ** 53 - 1, -(2 ** 53) + 1, 2n ** 53n],
    any: int64(),
  },
  {
    type: "double",
    edges: [0, -0, 1e308, -1e308, Number.MIN_VALUE, Number.MAX_VALUE, 0.1, -1 / 3],
    any: fc.double({ noNaN: true, noDefaultInfinity: true }),
  },
  {
    type: "date",
    edges: ["1970-01-01", "1969-12-31", "0001-01-01", "9999-12-31", "2000-02-29", "1900-03-01"],
    any: date(),
  },
  {
    type: "timestamptz",
    edges: [
      "1970-01-01T00:00:00Z",
      "1969-12-31T23:59:59.999999Z",
      "1969-12-31T23:59:59Z",
      "1582-10-15T00:00:00.1Z",
      "0001-01-01T00:00:00.000001Z",
      "9999-12-31T23:59:59.999999Z",
      "2026-01-31T09:30:00.12345Z",
    ],
    any: timestamp(),
  },
  {
    type: "string",
    edges: [
      "",
      "a",
      "é",
      "😀",
      "\ufeffa",
      "\u{10ffff}",
      "\uffff",
      "\0",
      "x".repeat(5_000),
      "é".repeat(5_000),
    ],
    any: text(),
  },
  {
    type: "string",
    from: "json",
    edges: [0, "", "text", true, { a: [1, null], b: "é" }, []],
    any: fc.jsonValue({ stringUnit: "grapheme" }).filter((value) => value !== null)
      .map((value) => JSON.parse(JSON.stringify(value))),
  },
  {
    type: "binary",
    edges: [new Uint8Array(), Uint8Array.of(0, 255), new Uint8Array(5_000).fill(7)],
    any: fc.uint8Array({ maxLength: 40 }),
  },
  {
    type: "decimal(9, 2)",
    edges: ["0.00", "-0.01", "9999999.99", "-9999999.99"],
    any: decimal(9, 2),
  },
  { type: "decimal(18, 0)", edges: ["0", "-1", "9".repeat(18)], any: decimal(18, 0) },
  {
    type: "decimal(38, 10)",
    edges: [
      "0.0000000001",
      `${"9".repeat(28)}.${"9".repeat(10)}`,
      `-${"9".repeat(28)}.${"9".repeat(10)}`,
      "-1844674407.3709551616",
      "922337203.6854775808",
    ],
    any: decimal(38, 10),
  },
  { type: "decimal(38, 38)", edges: [`0.${"9".repeat(38)}`], any: decimal(38, 38) },
];

/** The name of a kind in names of tests. */
export function nameOf({ type, from }: Kind): string {
  return from === undefined ? type : `${type} of ${from}`;
}

/** Values of a kind, with nulls: all nulls, none, or some. */
export function valuesOfKind({ edges, any }: Kind, maxLength = 200): fc.Arbitrary<Value[]> {
  const value = fc.oneof(any, fc.constantFrom(...edges));
  return fc.oneof(
    fc.array(value, { maxLength }),
    fc.array(fc.option(value, { freq: 3 }), { maxLength }),
    fc.array(fc.constant(null), { maxLength }),
  );
}

/** Builds a column, of which every value must fit. */
export function columnOf(
  { type, from }: Omit<Kind, "any" | "edges">,
  values: readonly Value[],
): Column {
  const builder = columnBuilder(type, from);
  for (const value of values) {
    const misfit = builder.append(value);
    if (misfit !== undefined) throw new Error(`${type} ${misfit}`);
  }
  return builder.finish();
}

/** All values of a column. */
export function valuesOf(column: Column, from?: ColumnType): Value[] {
  return Array.from({ length: column.length }, (_, i) => valueAt(column, i, from));
}
