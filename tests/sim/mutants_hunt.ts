/**
 * Lets the simulator hunt mistakes: plays a copy of the sources with a mistake in it until the checker
 * that it is meant for has caught it, with a seed whose run is sound without the mistake.
 *
 * @module
 */

import { join } from "node:path";
import { copySources, makeMistake, type Mutant, runIn } from "../mutation/copy.ts";
import type { SimMutant } from "./mutants.ts";
import type { Play, Played } from "./mutants_play.ts";

/** What the simulator needs of the repository. */
const NEEDED = [
  "core",
  "server",
  "adapters",
  "client",
  "tests/oracle",
  "tests/sim",
  "deno.json",
  "deno.lock",
];

/** A copy of the core without the mistake, as the oracle's files find it. */
const SOUND_CORE = "../../sound/core/mod.ts";

/** What is expected is worked out by a core without the mistake. */
const SOUND_REFERENCE: Mutant = {
  name: "what is expected",
  changes: [{
    file: "tests/oracle/reference.ts",
    find: 'from "@lakesync/core";',
    replace: `from "${SOUND_CORE}";`,
  }],
};

/**
 * Copies what is needed.
 *
 * @param folder where to
 */
export async function prepare(folder: string): Promise<void> {
  await copySources(folder, NEEDED);
  await copySources(join(folder, "sound"), ["core"]);
  await Deno.remove(join(folder, "sound/core/deno.json"));
  await makeMistake(folder, SOUND_REFERENCE);
}

async function play(folder: string, settings: Play): Promise<Played> {
  const { code, text } = await runIn(folder, [
    "tests/sim/mutants_play.ts",
    JSON.stringify(settings),
  ]);
  const line = text.split("\n").find((line) => line.startsWith("{"));
  if (code !== 0 || line === undefined) throw new Error(`It does not run:\n${text.slice(-2_000)}`);
  return JSON.parse(line);
}

/** What a hunt came to. */
export interface Hunt {
  /** How many runs there were. */
  readonly runs: number;
  /** What the checker said of the last one; not there when it caught nothing. */
  readonly what?: string;
  /** In how many runs each checker caught something. */
  readonly caught: ReadonlyMap<string, number>;
  /** Seeds that break a promise that the checker holds without the mistake too. */
  readonly unsound: readonly string[];
}

/**
 * Hunts a mistake.
 *
 * @param folder a copy from {@linkcode prepare}; it is then as it was
 * @param mutant the mistake
 * @param most how many runs at most
 * @returns what came of it
 */
export async function hunt(
  folder: string,
  { name, changes, checker, run = {} }: SimMutant,
  most: number,
): Promise<Hunt> {
  const caught = new Map<string, number>();
  const unsound: string[] = [];
  const settings = { writes: 200, faults: 3, shared: 0, ...run, checker };
  for (let from = 1; from <= most;) {
    const undo = await makeMistake(folder, { name, changes });
    const played = await play(folder, { ...settings, from, through: most }).finally(undo);
    for (const [by, times] of Object.entries(played.caught)) {
      caught.set(by, (caught.get(by) ?? 0) + times);
    }
    const { seed, what } = played;
    if (seed === undefined || what === undefined) break;
    const sound = await play(folder, { ...settings, from: seed, through: seed });
    if (sound.what === undefined) return { runs: seed, what, caught, unsound };
    unsound.push(`${seed}: ${sound.what}`);
    from = seed + 1;
  }
  return { runs: most, caught, unsound };
}

/**
 * Tells by whom something was caught.
 *
 * @param caught in how many runs by which checker
 * @returns the checkers, the busiest first
 */
export function told(caught: ReadonlyMap<string, number>): string {
  const by = [...caught].sort(([, a], [, b]) => b - a);
  return by.length === 0 ? "nobody" : by.map(([name, times]) => `${name} ${times}`).join(", ");
}
