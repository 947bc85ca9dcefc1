import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import fc from "fast-check";
import { type Hlc, parseHlc } from "./clock.ts";
import {
  beginChain,
  canonicalDelta,
  canonicalJson,
  chainOf,
  type Delta,
  deltaIdOf,
} from "./delta.ts";
import { deltas } from "./protocol/testing_messages.ts";
import { toPlainJson, type Value } from "./value.ts";

function sha256(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}

/** What the protocol says a deltaId is, by libraries that core does not use. */
function independentId(clientId: string, delta: Delta, hlc: Hlc): string {
  const { op, table, columns: names } = delta.shape;
  const columns = Object.fromEntries(
    names.map((name, i) => [name, toPlainJson(delta.values[i] ?? null)]),
  );
  const { rowId } = delta;
  const text = canonicalize({
    clientId,
    columns,
    hlc: String(hlc),
    op,
    rowId,
    table,
  });
  assert.ok(text);
  return sha256(text);
}

Deno.test("deltaIdOf is the SHA-256 of the RFC 8785 JSON, as other libraries compute it", () => {
  fc.assert(
    fc.property(
      deltas,
      fc.constantFrom("phone-1", "a.b:c_D"),
      (list, client) => {
        for (const delta of list) {
          const hlc = delta.hlc ?? (1n as Hlc);
          assert.equal(
            deltaIdOf(client, delta, hlc),
            independentId(client, delta, hlc),
          );
        }
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("deltaIdOf does not depend on the order of the columns", () => {
  fc.assert(
    fc.property(deltas, (list) => {
      for (const delta of list) {
        const { shape, values } = delta;
        const turned: Delta = {
          ...delta,
          shape: { ...shape, columns: shape.columns.toReversed() },
          values: values.toReversed(),
        };
        const hlc = 7n as Hlc;
        assert.equal(deltaIdOf("a", turned, hlc), deltaIdOf("a", delta, hlc));
      }
    }),
    { numRuns: 100 },
  );
});

const shape = {
  op: "INSERT",
  table: "todos",
  columns: ["title", "done", "votes", "big", "weight", "blob", "meta", "no"],
} as const;
const example: Delta = {
  shape,
  rowId: "t1",
  hlc: parseHlc("116000000000000001"),
  values: [
    'Buy "milk"\n😀',
    false,
    -5,
    9223372036854775807n,
    1e21,
    new Uint8Array([0, 255, 16]),
    { b: [1, null], a: { "\u20ac": 1, "\r": 2, "1": 3 } },
    null,
  ],
  deltaId: undefined,
};

Deno.test("canonicalDelta writes the example byte by byte", () => {
  const expected = '{"clientId":"phone-1","columns":{"big":"9223372036854775807",' +
    '"blob":"AP8Q","done":false,"meta":{"a":{"\\r":2,"1":3,"€":1},"b":[1,null]},' +
    '"no":null,"title":"Buy \\"milk\\"\\n😀","votes":-5,"weight":1e+21},' +
    '"hlc":"116000000000000001","op":"INSERT","rowId":"t1","table":"todos"}';
  const hlc = example.hlc ?? (0n as Hlc);
  assert.equal(canonicalDelta("phone-1", example, hlc), expected);
  assert.equal(
    deltaIdOf("phone-1", example, hlc),
    "7ea5ee5929f9a2d4594bb22df6e0c189c6ea8895232b788e50c908438c6ef718",
  );
});

Deno.test("deltaIdOf hashes an integer alike as bigint and as the number it becomes on the wire", () => {
  const of = (value: Value): Delta => ({
    ...example,
    shape: { ...shape, columns: ["votes"] },
    values: [value],
  });
  const hlc = 1n as Hlc;
  assert.equal(deltaIdOf("a", of(5n), hlc), deltaIdOf("a", of(5), hlc));
  assert.equal(deltaIdOf("a", of(-0), hlc), deltaIdOf("a", of(0), hlc));
});

Deno.test("deltaIdOf uses the hash it is given", () => {
  const text = deltaIdOf("a", example, 1n as Hlc, (text) => text);
  assert.equal(text, canonicalDelta("a", example, 1n as Hlc));
  assert.equal(
    deltaIdOf("a", example, 1n as Hlc, sha256),
    deltaIdOf("a", example, 1n as Hlc),
  );
});

Deno.test("canonicalJson writes any JSON as RFC 8785 has it", () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: "binary" }), (value) => {
      assert.equal(canonicalJson(value as Value), canonicalize(value));
    }),
  );
});

Deno.test("chainOf depends on the transaction before and on every deltaId in order", () => {
  const [a, b] = [sha256("a"), sha256("b")];
  assert.equal(chainOf("", [a, b]), sha256(a + b));
  assert.equal(chainOf(b, [a]), sha256(b + a));
  assert.notEqual(chainOf("", [a, b]), chainOf("", [b, a]));
  assert.equal(chainOf("", [a, b], (text) => text), a + b);
});

Deno.test("beginChain gives what chainOf gives, piece by piece", () => {
  const ids = ["one", "two", "three"].map(sha256);
  for (const previous of ["", sha256("before")]) {
    const chain = beginChain(previous);
    for (const id of ids) chain.add(id);
    assert.equal(chain.end(), chainOf(previous, ids));
  }
});
