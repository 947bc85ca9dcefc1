/**
 * Runs many seeds across cores.
 *
 * @module
 */

import type { Summary } from "./summary.ts";
import type { Piece } from "./worker.ts";

/** Seeds that a worker takes at once. */
const PIECE = 20;

/** What to run. */
export interface Sweep extends Omit<Piece, "count"> {
  /** How many seeds. */
  readonly runs: number;
  /** How many threads. */
  readonly jobs: number;
  /** Whether to stop soon after the first violation. */
  readonly untilViolation?: boolean;
  /** Told of each run. */
  readonly onRun: (summary: Summary) => void;
}

/** Runs seeds; resolves when all were run. */
export async function runSeeds(sweep: Sweep): Promise<void> {
  const { from, runs, jobs, untilViolation, onRun, ...settings } = sweep;
  const end = from + runs;
  const piece = Math.max(1, Math.min(PIECE, Math.ceil(runs / jobs)));
  let next = from;
  let violated = false;
  const work = async () => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    try {
      while (next < end && !(untilViolation && violated)) {
        const count = Math.min(piece, end - next);
        next += count;
        for (const summary of await ask(worker, { ...settings, from: next - count, count })) {
          violated ||= summary.violations.length > 0;
          onRun(summary);
        }
      }
    } finally {
      await ask(worker, "end");
      worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
}

function ask(worker: Worker, piece: Piece | "end"): Promise<readonly Summary[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly Summary[]>();
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    const where = piece === "end" ? "its end" : `the seeds from ${piece.from}`;
    reject(new Error(`A worker failed at ${where}: ${event.message}`));
  };
  worker.postMessage(piece);
  return promise;
}
