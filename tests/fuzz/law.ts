/**
 * A law that random input tries to break. In `deno task test` each is tried on a few inputs of a
 * new seed; `deno task fuzz` (main.ts) tries more, or the inputs of a seed again, by two environment
 * variables.
 *
 * @module
 */

import fc from "fast-check";
import assert from "node:assert/strict";

/** The environment variables that say how to try the laws. */
export const VARIABLES = {
  /** Inputs for each law, in place of its own number. */
  runs: "LAKESYNC_FUZZ_RUNS",
  /** Where the inputs come from; the same seed and number of runs give the same inputs. */
  seed: "LAKESYNC_FUZZ_SEED",
} as const;

function wholeNumber(name: string): number | undefined {
  const text = Deno.env.get(name);
  if (text === undefined || text === "") return undefined;
  assert.match(text, /^\d{1,10}$/, `${name} takes a whole number`);
  return Number(text);
}

/** What a law is about. */
export interface Law<T> {
  /** The inputs it is tried on. */
  readonly inputs: fc.Arbitrary<T>;
  /** Inputs in `deno task test`. */
  readonly runs: number;
  /** The seed in `deno task test`, where what SQLite leaves open is not known to the last; else new. */
  readonly seed?: number;
  /** Inputs that were wrong once; they are tried first. */
  readonly examples?: readonly T[];
  /** Throws when the law does not hold. */
  readonly holds: (input: T) => void | Promise<void>;
}

/**
 * Makes a test of a law.
 *
 * @param name what holds
 * @param law its inputs, and how they are judged
 */
export function law<T>(name: string, of: Law<T>): void {
  const { inputs, runs, examples = [], holds } = of;
  Deno.test(name, async () => {
    const asked = wholeNumber(VARIABLES.runs);
    const own = asked === undefined ? of.seed : undefined;
    const seed = wholeNumber(VARIABLES.seed) ?? own ?? Math.floor(Math.random() * 2 ** 31);
    const numRuns = asked ?? runs;
    if (asked !== undefined) console.log(`${numRuns} runs of seed ${seed}: ${name}`);
    let untilMs = Infinity;
    const property = fc.asyncProperty(inputs, async (input) => {
      if (performance.now() > untilMs) return;
      try {
        await holds(input);
      } catch (error) {
        untilMs = Math.min(untilMs, performance.now() + SHRINK_MS);
        throw error;
      }
    });
    const result = await fc.check(property, {
      seed,
      numRuns: numRuns + examples.length,
      examples: examples.map((example): [T] => [example]),
    });
    if (!result.failed) return;
    const again = `Again: deno task fuzz --seed ${seed} --runs ${numRuns}`;
    throw new Error(
      `${again}
${fc.defaultReportMessage(result)}`,
      {
        cause: result.errorInstance,
      },
    );
  });
}

/** How long an input that breaks a law is made smaller. */
const SHRINK_MS = 15_000;
