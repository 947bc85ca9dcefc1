import assert from "node:assert/strict";
import fc from "fast-check";
import { formatJson, parseJson, toLong } from "./json.ts";

const long = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(toLong);
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("9223372036854775807", '"9007199254740993\\"', "\\", "\u0001long:7"),
);

/**
 * V8 15.0 reads the key `"\u0001"` as `"\\"` after an object that had that in its place, so no key
 * is one that JSON escapes.
 */
function isKey(text: string): boolean {
  return text !== "__proto__" && JSON.stringify(text) === `"${text}"`;
}

Deno.test("parseJson reads what formatJson writes, longs to the last digit", () => {
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      long,
      text,
      fc.boolean(),
      fc.constant(null),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => Object.is(x, -0) ? 0 : x),
      fc.array(tie("value")),
      fc.dictionary(text.filter(isKey), tie("value"), {
        noNullPrototype: true,
      }),
    ),
  }));
  fc.assert(
    fc.property(value, (value) => {
      assert.deepStrictEqual(parseJson(formatJson(value)), canonical(value));
    }),
    { numRuns: 2_000 },
  );
});

/** What doubles beyond 2^53 without a point are read as. */
function canonical(value: unknown): unknown {
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    return /^-?\d+$/.test(String(value)) ? BigInt(String(value)) : value;
  }
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, value]) => [key, canonical(value)]));
}

Deno.test("parseJson keeps longs of other engines apart, and says what is no JSON", () => {
  assert.deepEqual(
    parseJson(
      '{"a":[9223372036854775807,-9007199254740993,9007199254740991,1e20,12345678901234567.5]}',
    ),
    { a: [9223372036854775807n, -9007199254740993n, 9007199254740991, 1e20, 12345678901234567.5] },
  );
  assert.throws(() => parseJson("{9223372036854775807}"), SyntaxError);
});
