import assert from "node:assert/strict";
import fc from "fast-check";
import { memoryObjects } from "../../object-store/memory.ts";
import { readChangeRows } from "../flush/change_batch.ts";
import type { Lake } from "../flush/lake.ts";
import { changesSchema } from "../flush/layout.ts";
import { loadTables } from "../flush/tables.ts";
import { liveFiles, readFields } from "../table/live_files.ts";
import { mergeLake } from "../table/merge_lake.ts";
import { TestGateway } from "../table/testing_gateway.ts";
import { TABLE } from "../table/testing_history.ts";
import { openTestLake, seenRows } from "../table/testing_lake.ts";
import { SMALL, step, take } from "../table/testing_steps.ts";
import { maintain, type MaintenanceSettings } from "./maintain.ts";

const HOUR_MS = 3_600_000;

/** Everything is put together as soon as there are two of it. */
const EAGER: Partial<MaintenanceSettings> = {
  changes: { targetBytes: 20_000, smallBytes: 15_000, minSmall: 2, fanIn: 2 },
  rows: { targetBytes: 30_000, smallBytes: 10_000, fanIn: 2, maxGone: 0 },
  maxManifests: 1,
  maxSteps: 2,
};

/** All changes, in the order of files and rows, without where they are. */
async function allChanges(lake: Lake): Promise<readonly unknown[]> {
  const table = (await loadTables(lake)).changes.get(TABLE);
  assert.ok(table?.layout !== undefined);
  const { metadata, snapshot } = table.loaded;
  const rows: { readonly seq: number; readonly deltaId: string | null }[] = [];
  for (const { entry } of await liveFiles(lake, metadata, snapshot)) {
    const batch = await readFields(lake, entry.dataFile, changesSchema(table.layout).fields);
    for (const { row } of readChangeRows(table.layout, batch)) rows.push(row);
  }
  return rows.sort((a, b) => a.seq - b.seq || String(a.deltaId).localeCompare(String(b.deltaId)));
}

Deno.test("G10: maintenance at any time changes neither changes nor rows", async () => {
  const kept = step.map((taken) => ({ taken, hours: 0 }));
  const passed = fc.nat(30).map((hours) => ({ taken: undefined, hours }));
  const steps = fc.array(fc.oneof({ weight: 4, arbitrary: kept }, passed), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      let nowMs = Date.UTC(2026, 0, 1);
      const now = () => nowMs;
      const test = openTestLake(memoryObjects(now), now);
      try {
        const gateway = new TestGateway(test.adapter);
        await gateway.begin();
        for (const { taken, hours } of all) {
          nowMs += hours * HOUR_MS + 60_000;
          if (taken !== undefined) await take(taken, gateway, test);
          else {
            const before = await allChanges(test.lake);
            const seen = await seenRows(test.lake, TABLE);
            const { failure } = await maintain(test.lake, EAGER);
            assert.equal(failure, undefined);
            assert.deepEqual(await allChanges(test.lake), before);
            assert.deepEqual(await seenRows(test.lake, TABLE), seen);
          }
        }
        await gateway.settle();
        await mergeLake(test.lake, SMALL);
        assert.deepEqual(await seenRows(test.lake, TABLE), gateway.visible);
      } finally {
        await test.close();
      }
    }),
    { numRuns: 30 },
  );
});
