import assert from "node:assert/strict";
import fc from "fast-check";
import { checkSteps, stepWithRows } from "../gateway/testing_checkpoint_steps.ts";
import { openWorldWith } from "../gateway/testing_rows.ts";
import { LakeSource } from "./testing_lake_rows.ts";

const numRuns = Number(Deno.env.get("CHECKPOINT_RUNS") ?? 8);

Deno.test("G4 G7: chunks of a lake's rows and the tail give exactly the scope", async () => {
  let reads = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(stepWithRows, { minLength: 5, maxLength: 40 }),
      fc.constantFrom(2, 100),
      fc.constantFrom(2, 10),
      async (steps, limit, staleShare) => {
        const settings = { minRows: 3, chunkRows: 2, staleShare };
        await using open = await openWorldWith((gateway) => new LakeSource(gateway), settings);
        await using source = open.source;
        await checkSteps(open.world, steps, limit, source);
        assert.deepEqual(open.failures, []);
        reads += source.reads;
      },
    ),
    { numRuns },
  );
  assert(reads > 50, `${reads} rows`);
});
