/**
 * A schema with every column type, and values of each type with all their edges.
 *
 * @module
 */

import fc from "fast-check";
import { parseSchema, type Schema } from "./schema.ts";
import { type ColumnType, toInteger, utf8Length, type Value } from "./value.ts";

/** One table with every type, one with a key of several columns. */
export const SCHEMA: Schema = parseSchema({
  version: 3,
  tables: {
    things: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        name: "string",
        size: "integer",
        weight: "number",
        done: "boolean",
        at: "timestamp",
        day: "date",
        ref: "uuid",
        price: "decimal(12,4)",
        blob: "bytes",
        meta: "json",
      },
    },
    pairs: {
      primaryKey: ["org", "no"],
      columns: { org: "string", no: "integer", note: "string" },
    },
  },
});

/** Texts that codecs get wrong. */
export const TEXT_EDGES: readonly string[] = [
  "",
  " ",
  "\u0001",
  "\ufeff",
  "\ufeffwith a byte order mark",
  "\ufffd",
  "\uffff",
  "é\u0301",
  "😀",
  "👩‍👩‍👧‍👦",
  "𐀀\u{10ffff}",
  "\u2028\u2029",
  "null",
  "__proto__",
  '"\\/\b\f\n\r\t',
  "a".repeat(238),
  "a".repeat(239),
  "a".repeat(240),
  "é".repeat(119),
  "é".repeat(120),
];

const text = fc.oneof(
  fc.constantFrom(...TEXT_EDGES),
  fc.string({ unit: "binary" }).filter((text) => utf8Length(text) >= 0),
);

/** Integers at every bound that a store or a codec has. */
export const INTEGER_EDGES: readonly (number | bigint)[] = [
  0,
  1,
  -1,
  127,
  128,
  2 ** 31,
  -(2 ** 31) - 1,
  2 ** 32,
  Number.MAX_SAFE_INTEGER,
  Number.MIN_SAFE_INTEGER,
  2n ** 53n,
  -(2n ** 53n),
  2n ** 53n + 1n,
  2n ** 63n - 1n,
  -(2n ** 63n),
];

const integer = fc.oneof(
  fc.constantFrom(...INTEGER_EDGES),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(toInteger),
);

/** Doubles that codecs get wrong. */
export const NUMBER_EDGES: readonly number[] = [
  0,
  -0,
  0.1,
  -1.5,
  1e21,
  1e308,
  -1.7976931348623157e308,
  5e-324,
  2 ** 53,
  -(2 ** 53),
  Number.MAX_SAFE_INTEGER,
];

const number = fc.oneof(
  fc.constantFrom(...NUMBER_EDGES),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

const day = fc.date({
  min: new Date("0001-01-01T00:00:00Z"),
  max: new Date("9999-12-31T23:59:59Z"),
  noInvalidDate: true,
});

const timestamp = fc.tuple(day, fc.string({ unit: "grapheme-ascii" })).map(
  ([date, more]) => {
    const digits = [...more].map((c) => c.charCodeAt(0) % 10).join("");
    const fraction = digits === "" ? "" : `.${digits.slice(0, 6)}`;
    return `${date.toISOString().slice(0, 19)}${fraction}Z`;
  },
);

const decimal = fc.tuple(
  fc.boolean(),
  fc.integer({ min: 0, max: 99_999_999 }),
  fc.constantFrom("", ".0", ".5", ".0001", ".9999"),
).map(([minus, whole, fraction]) => `${minus ? "-" : ""}${whole}${fraction}`);

const bytes = fc.oneof(
  fc.constantFrom(new Uint8Array(), new Uint8Array([0]), new Uint8Array(300)),
  fc.uint8Array(),
);

/** Structured values as the wire gives them back: within them, -0 is written as 0. */
const json = fc.oneof(
  fc.constantFrom<Value>({}, [], { a: { b: [1, { c: null }] } }, "", -0, {
    "": "",
    "\ufeff": ["😀"],
    constructor: 1,
  }),
  fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.parse(JSON.stringify(value))),
);

const BY_TYPE: Readonly<Record<string, fc.Arbitrary<Value>>> = {
  string: text,
  integer,
  number,
  boolean: fc.boolean(),
  timestamp,
  date: day.map((date) => date.toISOString().slice(0, 10)),
  uuid: fc.uuid(),
  bytes,
  json,
};

/**
 * Values that fit a column type.
 *
 * @param type a column type
 * @returns values without null
 */
export function valueOf(type: ColumnType): fc.Arbitrary<Value> {
  return BY_TYPE[type] ?? decimal;
}

/**
 * The value that comes back through JSON, which has no -0.
 *
 * @param value a valid value
 * @returns the same value, 0 for -0
 */
export function throughJson(value: Value): Value {
  return Object.is(value, -0) ? 0 : value;
}
