import { runSeeds } from "./sweep.ts";

const SEEDS = 10_000;

Deno.test(`G7, G8, G9: clients hold what plain SQL gives, in ${SEEDS} random worlds`, async () => {
  const jobs = Math.max(1, navigator.hardwareConcurrency);
  const failures = await runSeeds({ from: 1, seeds: SEEDS, jobs, untilFailure: true });
  const [first] = failures;
  if (first === undefined) return;
  throw new Error(
    `Seed ${first.seed}: ${first.what}\nReplay it, made small, with: deno task oracle --seed ${first.seed}`,
  );
});
