/**
 * The columns that tables of worlds have, by name, and their values: from domains so small that
 * conditions often hold, or tokens that are found on the wire.
 *
 * @module
 */

import type { ColumnSpec, JsonValue, Op, Value } from "@lakesync/core";
import type { Random } from "./random.ts";

/** The users. */
export const USERS: readonly string[] = ["u0", "u1", "u2"];

/** What sets and arrays hold. */
export const ELEMENTS: readonly (string | number | boolean)[] = ["k0", "k1", "u0", 1, true];

/** The columns beside the key, by name. */
export const COLUMNS: Readonly<Record<string, ColumnSpec>> = {
  user: { type: "string" },
  k: { type: "string" },
  n: { type: "integer" },
  b: { type: "boolean" },
  d: { type: "decimal(6,2)" },
  t: { type: "timestamp" },
  tags: { type: "json" },
  set: { type: "json", merge: "set" },
  count: { type: "integer", merge: "counter" },
  most: { type: "integer", merge: "max" },
  least: { type: "decimal(6,2)", merge: "min" },
  ref: { type: "string" },
  text: { type: "string" },
  note: { type: "string" },
};

const DECIMALS = ["1", "1.0", "1.00", "2", "-0.5", "10", "0", "-0"];

/** Values that rules compare with, by column. */
export const DOMAINS: Readonly<Record<string, readonly Value[]>> = {
  user: USERS,
  k: ["k0", "k1", "k2"],
  n: [0, 1, 2, 3],
  b: [true, false],
  d: DECIMALS,
  t: [
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.000Z",
    "2026-01-01T00:00:00.5Z",
    "2026-01-01T00:00:00.500000Z",
    "2025-12-31T23:59:59.999999Z",
  ],
  count: [0, 1, 2, 3],
  most: [0, 1, 2, 3],
  least: DECIMALS,
  ref: ["k0", "k1"],
  text: ["k0"],
  note: ["k0"],
  id: ["k0"],
};

/** The claim that a column is most often compared with. */
export const CLAIM_OF: Readonly<Record<string, string>> = {
  user: "sub",
  k: "k",
  n: "n",
  d: "d",
  t: "t",
  count: "n",
  most: "n",
  least: "d",
  ref: "k",
};

/** Claims: values, arrays, or nothing; rarely of another type. */
export function randomClaims(random: Random): Record<string, unknown> {
  const claims: Record<string, unknown> = {};
  for (const name of ["k", "n", "d", "t", "e"]) {
    if (random.chance(0.15)) continue;
    const domain = random.chance(0.05) ? ELEMENTS : DOMAINS[name] ?? ELEMENTS;
    claims[name] = random.chance(0.3)
      ? random.list(0, 3, () => random.pick<Value>(domain))
      : random.pick<Value>(domain);
  }
  return claims;
}

function elements(random: Random): JsonValue[] {
  return random.some(ELEMENTS, 0.3);
}

/**
 * What a delta carries for a column.
 *
 * @param random chance
 * @param column the column's name
 * @param op what the delta does
 * @param rowIds rows that `ref` may name
 * @returns the value
 */
export function randomValue(
  random: Random,
  column: string,
  op: Op,
  rowIds: readonly string[],
): Value {
  if (random.chance(0.1)) return null;
  switch (column) {
    case "tags":
      return random.chance(0.1) ? { k: "k0" } : elements(random);
    case "set":
      return op === "INSERT" && random.chance(0.5)
        ? elements(random)
        : { add: elements(random), remove: elements(random) };
    case "count":
      return op === "INSERT" && random.chance(0.5)
        ? random.below(3)
        : { add: random.between(-1, 2) };
    case "ref":
      return random.chance(0.6) ? random.pick(rowIds) : random.pick(["k0", "k1"]);
    case "text":
    case "note":
      return random.token();
    default:
      return random.pick(DOMAINS[column] ?? [null]);
  }
}
