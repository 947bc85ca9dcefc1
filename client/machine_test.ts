import assert from "node:assert/strict";
import fc from "fast-check";
import { ABSENT, ABSENT_AFTER, RECONNECT, reconnectMs, UNSTEADY_FAILURES } from "./machine.ts";

Deno.test("reconnectMs is at most 3 s for 30 tries, then grows to 30 s, and is jittered down to half", () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, ABSENT_AFTER, 31, 32, 33, 34, 1e9].map((failures) => reconnectMs(failures, 1)),
    [250, 500, 1_000, 2_000, 3_000, 3_000, 3_000, 6_000, 12_000, 24_000, 30_000],
  );
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 1_000 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.integer({ min: 0, max: 60_000 }),
    (failures, random, atLeastMs) => {
      const ms = reconnectMs(failures, random, atLeastMs);
      const most = reconnectMs(failures, 1);
      assert.ok(ms >= atLeastMs && ms >= most / 2 && ms <= Math.max(atLeastMs * 1.5, most));
      assert.ok(most <= reconnectMs(failures + 1, 1));
    },
  ));
});

Deno.test("G6: a gateway that gave a checkpoint and went away again is tried within 3 s", () => {
  assert.equal(RECONNECT.maxMs, ABSENT.firstMs);
  assert.ok(reconnectMs(UNSTEADY_FAILURES + 1, 1) <= 3_000);
});
