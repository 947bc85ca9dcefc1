/**
 * The highest rate of commits that a gateway sustains: at which the 99th percentile of the time
 * until all others have seen a commit stays under two seconds and does not grow.
 *
 * @module
 */

import { slope } from "./load_gateway.ts";
import { type LoadPlan, type LoadResult, runLoad } from "./load_run.ts";

/** What the lag's 99th percentile must stay under, in milliseconds. */
const MAX_LAG_MS = 2_000;
/** By how much the lag may grow over a run without being taken for growing, in milliseconds. */
const MAX_GROWTH_MS = 200;

/** One rate that was tried. */
export interface Trial {
  /** Commits a second of all clients together. */
  readonly perSecond: number;
  readonly result: LoadResult;
  /** By how much the lag grew over the run, in milliseconds. */
  readonly growthMs: number;
  readonly sustained: boolean;
}

async function attempt(plan: LoadPlan, perSecond: number): Promise<Trial> {
  const liveIntervalMs = (plan.live / perSecond) * 1_000;
  const result = await runLoad({ ...plan, liveIntervalMs });
  const growthMs = slope(result.lags) * result.lags.length;
  const sustained = result.lag.p99 < MAX_LAG_MS && growthMs < MAX_GROWTH_MS &&
    result.unanswered === 0 && result.unseen === 0 && result.failures.size === 0;
  return { perSecond, result, growthMs, sustained };
}

/**
 * Searches, by doubling and then halving the distance; each rate on a new gateway.
 *
 * @param plan the clients
 * @param from the rate to begin with, in commits a second
 * @param halvings how often the distance is halved
 * @param tried told of each rate
 * @returns the highest rate that was sustained, 0 when none was
 */
export async function searchRate(
  plan: LoadPlan,
  from: number,
  halvings: number,
  tried: (trial: Trial) => void,
): Promise<number> {
  let good = 0;
  let bad = Infinity;
  const take = async (perSecond: number) => {
    const trial = await attempt(plan, perSecond);
    tried(trial);
    if (trial.sustained) good = perSecond;
    else bad = perSecond;
  };
  for (let rate = from; bad === Infinity; rate *= 2) await take(rate);
  for (let i = 0; i < halvings; i++) await take(Math.round((good + bad) / 2));
  return good;
}
