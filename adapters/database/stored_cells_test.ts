import assert from "node:assert/strict";
import fc from "fast-check";
import type { Hlc, Value } from "@lakesync/core";
import { decodeCells, encodeCells, type KeptCell } from "./stored_cells.ts";

/** Structured values as the wire gives them: within them there is no -0. */
const json = fc.jsonValue().map((value): Value => JSON.parse(JSON.stringify(value)));

const value: fc.Arbitrary<Value> = fc.oneof(
  fc.constantFrom<Value>(
    null,
    -0,
    0,
    1e308,
    5e-324,
    2n ** 53n,
    -(2n ** 63n),
    "",
    "a\0b\ud800",
    new Uint8Array(),
    { $int: "1" },
    { $bytes: "AA==", more: 1 },
    { $json: { $json: -1 } },
    [{ $number: "-0" }],
    JSON.parse('{"__proto__": 1}'),
  ),
  fc.uint8Array(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.string({ unit: "binary" }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  json,
);

const cell: fc.Arbitrary<KeptCell> = fc.record({
  value,
  stamp: fc.option(
    fc.record({
      hlc: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map((hlc) => hlc as Hlc),
      clientId: fc.constantFrom("a", 'b"', "ü"),
    }, { noNullPrototype: true }),
    { nil: undefined },
  ),
}, { noNullPrototype: true });

Deno.test("decodeCells gives back what encodeCells was given, ascending", () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 2 ** 31 }), cell)), (list) => {
    const cells = new Map(list);
    const sorted = [...cells].sort(([a], [b]) => a - b);
    assert.deepEqual([...decodeCells(encodeCells(cells))], sorted);
  }));
});
