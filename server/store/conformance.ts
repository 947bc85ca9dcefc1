/**
 * What every store must do, as one suite: it holds each sentence of the port in `store.ts`.
 *
 * @module
 */

import { commitCases } from "./_conformance_commit.ts";
import { largeCases } from "./_conformance_large.ts";
import { lifecycleCases } from "./_conformance_lifecycle.ts";
import { modelCases } from "./_conformance_model.ts";
import { recordCases } from "./_conformance_records.ts";
import { scanCases } from "./_conformance_scan.ts";
import { viewCases } from "./_conformance_views.ts";
import { walkCases } from "./_conformance_walk.ts";
import type { StoreFactory } from "./store.ts";

/** How the suite gets stores of one kind. */
export interface StoreSubject {
  /** Whether a view stays true whatever is committed while it is open. */
  readonly versions: boolean;
  /** Opens stores in a new, empty place. */
  open(): Promise<StoreFactory>;
  /** Closes stores and opens those of the same place, as a process that starts again does. */
  reopen(stores: StoreFactory): Promise<StoreFactory>;
}

/** One test of the suite. */
export interface ConformanceCase {
  /** What the store does, after `<name> store`. */
  readonly name: string;
  /** Tries it; every place the subject opens is closed by the caller. */
  run(subject: StoreSubject): Promise<void>;
}

/**
 * Registers the suite for one kind of store.
 *
 * @param name the kind
 * @param makeSubject makes a subject for one test, and what cleans up after it
 * @param modelRuns how many random histories to compare with the model
 */
export function testStore(
  name: string,
  makeSubject: () => Promise<StoreSubject & AsyncDisposable>,
  modelRuns: number,
): void {
  const cases = [
    ...lifecycleCases,
    ...commitCases,
    ...scanCases,
    ...viewCases,
    ...walkCases,
    ...recordCases,
    ...largeCases,
    ...modelCases(modelRuns),
  ];
  for (const { name: does, run } of cases) {
    Deno.test(`${name} store ${does}`, async () => {
      await using subject = await makeSubject();
      await run(subject);
    });
  }
}
