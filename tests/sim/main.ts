/**
 * The simulator: many clients and a gateway under faults, in virtual time, checked by their history.
 *
 * - `deno task sim --runs 1000 --seed 1` runs many seeds
 * - `deno task sim --seed 42` runs one and tells all that was wrong with it; `--elle run.edn` writes
 *   its list-append part for an outside checker
 * - `--faults 0` lets nothing go wrong, `--writes 1000` makes runs longer, `--jobs 2` uses two
 *   threads, `--until-violation` stops soon after the first run that broke a promise
 * - `--only "partition,server is killed"` lets these faults fire alone
 * - `--shared` has two servers on one database in all runs, `--no-shared` in none
 *
 * @module
 */

import { parseArgs } from "node:util";
import { elleHistory } from "./elle.ts";
import { makeFolder } from "./folder.ts";
import { Report } from "./report.ts";
import { runSeed, type RunSettings } from "./run.ts";
import { summarize } from "./summary.ts";
import { runSeeds } from "./sweep.ts";

function wholeNumber(text: string | undefined, name: string, unless: number): number {
  if (text === undefined) return unless;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  console.error(`--${name} takes a whole number`);
  Deno.exit(2);
}

async function one(settings: Omit<RunSettings, "folder">, elle?: string): Promise<boolean> {
  const folder = makeFolder();
  try {
    const result = await runSeed({ ...settings, folder });
    if (elle !== undefined) await Deno.writeTextFile(elle, elleHistory(result.history));
    const report = new Report();
    const summary = summarize(result);
    report.add(summary);
    for (const { checker, what } of summary.violations) console.log(`${checker}: ${what}`);
    console.log(report.text());
    console.log(`trace ${summary.trace}`);
    return summary.violations.length === 0;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function many(
  settings: Omit<RunSettings, "folder" | "seed">,
  sweep: { from: number; runs: number; jobs: number; untilViolation: boolean },
): Promise<boolean> {
  const report = new Report();
  const startMs = performance.now();
  let shownMs = startMs;
  await runSeeds({
    ...settings,
    ...sweep,
    onRun: (summary) => {
      report.add(summary);
      for (const { checker, what } of summary.violations) {
        console.error(`Seed ${summary.seed} breaks ${checker}: ${what}`);
      }
      if (performance.now() - shownMs < 5_000) return;
      shownMs = performance.now();
      console.error(`${report.runs} of ${sweep.runs} runs, ${report.violated} break a promise`);
    },
  });
  console.log(report.text());
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  const seeds = `seeds ${sweep.from} to ${sweep.from + report.runs - 1}`;
  console.log(`${seeds} in ${seconds} s on ${sweep.jobs} threads`);
  return report.violated === 0;
}

if (import.meta.main) {
  const { values } = parseArgs({
    allowNegative: true,
    options: {
      seed: { type: "string" },
      runs: { type: "string" },
      jobs: { type: "string" },
      writes: { type: "string" },
      faults: { type: "string" },
      only: { type: "string" },
      elle: { type: "string" },
      shared: { type: "boolean" },
      "until-violation": { type: "boolean" },
    },
  });
  const seed = wholeNumber(values.seed, "seed", 1);
  const settings = {
    writes: wholeNumber(values.writes, "writes", 200),
    faults: wholeNumber(values.faults, "faults", 3),
    ...(values.only === undefined ? {} : { only: values.only.split(",") }),
    ...(values.shared === undefined ? {} : { shared: values.shared ? 1 : 0 }),
  };
  const held = values.runs === undefined
    ? await one({ ...settings, seed }, values.elle)
    : await many(settings, {
      from: seed,
      runs: wholeNumber(values.runs, "runs", 1_000),
      jobs: Math.max(1, wholeNumber(values.jobs, "jobs", navigator.hardwareConcurrency)),
      untilViolation: values["until-violation"] ?? false,
    });
  Deno.exitCode = held ? 0 : 1;
}
