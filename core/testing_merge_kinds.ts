/**
 * What the merge of other kinds than `lww` must do, said without it, and histories of such columns.
 *
 * @module
 */

import fc from "fast-check";
import type { Hlc } from "./clock.ts";
import { canonicalJson, type Op } from "./delta.ts";
import { type CellKind, compareStamps, type Stamp } from "./merge.ts";
import { modelOf, type View, type Written } from "./testing_merge.ts";
import type { Value } from "./value.ts";

/** The columns of the histories, by place; 0 is `lww`. */
export const KINDS: readonly CellKind[] = ["lww", "counter", "max", "min:decimal", "set"];

/** Values of the `min:decimal` column, the least first. */
const DECIMALS: readonly string[] = ["-10", "-9.5", "-0", "0", "0.00", "1.0", "1.00", "9", "10"];

const add = fc.constantFrom<Value>(
  { add: 0 },
  { add: 1 },
  { add: -3 },
  { add: "9223372036854775807" },
  null,
);
const start = fc.constantFrom<Value>(0, 5, -(2n ** 63n), 2n ** 53n, null);
const greatest = fc.constantFrom<Value>(0, -0, 1.5, -2, 2n ** 53n, null);
const least = fc.constantFrom<Value>(null, ...DECIMALS);
const elements = fc.subarray<string | number | boolean>(["a", "b", 1, true]);
const set = fc.oneof(
  fc.record({ add: elements, remove: elements }, { requiredKeys: [] }),
  fc.constant(null),
);

function valuesOf(op: Op): readonly fc.Arbitrary<Value>[] {
  return [
    fc.constantFrom<Value>("x", "y", null),
    op === "INSERT" ? fc.oneof(start, add) : add,
    greatest,
    least,
    op === "INSERT" ? fc.oneof(elements, set) : set,
  ];
}

const stamp: fc.Arbitrary<Stamp> = fc.record({
  hlc: fc.bigInt({ min: 1n, max: 8n }).map((hlc) => hlc as Hlc),
  clientId: fc.constantFrom("a", "b", "B"),
});

/** One change of columns of every kind, with the tag it was accepted under. */
export const tagged: fc.Arbitrary<Written> = fc
  .constantFrom<Op>("INSERT", "UPDATE", "UPDATE", "DELETE")
  .chain((op) =>
    fc.tuple(
      fc.constant(op),
      stamp,
      stamp,
      fc.tuple(...valuesOf(op)),
      fc.subarray(op === "DELETE" ? [] : [0, 1, 2, 3, 4]),
    )
  )
  .map(([op, own, tag, values, columns]) => ({
    op,
    ...own,
    tag,
    columns,
    kinds: columns.map((column) => KINDS[column] ?? "lww"),
    values: columns.map((column) => values[column] ?? null),
  }));

interface WrittenValue {
  readonly stamp: Stamp;
  readonly tag: Stamp;
  readonly value: Value;
}

function lesser(a: Stamp, b: Stamp): Stamp {
  return compareStamps(a, b) <= 0 ? a : b;
}

function sumOf(values: readonly Value[]): Value {
  let sum = 0n;
  for (const value of values) {
    const by = typeof value === "object" && value !== null && "add" in value ? value.add : value;
    sum += BigInt(String(by));
  }
  const held = BigInt.asIntN(64, sum) === sum ? sum : sum < 0n ? -(2n ** 63n) : 2n ** 63n - 1n;
  return Number.isSafeInteger(Number(held)) ? Number(held) : held;
}

function greatestOf(values: readonly Value[]): Value {
  const order = [-2, -0, 0, 1.5, 2n ** 53n];
  const place = (value: Value) => order.findIndex((other) => Object.is(other, value));
  return order[Math.max(...values.map(place))] ?? null;
}

function leastOf(values: readonly Value[]): Value {
  return DECIMALS[Math.min(...values.map((value) => DECIMALS.indexOf(String(value))))] ?? null;
}

function setOf(writes: readonly WrittenValue[]): Value {
  const stampsOf = (element: Value, field: "add" | "remove") =>
    writes.filter(({ value }) => {
      const form: Value = Array.isArray(value) ? { add: value } : value;
      const list = (form as { readonly [name: string]: Value })[field];
      return Array.isArray(list) && list.includes(element as never);
    }).map(({ stamp }) => stamp).sort(compareStamps).at(-1);
  return ["a", "b", 1, true].filter((element) => {
    const [added, removed] = [stampsOf(element, "add"), stampsOf(element, "remove")];
    if (added === undefined) return false;
    return removed === undefined || compareStamps(added, removed) >= 0;
  }).sort((a, b) => (canonicalJson(a) < canonicalJson(b) ? -1 : 1));
}

/**
 * The view that semantics.md asks for of a history of {@linkcode tagged} changes.
 *
 * @param history all changes, in any order
 * @returns the view
 */
export function taggedModelOf(history: readonly Written[]): View {
  const view = modelOf(history.map((change) => ({ ...change, ...lwwOf(change) })));
  if (view === undefined) return undefined;
  const died = history.filter(({ op }) => op === "DELETE").sort(compareStamps).at(-1);
  const lives = (stamp: Stamp) => died === undefined || compareStamps(stamp, died) > 0;
  const all = new Map(view);
  for (const [column, kind] of KINDS.entries()) {
    if (kind === "lww") continue;
    const writes = history.flatMap((change): WrittenValue[] => {
      const value = change.values[change.columns.indexOf(column)] ?? null;
      if (value === null || change.op === "DELETE") return [];
      const tag = change.op === "INSERT" ? change : lesser(change.tag ?? change, change);
      return [{ stamp: change, tag, value }];
    }).filter(({ stamp, tag }) => lives(kind === "set" ? stamp : tag));
    if (writes.length === 0) continue;
    const values = writes.map(({ value }) => value);
    const valueOf: Readonly<Record<string, () => Value>> = {
      counter: () => sumOf(values),
      max: () => greatestOf(values),
      "min:decimal": () => leastOf(values),
      set: () => setOf(writes),
    };
    all.set(column, valueOf[kind]?.() ?? null);
  }
  return all;
}

function lwwOf({ columns, values }: Written): Pick<Written, "columns" | "values"> {
  const at = columns.indexOf(0);
  return at < 0 ? { columns: [], values: [] } : { columns: [0], values: [values[at] ?? null] };
}
