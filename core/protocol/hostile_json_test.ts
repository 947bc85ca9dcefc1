import assert from "node:assert/strict";
import fc from "fast-check";
import { SCHEMA } from "../testing_values.ts";
import type { JsonValue } from "../value.ts";
import { clientFrameFromJson, parseJsonBody, pullFromJson, pushFromJson } from "./json.ts";
import { mutate, mutation, refuses, refusesOrReads } from "./testing_hostile.ts";

/** Replaces one node of a JSON value, chosen by `at` in the order of a walk. */
function graft(value: JsonValue, at: number, twig: JsonValue): JsonValue {
  let left = at;
  const walk = (node: JsonValue): JsonValue => {
    if (left-- === 0) return twig;
    if (node === null || typeof node !== "object") return node;
    if (Array.isArray(node)) return node.map(walk);
    return Object.fromEntries(
      Object.entries(node).map(([key, item]) => [key, walk(item)]),
    );
  };
  return walk(value);
}

const PUSH: JsonValue = {
  clientId: "a",
  schemaVersion: 1,
  refusalsSeen: 1,
  transactions: [{
    mutationId: 1,
    part: 1,
    parts: 2,
    chain: "ab".repeat(32),
    deltas: [{
      op: "INSERT",
      table: "things",
      rowId: "t1",
      hlc: "116",
      deltaId: "ab".repeat(32),
      columns: { name: "x", size: "9007199254740993", meta: { a: [1] } },
    }],
  }],
};

const twig = fc.oneof(
  fc.jsonValue() as fc.Arbitrary<JsonValue>,
  fc.constantFrom<JsonValue>(null, 0, -1, 2 ** 53, "", "\ud800", [], {}),
);

Deno.test("pushFromJson and clientFrameFromJson refuse or read a body with any node replaced", () => {
  fc.assert(
    fc.property(fc.nat(30), twig, (at, twig) => {
      const body = parseJsonBody(JSON.stringify(graft(PUSH, at, twig)));
      const frame = { push: body };
      const read = refusesOrReads(() => pushFromJson(body, SCHEMA));
      const inFrame = refusesOrReads(() => clientFrameFromJson(frame, SCHEMA));
      assert.equal(read, inFrame);
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("the JSON readers refuse or read any JSON", () => {
  fc.assert(
    fc.property(twig, fc.string(), (body, name) => {
      refusesOrReads(() => pushFromJson(body, SCHEMA));
      refusesOrReads(() => pullFromJson(body));
      refusesOrReads(() => clientFrameFromJson({ [name]: body }, undefined));
      for (const kind of ["hello", "push", "pull", "ack", "token"]) {
        refusesOrReads(() => clientFrameFromJson({ [kind]: body }, SCHEMA));
      }
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("G11: pullFromJson and clientFrameFromJson bound what is to be repaired", () => {
  const ids = (count: number, length: number) =>
    Array.from({ length: count }, () => "a".repeat(length));
  const read = (repair: JsonValue) => pullFromJson({ clientId: "a", repair });
  const hello = (repair: JsonValue) =>
    clientFrameFromJson({ hello: { clientId: "a", repair } }, undefined);
  assert.deepStrictEqual(read(ids(100, 1)).repair, ids(100, 1));
  for (
    const [repair, message] of [
      [ids(101, 1), /repair must have at most 100 ids/],
      [ids(1, 8_193), /repair must have ids of at most/],
      [["a", 1], /repair\[1\] must be a text/],
      ["a", /repair must be an array/],
    ] as const
  ) {
    refuses(() => read(repair), message);
    refuses(() => hello(repair), message);
  }
});

Deno.test("parseJsonBody refuses or reads any text", () => {
  const text = fc.oneof(fc.json(), fc.string({ unit: "binary" }));
  fc.assert(
    fc.property(text, mutation, (text, edits) => {
      const bytes = mutate(new TextEncoder().encode(text), edits);
      refusesOrReads(() => parseJsonBody(new TextDecoder().decode(bytes)));
    }),
    { numRuns: 2_000 },
  );
});
