import assert from "node:assert/strict";
import fc from "fast-check";
import {
  bigEndian,
  compareValues,
  decodeValue,
  encodeValue,
  fromBigEndian,
  type SingleValue,
} from "./single_value.ts";

const hex = (bytes: Uint8Array) => bytes.toHex();

Deno.test("encodeValue writes what the specification says", () => {
  const cases: [string, SingleValue, string][] = [
    ["boolean", true, "01"],
    ["boolean", false, "00"],
    ["int", -2, "feffffff"],
    ["date", 1, "01000000"],
    ["long", 2n ** 63n - 1n, "ffffffffffffff7f"],
    ["timestamptz", -1n, "ffffffffffffffff"],
    ["double", 1.5, "000000000000f83f"],
    ["string", "é", "c3a9"],
    ["binary", Uint8Array.of(0, 255), "00ff"],
    ["decimal(9, 2)", 1420n, "058c"],
    ["decimal(9, 2)", -1n, "ff"],
    ["decimal(38, 0)", 128n, "0080"],
    ["decimal(38, 0)", 0n, "00"],
  ];
  for (const [type, value, bytes] of cases) {
    assert.equal(hex(encodeValue(type, value)), bytes, `${type} ${value}`);
    assert.deepEqual(decodeValue(type, encodeValue(type, value)), value);
  }
});

Deno.test("decodeValue reads what was written before the column was widened", () => {
  assert.equal(decodeValue("long", encodeValue("int", -7)), -7n);
  assert.equal(decodeValue("double", encodeValue("float", 0.5)), 0.5);
  assert.throws(() => decodeValue("int", Uint8Array.of(1)), TypeError);
});

Deno.test("bigEndian writes as few bytes as hold the number, or as many as asked for", () => {
  fc.assert(fc.property(fc.bigInt({ min: -(10n ** 38n), max: 10n ** 38n }), (value) => {
    const bytes = bigEndian(value);
    assert.equal(fromBigEndian(bytes), value);
    assert.equal(fromBigEndian(bigEndian(value, 16)), value);
    if (bytes.length > 1) assert.notEqual(fromBigEndian(bytes.subarray(1)), value);
  }));
});

Deno.test("compareValues orders texts by their bytes, numbers by their size", () => {
  assert.ok(compareValues("\u{10000}", "\uffff") > 0);
  assert.ok(compareValues("a", "ab") < 0);
  assert.ok(compareValues(Uint8Array.of(1, 255), Uint8Array.of(2)) < 0);
  assert.equal(compareValues(-5n, -5), 0);
  fc.assert(fc.property(fc.bigInt(), fc.bigInt(), (a, b) => {
    assert.equal(Math.sign(compareValues(a, b)), a < b ? -1 : a > b ? 1 : 0);
  }));
});
