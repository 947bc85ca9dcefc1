import assert from "node:assert/strict";
import fc from "fast-check";
import { jsonLakeAdapter } from "../../adapters/lake/json/adapter.ts";
import { Bed, type Build } from "../conformance/testing_bed.ts";
import { type Event, life } from "../conformance/testing_lives.ts";
import { readEnvelopes, ReadJsonLake } from "../conformance/testing_json_lake.ts";

const lake: Build = ({ objects, env: { now } }) =>
  jsonLakeAdapter({ store: objects, namespace: "main", now });

const BAD = { lost: 0.1, answerLost: 0.1, late: 0.15 };

/** Holds what the objects have against the log, and their numbers against each other. */
async function check(bed: Bed): Promise<void> {
  await bed.check(new ReadJsonLake(bed.objects));
  const numbers: number[] = [];
  for await (const { key } of bed.objects.listObjects("main/changes")) {
    numbers.push(Number(/(\d+)\.json\.gz$/.exec(key)?.[1]));
  }
  assert.deepEqual(numbers.sort((a, b) => a - b), numbers.map((_, i) => i + 1));
  let last = 0;
  for (const { kind, position, deltas } of await readEnvelopes(bed.objects)) {
    for (const { seq } of deltas) assert.ok(seq >= last && seq <= position.seq);
    last = kind === "changes" ? position.seq : Math.min(last, position.seq);
  }
}

async function play(bed: Bed, events: readonly Event[]): Promise<void> {
  for (const event of events) {
    if (event.kind === "commit") bed.commit(...event.slices);
    else if (event.kind === "pass") await bed.pass(event.ms);
    else if (event.kind === "restore") bed.restore(event.by);
    else if (event.kind === "trim") bed.source.trim(bed.source.seq - event.keep);
    else bed.start();
  }
  await bed.heal();
  await check(bed);
  await bed.close();
}

Deno.test("G10: whatever fails and ends, a lake of JSON holds in the end what the log holds", async () => {
  await fc.assert(
    fc.asyncProperty(life, ([seed, events]) => play(new Bed(seed, lake, BAD), events)),
    { numRuns: 600 },
  );
});
