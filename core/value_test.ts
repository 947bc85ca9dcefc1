import assert from "node:assert/strict";
import { inspect } from "node:util";
import fc from "fast-check";
import {
  INTEGER_EDGES,
  NUMBER_EDGES,
  SCHEMA,
  TEXT_EDGES,
  throughJson,
  valueOf,
} from "./testing_values.ts";
import {
  decimalParts,
  decodeBase64,
  encodeBase64,
  fromPlainJson,
  toInteger,
  toPlainJson,
  utf8Length,
  type Value,
  valueCheck,
} from "./value.ts";

const MIB = 1024 * 1024;

function misfit(type: string, value: Value): string | undefined {
  const check = valueCheck(type);
  assert.ok(check, type);
  return check(value);
}

function refuses(type: string, values: readonly Value[]): void {
  for (const value of values) {
    assert.match(misfit(type, value) ?? "fits", /^takes /, inspect(value));
  }
}

function takes(type: string, values: readonly Value[]): void {
  for (const value of values) {
    assert.equal(misfit(type, value), undefined, inspect(value));
  }
}

const COLUMNS = SCHEMA.tables.get("things")?.columns ?? [];

for (const { type } of COLUMNS) {
  Deno.test(`valueCheck takes every ${type}, and it comes back through JSON`, () => {
    fc.assert(
      fc.property(valueOf(type), (value) => {
        takes(type, [value]);
        const text = JSON.stringify(toPlainJson(value));
        assert.deepStrictEqual(
          fromPlainJson(JSON.parse(text), type),
          throughJson(value),
        );
      }),
    );
  });
}

Deno.test("valueCheck refuses text with NUL or lone surrogates", () => {
  takes("string", TEXT_EDGES);
  const bad = ["\0", "a\0b", "\ud800", "\udc00", "a\ud83d", "\ude00\ud83d"];
  refuses("string", [...bad, 1, true, {}, ["a"], 1n, new Uint8Array()]);
  refuses("json", [...bad, { a: "\0" }, { "\0": 1 }, [["\ud800"]]]);
});

Deno.test("valueCheck takes texts and bytes of 4 MiB and refuses more, counted in bytes", () => {
  takes("string", ["a".repeat(4 * MIB), "é".repeat(2 * MIB)]);
  refuses("string", ["a".repeat(4 * MIB + 1), "é".repeat(2 * MIB + 1)]);
  takes("bytes", [new Uint8Array(4 * MIB)]);
  refuses("bytes", [new Uint8Array(4 * MIB + 1)]);
  takes("json", [["é".repeat(2 * MIB - 2)]]);
  refuses("json", [["é".repeat(2 * MIB - 1)]]);
});

Deno.test("valueCheck takes integers to the bounds of 64 bits and refuses what a number cannot hold", () => {
  takes("integer", INTEGER_EDGES);
  const beyond = [2n ** 63n, -(2n ** 63n) - 1n, 2 ** 53, -(2 ** 53), 1e300];
  refuses("integer", [...beyond, 0.5, NaN, Infinity, "1", true, [1]]);
});

Deno.test("valueCheck refuses numbers that are not finite", () => {
  takes("number", NUMBER_EDGES);
  refuses("number", [NaN, Infinity, -Infinity, "1", 1n, true]);
  refuses("json", [NaN, [Infinity], { a: [-Infinity] }]);
});

Deno.test("valueCheck refuses dates and times that are not on the calendar", () => {
  takes("date", ["2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"]);
  refuses("date", [
    "2023-02-29",
    "1900-02-29",
    "2026-04-31",
    "2026-00-01",
    "2026-13-01",
    "2026-01-00",
    "2026-1-1",
    "2026-01-01\n",
    "20260101",
    1,
  ]);
  takes("timestamp", ["2024-02-29T23:59:59Z", "2026-01-31T09:30:00.123456Z"]);
  refuses("timestamp", [
    "2023-02-29T00:00:00Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31T09:60:00Z",
    "2026-01-31T09:30:60Z",
    "2026-01-31T09:30:00",
    "2026-01-31T09:30:00+00:00",
    "2026-01-31T09:30:00.1234567Z",
    "2026-01-31T09:30:00.Z",
    "2026-01-31 09:30:00Z",
    0,
  ]);
});

Deno.test("valueCheck refuses UUIDs and booleans in another form", () => {
  const uuid = "0190d6f4-5b1e-7c3a-9f00-0123456789ab";
  takes("uuid", [uuid, "00000000-0000-0000-0000-000000000000"]);
  refuses("uuid", [uuid.toUpperCase(), uuid.replaceAll("-", ""), `{${uuid}}`]);
  refuses("boolean", [0, 1, "true", {}]);
});

Deno.test("valueCheck holds decimals to their precision and scale", () => {
  takes("decimal(5,2)", ["0", "-0", "0.5", "999.99", "-999.99", "1.2"]);
  refuses("decimal(5,2)", [
    "1000",
    "0.123",
    "01",
    ".5",
    "5.",
    "+1",
    "1e2",
    "",
    "NaN",
    1,
    1n,
  ]);
  takes("decimal(3,3)", ["0.999"]);
  refuses("decimal(3,3)", ["1"]);
  takes("decimal(38,0)", ["9".repeat(38)]);
});

Deno.test("valueCheck knows decimals of 1 to 38 digits and no other type", () => {
  assert.deepStrictEqual(decimalParts("decimal(10, 2)"), {
    precision: 10,
    scale: 2,
  });
  for (
    const type of [
      "decimal",
      "decimal()",
      "decimal(0,0)",
      "decimal(39,0)",
      "decimal(2,3)",
      "decimal(-1,0)",
      "decimal(5,2)\n",
      "text",
      "",
      "toString",
      "__proto__",
      "STRING",
    ]
  ) {
    assert.equal(valueCheck(type), undefined, type);
  }
});

Deno.test("valueCheck takes JSON of 64 levels and refuses deeper, without a stack overflow", () => {
  const nested = (levels: number): Value => {
    let value: Value = 1;
    for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { value };
    return value;
  };
  takes("json", [nested(0), nested(63)]);
  refuses("json", [nested(64), nested(100_000)]);
});

Deno.test("valueCheck refuses what is not JSON within json", () => {
  const sparse: Value[] = [];
  sparse.length = 3;
  const hidden: Record<string, never> = {};
  Reflect.set(hidden, "a", undefined);
  refuses("json", [1n, new Uint8Array(1), sparse as never, hidden]);
});

Deno.test("fromPlainJson reads integers beyond 2^53 from text, in one form only", () => {
  const read = (text: string) => fromPlainJson(text, "integer");
  assert.equal(read("9007199254740992"), 2n ** 53n);
  assert.equal(read("9223372036854775807"), 2n ** 63n - 1n);
  assert.equal(read("-9223372036854775808"), -(2n ** 63n));
  for (
    const text of [
      "5",
      "9007199254740991",
      "09007199254740993",
      "9223372036854775808",
      "+9007199254740993",
      "9007199254740993.0",
    ]
  ) {
    refuses("integer", [read(text)]);
  }
  refuses("integer", [fromPlainJson(9007199254740993, "integer")]);
});

Deno.test("toPlainJson writes a bigint within 2^53 as the number it is", () => {
  assert.equal(toPlainJson(5n), 5);
  assert.equal(toPlainJson(2n ** 53n - 1n), Number.MAX_SAFE_INTEGER);
  assert.equal(toPlainJson(2n ** 53n), "9007199254740992");
});

Deno.test("toInteger gives a number within 2^53 and a bigint beyond", () => {
  assert.equal(toInteger(-(2n ** 53n) + 1n), Number.MIN_SAFE_INTEGER);
  assert.equal(toInteger(-(2n ** 53n)), -(2n ** 53n));
});

Deno.test("decodeBase64 reads what encodeBase64 wrote, and only its one form", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      assert.deepStrictEqual(decodeBase64(encodeBase64(bytes)), bytes);
    }),
  );
  for (
    const text of ["A", "AA", "AA=", "AB==", "A===", "AA==\n", " AA==", "A-_="]
  ) {
    assert.equal(decodeBase64(text), undefined, text);
  }
});

Deno.test("decodeBase64 reads 12 MiB without a stack overflow", () => {
  const bytes = new Uint8Array(12 * MIB).fill(7);
  assert.equal(decodeBase64(encodeBase64(bytes))?.length, bytes.length);
});

Deno.test("utf8Length counts as TextEncoder does", () => {
  const encoder = new TextEncoder();
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const expected = text.includes("\0") ? -1 : encoder.encode(text).length;
      assert.equal(utf8Length(text), expected);
    }),
  );
});
