import assert from "node:assert/strict";
import {
  type DatabaseAdapter,
  memoryAdapter,
  memoryObjects,
  openFileObjects,
} from "@lakesync/adapters";
import fc from "fast-check";
import { allChanges, allRows, names } from "./expect.ts";
import { adapterConformance, type Subject } from "./suite.ts";
import { lakeOver, ReadLake } from "./testing_lake.ts";
import { Player, step } from "./testing_play.ts";

function memoryLake(): Promise<Subject> {
  const store = memoryObjects();
  let adapter = new ReadLake(lakeOver(store), store);
  return Promise.resolve({
    adapter,
    async reopen() {
      await adapter.close();
      return adapter = new ReadLake(lakeOver(store), store);
    },
    close: () => adapter.close(),
  });
}

adapterConformance("lake", memoryLake, { runs: 0 });

adapterConformance("lake (files)", async () => {
  const folder = await Deno.makeTempDir();
  const store = await openFileObjects(folder);
  const adapter = new ReadLake(lakeOver(store), store);
  return {
    adapter,
    async close() {
      await adapter.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
}, { runs: 0 });

/** What both are to have: all but rows that hold what was lost, and stamps that only one kept. */
async function shown(adapter: DatabaseAdapter, unsettled: ReadonlySet<string>): Promise<unknown> {
  const rows = await allRows(adapter);
  return {
    position: await adapter.position(),
    changes: await allChanges(adapter),
    unsettled: names(await adapter.unsettled(10_000)),
    rows: rows.filter(({ key }) => !unsettled.has(`${key.table}/${key.rowId}`))
      .map(({ key, isVisible, cells, seq }) => [
        key,
        isVisible,
        cells.map(([column, value]) => [column, value]),
        seq,
      ]),
  };
}

Deno.test("lake: what it has makes the rows that the adapter in memory has, whatever is sent", async () => {
  const steps = fc.array(step.filter(({ kind }) => kind !== "forget" && kind !== "refill"), {
    maxLength: 12,
  });
  await fc.assert(
    fc.asyncProperty(steps, async (steps) => {
      const subject = await memoryLake();
      const oracle = memoryAdapter("oracle");
      const [player, master] = [new Player(subject.adapter), new Player(oracle)];
      try {
        await player.begin();
        await master.begin();
        for (const each of steps) {
          await player.play(each);
          await master.play(each);
          const unsettled = new Set(names(await oracle.unsettled(10_000)));
          assert.deepStrictEqual(
            await shown(subject.adapter, unsettled),
            await shown(oracle, unsettled),
            each.kind,
          );
        }
      } finally {
        await subject.close();
      }
    }),
    { numRuns: 30 },
  );
});
