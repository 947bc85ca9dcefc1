/**
 * Random steps of a gateway, its lake and what keeps the lake, for tests.
 *
 * @module
 */

import fc from "fast-check";
import { loadTables } from "../flush/tables.ts";
import type { MergeSettings } from "./merge.ts";
import { mergeOne } from "./merge_lake.ts";
import type { GatewayChange, TestGateway } from "./testing_gateway.ts";
import { changes, TABLE } from "./testing_history.ts";
import type { TestLake } from "./testing_lake.ts";

/** Files are of few rows, and rows of them are deleted by their places. */
export const SMALL: MergeSettings = {
  ...{ maxChanges: 4, smallBytes: 0, maxGone: 0.7, targetBytes: 1_500 },
};

/** A step. */
export type Step =
  | { readonly kind: "flush"; readonly given: GatewayChange[][]; readonly settles: boolean }
  | { readonly kind: "slices"; readonly given: readonly [GatewayChange[], GatewayChange[]] }
  | { readonly kind: "merge" }
  | { readonly kind: "evolve" }
  | { readonly kind: "rewind"; readonly commits: number }
  | { readonly kind: "refill"; readonly untold: GatewayChange[] }
  | { readonly kind: "fill"; readonly count: number };

const change: fc.Arbitrary<GatewayChange> = fc.tuple(
  changes(1),
  fc.boolean().chain((yes) => yes ? fc.boolean() : fc.constant(false)),
).map(([given, isForgotten]) => ({ ...given, isForgotten }));
const some = fc.array(change, { minLength: 1, maxLength: 4 });
const flush: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("flush" as const),
  given: fc.array(some, { maxLength: 3 }),
  settles: fc.boolean(),
});
/** Any step. */
export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: flush },
  { weight: 5, arbitrary: fc.constant<Step>({ kind: "merge" }) },
  {
    weight: 1,
    arbitrary: fc.tuple(some, some).map((given): Step => ({ kind: "slices", given })),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "evolve" }) },
  {
    weight: 2,
    arbitrary: fc.nat(3).map((commits): Step => ({ kind: "rewind", commits })),
  },
  { weight: 2, arbitrary: some.map((untold): Step => ({ kind: "refill", untold })) },
  { weight: 3, arbitrary: fc.nat(4).map((count): Step => ({ kind: "fill", count: count + 1 })) },
);

/** Takes a step. */
export async function take(step: Step, gateway: TestGateway, { lake }: TestLake): Promise<void> {
  if (step.kind === "flush") await gateway.flush(step.given, step.settles);
  if (step.kind === "slices") await gateway.flushSlices(step.given);
  if (step.kind === "evolve") await gateway.evolve();
  if (step.kind === "rewind") await gateway.rewind(step.commits);
  if (step.kind === "refill") await gateway.refill(step.untold);
  if (step.kind === "fill") await gateway.fill(step.count);
  if (step.kind === "merge") await mergeOne(lake, await loadTables(lake), TABLE, SMALL);
}
