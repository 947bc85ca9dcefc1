/** A slice of the simulation: what all of it shows is in docs/reliability.md. */

import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { makeFolder } from "./folder.ts";
import { REGRESSIONS } from "./regressions.ts";
import { Report } from "./report.ts";
import { runSeed, type RunSettings } from "./run.ts";
import { summarize } from "./summary.ts";
import { runSeeds } from "./sweep.ts";

const RUNS = Number(Deno.env.get("LAKESYNC_TEST_SIM_RUNS") ?? "60");
const FIRST_SEED = Number(Deno.env.get("LAKESYNC_TEST_SIM_SEED") ?? "1");

async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = makeFolder();
  try {
    return await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function fingerprint(settings: RunSettings): Promise<string> {
  const { history, trace } = await runSeed(settings);
  return `${trace} ${hash("sha256", JSON.stringify(history), "hex")}`;
}

Deno.test("a seed replays bit for bit, whatever ran before it", async () => {
  await withFolder(async (folder) => {
    const settings = { folder, writes: 100, faults: 3 };
    const seeds = [11, 12, 13, 14, 15];
    const forward = new Map<number, string>();
    for (const seed of seeds) forward.set(seed, await fingerprint({ ...settings, seed }));
    for (const seed of seeds.toReversed()) {
      assert.equal(await fingerprint({ ...settings, seed }), forward.get(seed), `seed ${seed}`);
    }
    assert.equal(new Set(forward.values()).size, seeds.length);
  });
});

async function sweep(name: string, runs: number, faults: number): Promise<void> {
  const report = new Report();
  await runSeeds({
    from: FIRST_SEED,
    runs,
    jobs: 2,
    writes: 200,
    faults,
    onRun: (summary) => report.add(summary),
  });
  console.log(`${name}, seeds ${FIRST_SEED} to ${FIRST_SEED + runs - 1}\n${report.text()}`);
  assert.equal(report.runs, runs);
  assert.equal(report.violated, 0, report.text());
}

Deno.test(`G1–G13: ${RUNS} runs under faults break no promise`, () => sweep("faults", RUNS, 3));

Deno.test("G3 G6: runs without faults break no promise", () => sweep("no faults", 10, 0));

Deno.test("G1–G13: what once broke a promise does not again", async () => {
  await withFolder(async (folder) => {
    for (const { what, ...settings } of REGRESSIONS) {
      const { violations } = summarize(
        await runSeed({ writes: 200, faults: 3, ...settings, folder }),
      );
      assert.deepEqual(violations, [], `seed ${settings.seed}: ${what}`);
    }
  });
});
