/**
 * Runs worlds in a thread of its own: takes `{from, count}`, answers what went wrong.
 *
 * @module
 */

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

import { generate } from "./generate.ts";
import { Mirror } from "./mirror.ts";
import { type Failure, runPlan } from "./seed.ts";

/** Seeds to run. */
export interface Piece {
  readonly from: number;
  readonly count: number;
}

/** What came of them. */
export interface PieceResult {
  readonly failures: readonly (Failure & { readonly seed: number })[];
}

const mirror = new Mirror();

self.onmessage = async ({ data }: MessageEvent<Piece>) => {
  const failures: (Failure & { seed: number })[] = [];
  for (let seed = data.from; seed < data.from + data.count; seed++) {
    const failure = await runPlan(generate(seed), mirror);
    if (failure !== undefined) failures.push({ seed, ...failure });
  }
  const result: PieceResult = { failures };
  self.postMessage(result);
};
