import assert from "node:assert/strict";
import fc from "fast-check";
import type { Hlc } from "../clock.ts";
import type { Delta } from "../delta.ts";
import { SCHEMA, TEXT_EDGES, valueOf } from "../testing_values.ts";
import type { Value } from "../value.ts";
import {
  decodeClientFrame,
  decodeDeltas,
  decodeError,
  decodePull,
  decodePullResult,
  decodePush,
  decodePushResult,
  decodeServerFrame,
  encodeClientFrame,
  encodeDeltas,
  encodeError,
  encodePull,
  encodePullResult,
  encodePush,
  encodePushResult,
  encodeServerFrame,
} from "./binary.ts";
import * as messages from "./testing_messages.ts";

const MIB = 1024 * 1024;

function roundTrips<T>(
  name: string,
  message: fc.Arbitrary<T>,
  encode: (message: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
): void {
  Deno.test(`${name} reads what was written`, () => {
    fc.assert(
      fc.property(message, (value) => {
        assert.deepStrictEqual(decode(encode(value)), value);
      }),
      { numRuns: 300 },
    );
  });
}

roundTrips("decodePush", messages.push, encodePush, decodePush);
roundTrips(
  "decodePushResult",
  messages.pushResult,
  encodePushResult,
  decodePushResult,
);
roundTrips("decodePull", messages.pull, encodePull, decodePull);
roundTrips(
  "decodePullResult",
  messages.pullResult,
  encodePullResult,
  decodePullResult,
);
roundTrips("decodeError", messages.errorBody, encodeError, decodeError);
roundTrips("decodeDeltas", messages.deltas, encodeDeltas, decodeDeltas);
roundTrips(
  "decodeClientFrame",
  messages.clientFrame,
  encodeClientFrame,
  decodeClientFrame,
);
roundTrips(
  "decodeServerFrame",
  messages.serverFrame,
  encodeServerFrame,
  decodeServerFrame,
);

function deltaOf(values: readonly Value[], rowId = "r"): Delta {
  return {
    shape: {
      op: "UPDATE",
      table: "things",
      columns: values.map((_, i) => `c${i}`),
    },
    rowId,
    hlc: 1n as Hlc,
    values,
    deltaId: undefined,
  };
}

function through(values: readonly Value[]): readonly Value[] | undefined {
  return decodeDeltas(encodeDeltas([deltaOf(values)]))[0]?.values;
}

for (const { type } of SCHEMA.tables.get("things")?.columns ?? []) {
  Deno.test(`decodeDeltas gives back every ${type}`, () => {
    fc.assert(
      fc.property(fc.array(valueOf(type)), (values) => {
        assert.deepStrictEqual(through(values), values);
      }),
      { numRuns: 300 },
    );
  });
}

Deno.test("decodeDeltas gives back values of 1 MiB, mixed with others", () => {
  const values: readonly Value[] = [
    "a".repeat(MIB),
    "",
    "é".repeat(MIB / 2),
    null,
    "😀".repeat(MIB / 4),
    new Uint8Array(MIB).fill(255),
    { list: Array.from({ length: 100_000 }, (_, i) => i) },
    "end",
  ];
  assert.deepStrictEqual(through(values), values);
});

Deno.test("decodeDeltas keeps values it must leave for the gateway to refuse", () => {
  const values: readonly Value[] = [NaN, Infinity, -Infinity, "a\0b"];
  assert.deepStrictEqual(through(values), values);
});

Deno.test("decodeDeltas gives a small bigint back as the number it is", () => {
  assert.deepStrictEqual(through([5n, -(2n ** 53n) + 1n]), [
    5,
    Number.MIN_SAFE_INTEGER,
  ]);
});

Deno.test("decodeDeltas shares one shape between deltas that shared one", () => {
  const one = deltaOf(["x"]);
  const [a, b, c] = decodeDeltas(
    encodeDeltas([one, { ...one, rowId: "s" }, deltaOf(["y"])]),
  );
  assert.equal(a?.shape, b?.shape);
  assert.notEqual(a?.shape, c?.shape);
});

Deno.test("decodeDeltas gives values that do not hold on to the body", () => {
  const bytes = encodeDeltas([deltaOf([new Uint8Array([1, 2, 3])])]);
  const [delta] = decodeDeltas(bytes);
  bytes.fill(0);
  assert.deepStrictEqual(delta?.values, [new Uint8Array([1, 2, 3])]);
});

Deno.test("decodePush reads a body that is a view into a larger buffer", () => {
  const body = encodePush({
    clientId: "phone-1",
    schemaVersion: 1,
    transactions: [{ mutationId: 1, deltas: [deltaOf([2n ** 60n, 0.5, "é"])] }],
  });
  const larger = new Uint8Array(body.length + 7);
  larger.set(body, 5);
  assert.deepStrictEqual(
    decodePush(larger.subarray(5, 5 + body.length)),
    decodePush(body),
  );
});

Deno.test("encodeDeltas throws VALIDATION_ERROR when a text holds a lone surrogate", () => {
  for (const bad of ["\ud800", "a\udc00b", "😀\ud83d"]) {
    for (const delta of [deltaOf([bad]), deltaOf(["x"], bad)]) {
      assert.throws(() => encodeDeltas([delta]), { code: "VALIDATION_ERROR" });
    }
  }
});

Deno.test("encodeDeltas writes names once, and about as many bytes as the values have", () => {
  const shape = deltaOf(["", ""]).shape;
  const deltas = Array.from({ length: 1_000 }, (_, i): Delta => ({
    ...deltaOf([], `row-${i + 1_000}`),
    shape,
    values: [TEXT_EDGES[13] ?? "", i],
  }));
  const perRow = encodeDeltas(deltas).length / deltas.length;
  // rowId 1 + 8, hlc 8, shape 1, text 1 + 9, integer 2 to 3
  assert.ok(perRow < 31, `${perRow} bytes a row`);
});
