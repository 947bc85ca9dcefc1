/**
 * All checkers, by name. Each is a module of its own that reads a history and nothing else.
 *
 * @module
 */
import type { Checker, History, Violation } from "../history.ts";
import { atomic } from "./atomic.ts";
import { causal } from "./causal.ts";
import { convergence } from "./convergence.ts";
import { durability } from "./durability.ts";
import { exactlyOnce } from "./exactly_once.ts";
import { flush } from "./flush.ts";
import { neverStuck } from "./never_stuck.ts";
import { outcome } from "./outcome.ts";
import { scope } from "./scope.ts";

export { settleTimesMs } from "./never_stuck.ts";

/** The checkers, by the name that their violations carry. */
export const CHECKERS: Readonly<Record<string, Checker>> = {
  durability,
  exactly_once: exactlyOnce,
  outcome,
  atomic,
  causal,
  convergence,
  scope,
  never_stuck: neverStuck,
  flush,
};

/**
 * Lets every checker look at a history.
 *
 * @param history The history of one run; must not be changed afterwards.
 * @returns What is wrong, in the checkers' order; nothing when the run kept every promise.
 */
export function check(history: History): readonly Violation[] {
  return Object.values(CHECKERS).flatMap((checker) => checker(history));
}
