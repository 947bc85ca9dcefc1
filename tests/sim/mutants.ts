/**
 * Mistakes that the simulator must catch: each is a small change of the engine, made in a copy, and
 * meant for one checker. Where usual runs let it show seldom, faults are chosen that it needs.
 *
 * @module
 */

import type { Mutant } from "../mutation/copy.ts";
import { CLIENT_MUTANTS } from "./mutants_client.ts";
import { SERVER_MUTANTS } from "./mutants_server.ts";
import type { RunSettings } from "./run.ts";

/** A mistake. */
export interface SimMutant extends Mutant {
  /** The checker that it is meant for. */
  readonly checker: string;
  /** How runs are to be that let it show soon; as usual unless given. */
  readonly run?: Partial<Pick<RunSettings, "writes" | "faults" | "only">>;
  /** Whether it is caught at once, so that it is tried with all other tests. */
  readonly isQuick?: true;
}

/** The mistakes. */
export const MUTANTS: readonly SimMutant[] = [...SERVER_MUTANTS, ...CLIENT_MUTANTS];
