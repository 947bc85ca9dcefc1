/**
 * A run's figures, once its checkers have looked at it.
 *
 * @module
 */

import { check } from "./checkers/mod.ts";
import type { Violation } from "./history.ts";
import type { RunResult } from "./run.ts";

/** What is kept of a run. */
export interface Summary {
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** Writes in acknowledged transactions. */
  readonly writes: number;
  /** Acknowledged transactions. */
  readonly transactions: number;
  /** Kinds of faults that fired, and how often. */
  readonly faults: ReadonlyMap<string, number>;
  /** How long it took until all agreed once nothing went wrong, in milliseconds of virtual time. */
  readonly convergedMs: number;
  /** How long the run was, in milliseconds of virtual time. */
  readonly virtualMs: number;
  /** How long it really took, in milliseconds. */
  readonly realMs: number;
  readonly trace: string;
}

/** Looks at a run. */
export function summarize({ history, violations, ...figures }: RunResult): Summary {
  return { ...figures, violations: [...violations, ...check(history)] };
}
