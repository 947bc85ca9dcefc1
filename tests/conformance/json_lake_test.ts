import assert from "node:assert/strict";
import { type DatabaseAdapter, memoryAdapter, memoryObjects } from "@lakesync/adapters";
import fc from "fast-check";
import { envelopeKey } from "../../adapters/lake/flush/json_adapter.ts";
import { held, names } from "./expect.ts";
import { adapterConformance, type Subject } from "./suite.ts";
import { Bed, type Build } from "./testing_bed.ts";
import { jsonOver, ReadJson } from "./testing_json_lake.ts";
import { life } from "./testing_lives.ts";
import { START_MS, TestLog } from "./testing_log.ts";
import { Player, step } from "./testing_play.ts";

function jsonLake(): Promise<Subject> {
  const store = memoryObjects();
  let adapter = new ReadJson(jsonOver(store), store);
  return Promise.resolve({
    adapter,
    async reopen() {
      await adapter.close();
      return adapter = new ReadJson(jsonOver(store), store);
    },
    close: () => adapter.close(),
  });
}

adapterConformance("lake of JSON", jsonLake, { runs: 0 });

async function shown(adapter: DatabaseAdapter): Promise<unknown> {
  const { position, changes, rows, unsettled } = await held(adapter);
  return { position, changes, rows, unsettled };
}

Deno.test("lake of JSON: holds what the adapter in memory holds, whatever is sent", async () => {
  const steps = fc.array(step.filter(({ kind }) => kind !== "forget" && kind !== "refill"), {
    maxLength: 12,
  });
  await fc.assert(
    fc.asyncProperty(steps, async (steps) => {
      const subject = await jsonLake();
      const oracle = memoryAdapter("oracle");
      const [player, master] = [new Player(subject.adapter), new Player(oracle)];
      await player.begin();
      await master.begin();
      for (const each of steps) {
        await player.play(each);
        await master.play(each);
        assert.deepStrictEqual(await shown(subject.adapter), await shown(oracle), each.kind);
      }
      assert.deepStrictEqual(await shown(await subject.reopen?.() ?? oracle), await shown(oracle));
      await subject.close();
    }),
    { numRuns: 100 },
  );
});

const json: Build = ({ objects, env }) => jsonOver(objects, env.now);

Deno.test("G10: whatever fails and ends, a lake of JSON holds in the end what the log holds", async () => {
  await fc.assert(
    fc.asyncProperty(
      life.map(([seed, events]) => [seed, events.filter(({ kind }) => kind !== "trim")] as const),
      async ([seed, events]) => {
        const bed = new Bed(seed, json, { lost: 0.05, answerLost: 0.05, late: 0.05 });
        for (const event of events) {
          if (event.kind === "commit") bed.commit(...event.slices);
          else if (event.kind === "pass") await bed.pass(event.ms);
          else if (event.kind === "restore") bed.restore(event.by);
          else bed.start();
        }
        await bed.heal();
        await bed.check(new ReadJson(jsonOver(bed.objects), bed.objects));
        await bed.close();
      },
    ),
    { numRuns: 100 },
  );
});

Deno.test("a lake of JSON forgets its oldest objects, but for what is still needed", async () => {
  const store = memoryObjects();
  let now = 1_000;
  const adapter = jsonOver(store, () => now++);
  const log = await new TestLog(adapter).begin();
  for (const n of [1, 2, 3]) {
    await log.insert(log.commit({ table: "todos", rowId: `r${n}`, cells: { n } }));
  }
  const what = { committedBeforeMs: START_MS, throughSeq: 2, rows: false };
  // The schema is in the first object.
  assert.equal(await adapter.forget(what), false);
  assert.equal(await adapter.forgottenSeq(), 0);
  log.schema = { ...log.schema, version: 2 };
  await adapter.ensureSchema(log.schema);
  assert.equal(await adapter.forget(what), false);
  assert.equal(await adapter.forgottenSeq(), 2);
  assert.equal(await store.headObject(envelopeKey("main", 4)), undefined);
  await log.rewind(2, "life-2");
  assert.deepEqual(names(await adapter.unsettled(9)), ["1/r3"]);
  await adapter.close();
});
