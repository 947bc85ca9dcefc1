/**
 * Runs the world of one seed.
 *
 * @module
 */

import type { Mirror } from "./mirror.ts";
import type { Plan } from "./plan.ts";
import { play } from "./play.ts";
import { storesFor } from "./stores.ts";

/** Where a world went wrong. */
export interface Failure {
  /** The place of the step in the plan. */
  readonly step: number;
  /** What is different from what it should be. */
  readonly what: string;
}

/**
 * Runs a world on stores of its own.
 *
 * @param plan the world
 * @param mirror is begun anew
 * @returns what went wrong, undefined when nothing did
 */
export async function runPlan(plan: Plan, mirror: Mirror): Promise<Failure | undefined> {
  await using stores = await storesFor(plan.store);
  const failed = await play(plan, stores, mirror);
  if (failed === undefined) return undefined;
  const { step, error } = failed;
  return { step, what: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
}
