import assert from "node:assert/strict";
import type { Delta, Hlc, Value } from "@lakesync/core";
import fc from "fast-check";
import { logVersion, type Outcome, readLogPayload, writeLogPayload } from "./log.ts";

const SHAPE = { op: "UPDATE", table: "t", columns: ["a", "b", "c"] } as const;

const delta: fc.Arbitrary<Delta> = fc.record({
  shape: fc.constant(SHAPE),
  rowId: fc.constantFrom("r1", "r2"),
  hlc: fc.bigInt({ min: 1n, max: 9n }).map((hlc) => hlc as Hlc),
  values: fc.constantFrom<readonly Value[]>(["x", { add: 1 }, { remove: ["é"] }], [null, 1, []]),
  deltaId: fc.constant(undefined),
}, { noNullPrototype: true });

const value = fc.constantFrom<Value>(null, 5, -0, 2n ** 63n - 1n, "é", ["a", 1, true], "", true);

const outcome: fc.Arbitrary<Outcome> = fc.record({
  wasVisible: fc.boolean(),
  isVisible: fc.boolean(),
  won: fc.oneof(
    fc.constantFrom<"all" | "none">("all", "none"),
    fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
  ),
  merged: fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), value), { maxLength: 3 }),
  left: fc.oneof(
    fc.constant<"own">("own"),
    fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), value), { minLength: 1, maxLength: 3 }),
  ),
  waits: fc.constantFrom("{}", '{"sub":"é","n":1}'),
}, { requiredKeys: ["wasVisible", "isVisible", "won"], noNullPrototype: true });

Deno.test("readLogPayload reads what writeLogPayload wrote, merged values included", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(delta, outcome), { minLength: 1 }), (entries) => {
      const payload = writeLogPayload(1, entries.map(([d]) => d), entries.map(([, o]) => o));
      const within = new Uint8Array([9, 9, 9, ...payload]).subarray(3);
      assert.deepStrictEqual(
        readLogPayload(within),
        entries.map(([delta, outcome]) => ({ delta, outcome })),
      );
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("a log entry without merged columns holds one byte for each delta and nothing after", () => {
  const change: Delta = {
    shape: SHAPE,
    rowId: "r1",
    hlc: 1n as Hlc,
    values: [null, null, null],
    deltaId: undefined,
  };
  const outcome: Outcome = { wasVisible: true, isVisible: true, won: "all" };
  const one = writeLogPayload(1, [change], [outcome]);
  assert.equal(one.length, 8 + new DataView(one.buffer).getUint32(4) + 1);
  assert.equal(logVersion(writeLogPayload(7, [change], [outcome])), 7);
});
