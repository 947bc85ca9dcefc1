import assert from "node:assert/strict";
import fc from "fast-check";
import { CheckpointWorld } from "./testing_checkpoint.ts";
import { checkSteps, step, stepWithRows } from "./testing_checkpoint_steps.ts";
import { openRowsWorld } from "./testing_rows.ts";

const numRuns = Number(Deno.env.get("CHECKPOINT_RUNS") ?? 20);

Deno.test("G7: chunks and tail give exactly the scope, and name nothing that left before", async () => {
  let resumed = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      fc.constantFrom(1, 2, 5, 100),
      fc.constantFrom(0.1, 0.5, 10),
      async (steps, limit, staleShare) => {
        await using world = await CheckpointWorld.open({ minRows: 3, chunkRows: 2, staleShare });
        const shown = await checkSteps(world, steps, limit);
        resumed += shown.resumed;
      },
    ),
    { numRuns },
  );
  assert(resumed > 0);
});

Deno.test("G4 G7: so do chunks of rows from elsewhere, some of them newer than the others", async () => {
  let reads = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(stepWithRows, { minLength: 5, maxLength: 40 }),
      fc.constantFrom(1, 2, 5, 100),
      fc.constantFrom(0.5, 2, 10),
      async (steps, limit, staleShare) => {
        const settings = { minRows: 3, chunkRows: 2, staleShare };
        await using open = await openRowsWorld(settings);
        await checkSteps(open.world, steps, limit, open.source);
        assert.deepEqual(open.failures, []);
        reads += open.source.reads;
      },
    ),
    { numRuns },
  );
  assert(reads > 100, `${reads} rows`);
});
