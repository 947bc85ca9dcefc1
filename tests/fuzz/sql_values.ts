/**
 * SQL literals of a column's type, out of a few, so that rows meet, and the edges of each type; and
 * some that no synced column takes.
 *
 * @module
 */

import type { ColumnType } from "@lakesync/core";
import type { Choices } from "./choices.ts";

const GOOD: Readonly<Record<string, readonly string[]>> = {
  string: [
    "'a'",
    "'b'",
    "'B'",
    "''",
    "'é😀'",
    "'1'",
    "'1.0'",
    "'a''\"`[;--'",
    "char(10)",
  ],
  integer: ["1", "2", "0", "-1", "9007199254740992", "9223372036854775000", "-9223372036854775808"],
  number: ["1", "0.5", "-0.0", "1e308", "5e-324", "0.1 + 0.2", "9007199254740993", "3"],
  boolean: ["0", "1", "TRUE", "FALSE"],
  timestamp: [
    "'2026-01-31T09:30:00Z'",
    "'2026-01-31T09:30:00.5Z'",
    "'1969-12-31T23:59:59.999999Z'",
    "'9999-12-31T00:00:00Z'",
  ],
  date: ["'2026-01-31'", "'2024-02-29'", "'0001-01-01'", "'9999-12-31'"],
  uuid: [
    "'00000000-0000-4000-8000-00000000000a'",
    "'00000000-0000-4000-8000-00000000000b'",
    "'12345678-1234-4234-8234-123456789012'",
  ],
  bytes: ["x''", "x'00'", "x'ff00'", "zeroblob(3)", "CAST('text' AS BLOB)"],
  json: [
    "'{}'",
    "'[1, 2]'",
    "'\"text\"'",
    '\'{"a": {"b": [true, null]}}\'',
    "json_array(1, 'x')",
    "'12'",
    "'1e3'",
    '\'{"b":1,"a":2}\'',
    '\'{"a":1,"a":2}\'',
    "'\"\\u00e9\"'",
    "'12345678901234567890'",
  ],
  decimal: ["'1'", "'1.5'", "'-0.5'", "'10.25'"],
  set: [
    "'[]'",
    "'[\"x\"]'",
    '\'["x","y"]\'',
    "'[1, \"1\", true]'",
    "'[0.1, 1.0, 1]'",
    "json_array('é😀', 'x')",
    '\'["x","x"]\'',
  ],
};

const ODD = [
  "NULL",
  "'x' || char(0)",
  "x'00'",
  "1.5",
  "9e999",
  "'2026-02-30'",
  "''",
  "'{'",
  "2",
  "'[null]'",
  "'1e400'",
  "'[1e400]'",
  "'\"\\ud800\"'",
  "'[\"\\ud800\"]'",
  "'{\"\\u0000\":1}'",
  "'-'",
  "'0000-01-01'",
  "'2026-01-31T24:00:00Z'",
  "zeroblob(0)",
  "abs(-3)",
];

/**
 * Writes a value that a column takes.
 *
 * @param c what chooses
 * @param type the column's type
 * @param isSet whether it is a set
 */
export function goodValue(c: Choices, type: ColumnType, isSet = false): string {
  const [name = ""] = type.split("(");
  return c.pick(GOOD[isSet ? "set" : name] ?? ["NULL"]);
}

/**
 * Writes a value for a column: mostly one that it takes.
 *
 * @param c what chooses
 * @param type the column's type
 * @param isSet whether it is a set
 */
export function someValue(c: Choices, type: ColumnType, isSet = false): string {
  if (c.oneIn(10)) return "NULL";
  return c.oneIn(24) ? c.pick(ODD) : goodValue(c, type, isSet);
}
