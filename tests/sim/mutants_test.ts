import assert from "node:assert/strict";
import { MUTANTS } from "./mutants.ts";
import { hunt, prepare, told } from "./mutants_hunt.ts";

/** Within so many runs each is to be caught; within fewer in the slice, whose are caught at once. */
const RUNS = 1_000;
const SLICE_RUNS = 100;

/** A slice unless more are asked for: all, or one by its name. */
const wanted = Deno.env.get("LAKESYNC_TEST_MUTANTS");
const tried = MUTANTS.filter(({ name, isQuick }) =>
  wanted === undefined ? isQuick === true : wanted === "all" || wanted === name
);
const most = wanted === undefined ? SLICE_RUNS : RUNS;

Deno.test("each mistake can still be made, also those that are not tried here", async () => {
  for (const { name, changes } of MUTANTS) {
    for (const { file, find } of changes) {
      const text = await Deno.readTextFile(new URL(`../../${file}`, import.meta.url));
      assert.equal(
        text.split(find).length - 1,
        1,
        `${name}: in ${file} there must be once: ${find}`,
      );
    }
  }
});

Deno.test(`checkers catch ${tried.length} mistakes, each within ${most} runs`, async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-sim-mutants-" });
  try {
    await prepare(folder);
    for (const mutant of tried) {
      await t.step(mutant.name, async () => {
        const { runs, what, caught, unsound } = await hunt(folder, mutant, most);
        for (const seed of unsound) console.log(`Not sound without the mistake: seed ${seed}`);
        const { name, checker } = mutant;
        console.log(`${name} | ${checker} | ${runs} runs | ${told(caught)} | ${what}`);
        if (what === undefined) throw new Error(`${checker} caught nothing in ${runs} runs`);
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
