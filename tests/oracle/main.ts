/**
 * The oracle: random worlds on a gateway, held against rules as plain SQL.
 *
 * - `deno task oracle --seeds 10000 --from 1 --jobs 2` runs many seeds
 * - `--until-failure` stops soon after the first one that goes wrong
 * - `deno task oracle --seed 42` runs one, and makes it small when it goes wrong
 *
 * @module
 */

import { parseArgs } from "node:util";
import { describe } from "./describe.ts";
import { generate } from "./generate.ts";
import { Mirror } from "./mirror.ts";
import { runPlan } from "./seed.ts";
import { kindOf, shrink } from "./shrink.ts";
import { type FailedSeed, runSeeds, type Sweep } from "./sweep.ts";

/** How long a world is made smaller, in milliseconds. */
const SHRINK_MS = 30_000;

function wholeNumber(text: string | undefined, name: string, unless: number): number {
  if (text === undefined) return unless;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  console.error(`--${name} takes a whole number`);
  Deno.exit(2);
}

async function one(seed: number): Promise<number> {
  using mirror = new Mirror();
  const plan = generate(seed);
  const failure = await runPlan(plan, mirror);
  if (failure === undefined) {
    console.log(`Seed ${seed}: ${plan.steps.length} steps, no difference`);
    return 0;
  }
  console.error(`Seed ${seed} goes wrong at step ${failure.step}: ${failure.what}`);
  const run = (candidate: typeof plan) => runPlan(candidate, mirror);
  const small = await shrink(plan, failure, run, performance.now() + SHRINK_MS);
  console.log(describe(small.plan, small.failure));
  return 1;
}

function report(failures: readonly FailedSeed[]): void {
  const kinds = Map.groupBy(failures, kindOf);
  for (const alike of [...kinds.values()].sort((a, b) => b.length - a.length)) {
    const seeds = alike.slice(0, 8).map(({ seed }) => seed).join(", ");
    console.log(`${alike.length} × ${alike[0]?.what} (seeds ${seeds})`);
  }
}

async function many(sweep: Sweep): Promise<number> {
  const { from, seeds, jobs } = sweep;
  const startMs = performance.now();
  let shownMs = startMs;
  const failures = await runSeeds({
    ...sweep,
    onProgress: (done, failed) => {
      if (performance.now() - shownMs < 2_000) return;
      shownMs = performance.now();
      console.error(`${done} of ${seeds} seeds, ${failed.length} go wrong`);
    },
  });
  report(failures);
  const seconds = (performance.now() - startMs) / 1_000;
  console.log(
    `${seeds} seeds from ${from} in ${seconds.toFixed(1)} s on ${jobs} threads: ` +
      (failures.length === 0
        ? "no difference"
        : `${failures.length} go wrong, replay with deno task oracle --seed ${failures[0]?.seed}`),
  );
  return failures.length === 0 ? 0 : 1;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      seeds: { type: "string" },
      from: { type: "string" },
      jobs: { type: "string" },
      "until-failure": { type: "boolean" },
    },
  });
  const jobs = wholeNumber(values.jobs, "jobs", navigator.hardwareConcurrency);
  const from = wholeNumber(values.from, "from", 1);
  Deno.exitCode = values.seed === undefined
    ? await many({
      from,
      seeds: wholeNumber(values.seeds, "seeds", 10_000),
      jobs: Math.max(1, jobs),
      untilFailure: values["until-failure"] ?? false,
    })
    : await one(wholeNumber(values.seed, "seed", 0));
}
