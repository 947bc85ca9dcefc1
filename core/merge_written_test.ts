import assert from "node:assert/strict";
import fc from "fast-check";
import { parseHlc } from "./clock.ts";
import { canonicalDelta, type Delta, type Op } from "./delta.ts";
import {
  counterAdd,
  MAX_SET_ELEMENTS_PER_DELTA,
  setWrite,
  writtenMisfit,
} from "./merge_written.ts";
import { decodeDeltas, encodeDeltas } from "./protocol/binary.ts";
import { pushFromJson } from "./protocol/json.ts";
import { type Column, parseSchema } from "./schema.ts";
import { type JsonValue, toPlainJson, type Value } from "./value.ts";

const SCHEMA = parseSchema({
  version: 1,
  tables: {
    t: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        votes: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
        best: { type: "integer", merge: "max" },
      },
    },
  },
});

function column(name: string): Column {
  const found = SCHEMA.tables.get("t")?.byName.get(name);
  assert.ok(found);
  return found;
}

function misfit(name: string, op: Op, value: Value): string {
  return writtenMisfit(column(name), op, value) ?? "fits";
}

Deno.test("a counter takes increments within 64 bits, and a plain number in an INSERT alone", () => {
  const fitting: readonly (readonly [Value, bigint])[] = [
    [{ add: 0 }, 0n],
    [{ add: -5 }, -5n],
    [{ add: 2 ** 53 - 1 }, 2n ** 53n - 1n],
    [{ add: "9007199254740992" }, 2n ** 53n],
    [{ add: "-9223372036854775808" }, -(2n ** 63n)],
  ];
  for (const [value, by] of fitting) {
    assert.equal(counterAdd(value), by);
    for (const op of ["INSERT", "UPDATE"] as const) {
      assert.equal(misfit("votes", op, value), "fits");
    }
  }
  for (const value of [7, -0, 2n ** 63n - 1n]) {
    assert.equal(misfit("votes", "INSERT", value), "fits");
    assert.match(misfit("votes", "UPDATE", value), /^is a counter and takes .* in an UPDATE/);
  }
  const refused: readonly Value[] = [
    { add: 1.5 },
    { add: 2 ** 53 },
    { add: "5" },
    { add: "007" },
    { add: "9223372036854775808" },
    { add: null },
    { add: [1] },
    { add: 1, by: 2 },
    { by: 1 },
    {},
    [],
    [1],
    "1",
    true,
    1.5,
    2n ** 63n,
    new Uint8Array([1]),
  ];
  for (const value of refused) {
    assert.equal(counterAdd(value), undefined);
    assert.match(misfit("votes", "INSERT", value), /^is a counter and takes/);
  }
  assert.equal(counterAdd(null), undefined);
});

Deno.test("a set takes elements to add and remove, and a plain array in an INSERT alone", () => {
  const all = ["a", 1, -0.5, true];
  const fitting: readonly Value[] = [
    {},
    { add: all },
    { remove: all },
    { add: all, remove: all },
  ];
  for (const value of fitting) {
    for (const op of ["INSERT", "UPDATE"] as const) assert.equal(misfit("tags", op, value), "fits");
  }
  assert.deepStrictEqual(setWrite({ remove: ["a"] }), { add: [], remove: ["a"] });
  assert.deepStrictEqual(setWrite(["a"]), { add: ["a"], remove: [] });
  assert.equal(misfit("tags", "INSERT", all), "fits");
  assert.match(misfit("tags", "UPDATE", all), /^is a set and takes .* in an UPDATE/);
  const refused: readonly Value[] = [
    { add: "a" },
    { add: null },
    { add: [null] },
    { add: [["a"]] },
    { add: [{}] },
    { add: [NaN] },
    { add: ["a"], more: [] },
    [null],
    "a",
    1,
    2n ** 60n,
    new Uint8Array([1]),
  ];
  for (const value of refused) {
    assert.equal(setWrite(value), undefined);
    assert.match(misfit("tags", "INSERT", value), /^is a set and takes/);
  }
  assert.equal(setWrite(null), undefined);
  assert.match(misfit("tags", "UPDATE", { add: ["a\0"] }), /NUL/);
  assert.match(misfit("tags", "UPDATE", { remove: ["\ud800"] }), /lone surrogates/);
});

Deno.test("a delta names so many elements of a set and no more", () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => i);
  const most = MAX_SET_ELEMENTS_PER_DELTA;
  assert.equal(misfit("tags", "UPDATE", { add: many(most) }), "fits");
  assert.match(misfit("tags", "UPDATE", { add: many(most + 1) }), /at most 10000 elements/);
  assert.match(misfit("tags", "INSERT", many(most + 1)), /at most 10000 elements/);
  assert.match(
    misfit("tags", "UPDATE", { add: many(most), remove: ["a"] }),
    /at most 10000 elements/,
  );
});

Deno.test("other columns take what their type takes", () => {
  assert.equal(misfit("best", "UPDATE", 5), "fits");
  assert.match(misfit("best", "UPDATE", { add: 5 }), /takes a whole number/);
});

Deno.test("written forms come through both codecs with the same canonical JSON", () => {
  const by = fc.oneof(
    fc.maxSafeInteger(),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }).map(String),
  );
  const element = fc.oneof(fc.string({ unit: "grapheme" }), fc.maxSafeInteger(), fc.boolean());
  const elements = fc.array(element, { maxLength: 4 });
  const hlc = parseHlc("65536");
  assert.ok(hlc !== undefined);
  fc.assert(
    fc.property(by, elements, elements, (add, added, removed) => {
      const delta: Delta = {
        shape: { op: "UPDATE", table: "t", columns: ["votes", "tags"] },
        rowId: "1",
        hlc,
        values: [{ add }, { add: added, remove: removed }],
        deltaId: undefined,
      };
      const text = canonicalDelta("c", delta, hlc);
      const [binary] = decodeDeltas(encodeDeltas([delta]));
      assert.ok(binary);
      assert.equal(canonicalDelta("c", binary, hlc), text);
      const columns: Record<string, JsonValue> = {};
      delta.shape.columns.forEach((name, i) =>
        columns[name] = toPlainJson(delta.values[i] ?? null)
      );
      const body = JSON.stringify({
        clientId: "c",
        transactions: [{
          mutationId: 1,
          deltas: [{ op: "UPDATE", table: "t", rowId: "1", hlc: "65536", columns }],
        }],
      });
      const [plain] = pushFromJson(JSON.parse(body), SCHEMA).transactions[0]?.deltas ?? [];
      assert.ok(plain);
      assert.equal(canonicalDelta("c", plain, hlc), text);
      assert.equal(counterAdd(plain.values[0] ?? null), BigInt(add));
    }),
  );
});
