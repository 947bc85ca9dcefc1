import assert from "node:assert/strict";
import type { Value } from "@lakesync/core";
import fc from "fast-check";
import { columnOf, KINDS, nameOf, valuesOfKind } from "../columns/testing_columns.ts";
import type { LakeType } from "../iceberg/schema.ts";
import { boundsOf, singleValue } from "./bounds.ts";

const encoder = new TextEncoder();

function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes && Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Examples as the specification writes them. */
const VALUES: readonly (readonly [LakeType, Value, string])[] = [
  ["boolean", false, "00"],
  ["boolean", true, "01"],
  ["int", -2, "feffffff"],
  ["long", 34, "2200000000000000"],
  ["long", -(2n ** 63n), "0000000000000080"],
  ["double", 1, "000000000000f03f"],
  ["date", "1970-01-02", "01000000"],
  ["date", "1969-12-31", "ffffffff"],
  ["timestamptz", "2017-11-16T22:31:08Z", "00c3262d215e0500"],
  ["string", "iceberg é", "6963656265726720c3a9"],
  ["binary", Uint8Array.of(0, 1, 255), "0001ff"],
  ["decimal(9, 2)", "14.20", "058c"],
  ["decimal(9, 2)", "0.00", "00"],
  ["decimal(9, 2)", "-0.01", "ff"],
  ["decimal(9, 2)", "1.27", "7f"],
  ["decimal(9, 2)", "1.28", "0080"],
  ["decimal(9, 2)", "-1.28", "80"],
  ["decimal(38, 0)", "9".repeat(38), "4b3b4ca85a86c47a098a223fffffffff"],
];

for (const [type, value, expected] of VALUES) {
  Deno.test(`singleValue writes ${type} ${String(value)} as ${expected}`, () => {
    assert.equal(hex(singleValue(columnOf({ type }, [null, value]), 1)), expected);
  });
}

function textBounds(...texts: readonly string[]): (string | undefined)[] {
  const { lower, upper } = boundsOf(columnOf({ type: "string" }, texts));
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
  return [lower, upper].map((bound) => bound && decoder.decode(bound));
}

Deno.test("boundsOf cuts texts to 16 characters, the upper bound above what was cut", () => {
  const sixteen = "abcdefghijklmnop";
  assert.deepStrictEqual(textBounds(sixteen), [sixteen, sixteen]);
  assert.deepStrictEqual(textBounds(`${sixteen}q`), [sixteen, "abcdefghijklmnoq"]);
  const smileys = "😀".repeat(17);
  assert.deepStrictEqual(textBounds(smileys), ["😀".repeat(16), `${"😀".repeat(15)}😁`]);
  const last = "\u{10ffff}";
  assert.deepStrictEqual(textBounds(`ab${last.repeat(20)}`), [`ab${last.repeat(14)}`, "ac"]);
  assert.deepStrictEqual(textBounds(last.repeat(17)), [last.repeat(16), undefined]);
  assert.deepStrictEqual(textBounds(last.repeat(16)), [last.repeat(16), last.repeat(16)]);
  const beforeSurrogates = "\ud7ff".repeat(17);
  assert.equal(textBounds(beforeSurrogates)[1], `${"\ud7ff".repeat(15)}\ue000`);
  assert.deepStrictEqual(textBounds(""), ["", ""]);
});

Deno.test("boundsOf cuts bytes to 16, the upper bound above what was cut", () => {
  const bound = (bytes: Uint8Array) => {
    const { lower, upper } = boundsOf(columnOf({ type: "binary" }, [bytes]));
    return [hex(lower), hex(upper)];
  };
  assert.deepStrictEqual(bound(new Uint8Array(16)), ["00".repeat(16), "00".repeat(16)]);
  assert.deepStrictEqual(bound(new Uint8Array(17)), ["00".repeat(16), `${"00".repeat(15)}01`]);
  const full = new Uint8Array(20).fill(255);
  assert.deepStrictEqual(bound(full), ["ff".repeat(16), undefined]);
  full[1] = 3;
  assert.deepStrictEqual(bound(full), [`ff03${"ff".repeat(14)}`, "ff04"]);
});

Deno.test("boundsOf takes a zero of doubles for both zeros", () => {
  for (const zero of [0, -0]) {
    const { lower, upper } = boundsOf(columnOf({ type: "double" }, [zero]));
    assert.deepStrictEqual([hex(lower), hex(upper)], ["0000000000000080", "0000000000000000"]);
  }
});

Deno.test("boundsOf has none of columns without values", () => {
  for (const values of [[], [null, null]]) {
    for (const { type } of KINDS) {
      const { lower, upper } = boundsOf(columnOf({ type }, values));
      assert.deepStrictEqual([lower, upper], [undefined, undefined]);
    }
  }
});

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return (a[i] ?? 0) - (b[i] ?? 0);
  }
  return a.length - b.length;
}

for (const kind of KINDS.filter(({ type }) => type === "string" || type === "binary")) {
  Deno.test(`boundsOf is below and above every ${nameOf(kind)}, in 64 bytes`, () => {
    fc.assert(fc.property(valuesOfKind(kind, 20), (values) => {
      const { lower, upper } = boundsOf(columnOf(kind, values));
      for (const value of values) {
        if (value === null) continue;
        const bytes = value instanceof Uint8Array
          ? value
          : encoder.encode(kind.from === "json" ? JSON.stringify(value) : String(value));
        assert.ok(lower !== undefined && lower.length <= 64 && compareBytes(lower, bytes) <= 0);
        if (upper === undefined) continue;
        assert.ok(upper.length <= 64 && compareBytes(upper, bytes) >= 0);
      }
    }));
  });
}
