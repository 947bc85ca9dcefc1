/**
 * The whole gate that needs no servers and no root: `deno task ok`. Prints each step, what was
 * skipped and why, and ends with one line `N passed, N failed`, the sum of checks and test cases.
 *
 * @module
 */

import { listFiles, MEMBERS, readText, ROOT } from "./files.ts";
import { countTests, denoCheck, type Outcome, run, sumOf } from "./process.ts";
import { runSnippets } from "./snippets.ts";

const PACKAGES = [...MEMBERS, "."];

/** The entry points of a package from the root of the workspace, as its deno.json exports them. */
async function entriesOf(folder: string): Promise<string[]> {
  const config = JSON.parse(await Deno.readTextFile(new URL(`${folder}/deno.json`, ROOT)));
  const { exports } = config;
  const entries: string[] = typeof exports === "string" ? [exports] : Object.values(exports);
  return entries.map((entry) => `${folder}/${entry}`);
}

/** Lints all packages at once: a type of a sibling is public when the sibling exports it. */
async function docLint(): Promise<Outcome> {
  const entries = await Promise.all(PACKAGES.map(entriesOf));
  return denoCheck(["doc", "--lint", ...entries.flat()]);
}

async function publishDryRun(): Promise<Outcome> {
  const outcomes: Outcome[] = [];
  for (const folder of PACKAGES) {
    const cwd = new URL(`${folder}/`, ROOT);
    const outcome = await denoCheck(["publish", "--dry-run", "--allow-dirty"], { cwd });
    const published = /^.*(_test\.ts|\/_?(testing|conformance)_[^/]*|conformance\.ts) \(.*$/m
      .exec(outcome.output)?.[0];
    outcomes.push(
      published === undefined
        ? outcome
        : { passed: 0, failed: 1, output: `${folder} publishes a test: ${published.trim()}` },
    );
  }
  return sumOf(outcomes);
}

/** Runs the `@example` blocks of all modules; a `console.assert` that does not hold fails too. */
async function docExamples(): Promise<Outcome> {
  const modules = (await listFiles(...MEMBERS, "mod.ts"))
    .filter((path) => /(?<!_test)\.tsx?$/.test(path));
  const texts = await Promise.all(modules.map(readText));
  const documented = modules.filter((_, i) => texts[i]?.includes("* ```ts"));
  const ran = await run([Deno.execPath(), "test", "-A", "--doc", ...documented]);
  const broken = /^Assertion failed/m.test(ran.output);
  return countTests({ ...ran, success: ran.success && !broken });
}

/** The tests are thousands of worlds, kills and rows; past this they are stuck. */
const TESTS_TIMEOUT_MS = 30 * 60_000;

async function tests(): Promise<Outcome> {
  return countTests(
    await run([Deno.execPath(), "task", "test"], { timeoutMs: TESTS_TIMEOUT_MS }),
  );
}

const STEPS: readonly (readonly [string, () => Promise<Outcome>])[] = [
  ["lock file", () => denoCheck(["install", "--frozen"])],
  ["format", () => denoCheck(["fmt", "--check"])],
  ["lint", () => denoCheck(["lint"])],
  ["types", () => denoCheck(["check", "."])],
  ["documentation of exports", docLint],
  ["publish dry run", publishDryRun],
  ["examples in documentation", docExamples],
  ["code blocks of README and docs", runSnippets],
  ["tests", tests],
];

async function runStep(name: string, step: () => Promise<Outcome>): Promise<Outcome> {
  const start = performance.now();
  const outcome = await step();
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  if (outcome.failed > 0) console.log(outcome.output.trimEnd());
  for (const skipped of outcome.skipped ?? []) console.log(`  skipped: ${skipped}`);
  console.log(`${name}: ${outcome.passed} passed, ${outcome.failed} failed (${seconds} s)`);
  return outcome;
}

if (import.meta.main) {
  const outcomes: Outcome[] = [];
  for (const [name, step] of STEPS) outcomes.push(await runStep(name, step));
  const { passed, failed } = sumOf(outcomes);
  console.log(`${passed} passed, ${failed} failed`);
  Deno.exit(failed === 0 ? 0 : 1);
}
