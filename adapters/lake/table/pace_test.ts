import assert from "node:assert/strict";
import fc from "fast-check";
import { Pace, sortInTurns } from "./pace.ts";

Deno.test("sortInTurns sorts as sort does, and lets others have their turn", async () => {
  const items = fc.array(fc.tuple(fc.nat(50), fc.nat()), { maxLength: 9_000, size: "max" });
  await fc.assert(
    fc.asyncProperty(items, async (all) => {
      let turns = 0;
      const pace = new Pace(() => Promise.resolve(void turns++));
      const byFirst = ([a]: [number, number], [b]: [number, number]) => a - b;
      assert.deepEqual(await sortInTurns(all, byFirst, pace), all.toSorted(byFirst));
      assert.ok(turns >= Math.floor(all.length / 2_048));
    }),
    { numRuns: 30 },
  );
});
