/**
 * Runs seeds one after the other until a checker has caught something, in a copy of the sources with
 * a mistake in it: `mutants_play.ts '{"checker": "flush", "from": 1, "through": 1000, …}'`. What came
 * of it is the last line of the output, as JSON.
 *
 * @module
 */

import { makeFolder } from "./folder.ts";
import { runSeed, type RunSettings } from "./run.ts";
import { summarize } from "./summary.ts";

/** What to play. */
export interface Play extends Omit<RunSettings, "seed" | "folder"> {
  /** The checker that is to catch something. */
  readonly checker: string;
  /** The first seed. */
  readonly from: number;
  /** The last seed. */
  readonly through: number;
}

/** What came of it. */
export interface Played {
  /** The seed with which the checker caught something; not there when it did not. */
  readonly seed?: number;
  /** The first thing it said. */
  readonly what?: string;
  /** In how many runs each checker caught something; those that failed altogether are `failed`. */
  readonly caught: Readonly<Record<string, number>>;
}

async function play({ checker, from, through, ...settings }: Play): Promise<Played> {
  const folder = makeFolder();
  const caught: Record<string, number> = {};
  try {
    for (let seed = from; seed <= through; seed++) {
      const found = await violationsOf({ ...settings, seed, folder });
      for (const name of new Set(found.map(({ checker }) => checker))) {
        caught[name] = (caught[name] ?? 0) + 1;
      }
      const what = found.find((one) => one.checker === checker)?.what;
      if (what !== undefined) return { seed, what, caught };
    }
    return { caught };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function violationsOf(settings: RunSettings) {
  try {
    return summarize(await runSeed(settings)).violations;
  } catch (error) {
    return [{ checker: "failed", what: String(error) }];
  }
}

if (import.meta.main) {
  console.log(JSON.stringify(await play(JSON.parse(Deno.args[0] ?? ""))));
}
