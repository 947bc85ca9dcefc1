/**
 * Random lives of a composed destination: what happens to the log, the network and the process.
 *
 * @module
 */

import fc from "fast-check";
import { Bed, type Build } from "./testing_bed.ts";
import type { Written } from "./testing_log.ts";
import { known } from "./testing_play.ts";

/** Something that happens. */
export type Event =
  | { readonly kind: "commit"; readonly slices: readonly (readonly Written[])[] }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "restore"; readonly by: number }
  | { readonly kind: "trim"; readonly keep: number }
  | { readonly kind: "crash" };

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 7,
    arbitrary: fc.array(fc.array(known, { maxLength: 4 }), { minLength: 1, maxLength: 3 })
      .map((slices): Event => ({ kind: "commit", slices })),
  },
  {
    weight: 6,
    arbitrary: fc.integer({ min: 1, max: 900 }).map((ms): Event => ({ kind: "pass", ms })),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 0, max: 5 }).map((by): Event => ({ kind: "restore", by })),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 0, max: 2 }).map((keep): Event => ({ kind: "trim", keep })),
  },
  { weight: 2, arbitrary: fc.constant<Event>({ kind: "crash" }) },
);

/** A seed and what happens. */
export const life: fc.Arbitrary<readonly [seed: number, events: readonly Event[]]> = fc.tuple(
  fc.integer({ min: 0, max: 1e6 }),
  fc.array(event, { maxLength: 25 }),
);

/**
 * Plays a life to its end, heals, and holds the destination against the log.
 *
 * @param seed chance
 * @param events what happens
 * @param build makes the destination
 */
export async function live(
  seed: number,
  events: readonly Event[],
  build: Build,
): Promise<void> {
  const bed = new Bed(seed, build);
  for (const event of events) {
    if (event.kind === "commit") bed.commit(...event.slices);
    else if (event.kind === "pass") await bed.pass(event.ms);
    else if (event.kind === "restore") bed.restore(event.by);
    else if (event.kind === "trim") bed.source.trim(bed.source.seq - event.keep);
    else bed.start();
  }
  await bed.heal();
  await bed.check();
  await bed.checkSecondaries();
  await bed.close();
}
