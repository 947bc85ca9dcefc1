/**
 * Runs many seeds across cores.
 *
 * @module
 */

import type { Failure } from "./seed.ts";
import type { Piece, PieceResult } from "./worker.ts";

/** Seeds that a worker takes at once. */
const PIECE = 50;

/** A seed whose world went wrong. */
export type FailedSeed = Failure & { readonly seed: number };

/** What to run. */
export interface Sweep {
  /** The first seed. */
  readonly from: number;
  /** How many seeds. */
  readonly seeds: number;
  /** How many threads. */
  readonly jobs: number;
  /** Whether to stop soon after the first failure. */
  readonly untilFailure?: boolean;
  /** Told how many seeds were run. */
  readonly onProgress?: (done: number, failures: readonly FailedSeed[]) => void;
}

/**
 * Runs the worlds of many seeds.
 *
 * @param sweep which ones
 * @returns the seeds whose worlds went wrong, ascending
 */
export async function runSeeds(sweep: Sweep): Promise<readonly FailedSeed[]> {
  const failures: FailedSeed[] = [];
  const end = sweep.from + sweep.seeds;
  let next = sweep.from;
  let done = 0;
  const work = async () => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    try {
      while (next < end && !(sweep.untilFailure && failures.length > 0)) {
        const piece = { from: next, count: Math.min(PIECE, end - next) };
        next += piece.count;
        failures.push(...(await ask(worker, piece)).failures);
        done += piece.count;
        sweep.onProgress?.(done, failures);
      }
    } finally {
      worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: sweep.jobs }, work));
  return failures.sort((a, b) => a.seed - b.seed);
}

function ask(worker: Worker, piece: Piece): Promise<PieceResult> {
  const { promise, resolve, reject } = Promise.withResolvers<PieceResult>();
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(`A worker failed at the seeds from ${piece.from}: ${event.message}`));
  };
  worker.postMessage(piece);
  return promise;
}
