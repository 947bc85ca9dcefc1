/**
 * All laws of this folder on more random input than `deno task test` has time for.
 *
 * - `deno task fuzz` tries each on 10,000 inputs of a new seed
 * - `deno task fuzz --seed 42 --runs 1000` tries 1,000 of a chosen one, the same ones every time
 * - `deno task fuzz --only sql` tries those of the files whose name begins so
 *
 * Inputs are made and made smaller by fast-check, without a look at which code they reach. The one
 * coverage-guided fuzzer that is kept for Node, `@jazzer.js/core` 4.0.0, comes as a binary that needs
 * glibc 2.38, which Debian 12 does not have, and without the source to build it.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { VARIABLES } from "./law.ts";

const RUNS = 10_000;
const HERE = new URL(".", import.meta.url);

function wholeNumber(text: string | undefined, name: string, unless: number): number {
  if (text === undefined) return unless;
  if (/^\d{1,10}$/.test(text)) return Number(text);
  console.error(`--${name} takes a whole number`);
  Deno.exit(2);
}

async function testFiles(only: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name } of Deno.readDir(HERE)) {
    if (name.endsWith("_test.ts") && name.startsWith(only)) files.push(name);
  }
  return files.sort();
}

async function runAll(files: readonly string[], seed: number, runs: number): Promise<number> {
  const tests = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", ...files],
    cwd: fileURLToPath(HERE),
    env: { [VARIABLES.seed]: String(seed), [VARIABLES.runs]: String(runs) },
  }).spawn();
  return (await tests.status).code;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      runs: { type: "string" },
      only: { type: "string", default: "" },
    },
  });
  const seed = wholeNumber(values.seed, "seed", Math.floor(Math.random() * 2 ** 31));
  const runs = wholeNumber(values.runs, "runs", RUNS);
  const files = await testFiles(values.only);
  const startMs = performance.now();
  Deno.exitCode = await runAll(files, seed, runs);
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  const end = Deno.exitCode === 0 ? "every law holds" : "a law is broken";
  console.log(
    `Seed ${seed}, ${runs} runs of each law in ${files.length} files, ${seconds} s: ${end}`,
  );
  console.log(`Again: deno task fuzz --seed ${seed} --runs ${runs}`);
}
