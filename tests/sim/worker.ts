/**
 * Runs seeds in a thread of its own: takes what to run, answers each run's figures.
 *
 * @module
 */

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

import { makeFolder } from "./folder.ts";
import { summarize, type Summary } from "./summary.ts";
import { runSeed, type RunSettings } from "./run.ts";

/** Seeds to run. */
export interface Piece extends Omit<RunSettings, "seed" | "folder"> {
  readonly from: number;
  readonly count: number;
}

const folder = makeFolder();

self.onmessage = async ({ data }: MessageEvent<Piece | "end">) => {
  if (data === "end") {
    Deno.removeSync(folder, { recursive: true });
    return self.postMessage([]);
  }
  const { from, count, ...settings } = data;
  const summaries: Summary[] = [];
  for (let seed = from; seed < from + count; seed++) {
    summaries.push(summarize(await runSeed({ ...settings, seed, folder })));
  }
  self.postMessage(summaries);
};
