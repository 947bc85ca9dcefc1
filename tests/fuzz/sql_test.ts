/** SQL of random apps: what is captured is what was written, and the app notices nothing of it. */

import fc from "fast-check";
import { Choices } from "./choices.ts";
import { law } from "./law.ts";
import { play } from "./sql_play.ts";
import { firstSteps, makeStep, type Step } from "./sql_statements.ts";
import { makeWorld, type World } from "./sql_world.ts";

function describe({ schema, ddl, rows, onDisk }: World, steps: readonly Step[]): string {
  const lines = [onDisk ? "on disk" : "in memory", JSON.stringify(schema), ...ddl, ...rows];
  return [...lines, ...steps.map((step) => JSON.stringify(step))].join("\n");
}

/** What chooses an app and its steps. */
interface Input {
  readonly world: readonly number[];
  readonly first: readonly number[];
  readonly steps: readonly (readonly number[])[];
}

function makeApp(input: Input): { readonly world: World; readonly steps: readonly Step[] } {
  const world = makeWorld(new Choices(input.world));
  const steps = input.steps.map((numbers) => makeStep(new Choices(numbers), world));
  return { world, steps: [...firstSteps(new Choices(input.first), world), ...steps] };
}

const numbers = fc.array(fc.nat(2 ** 20), { maxLength: 80, size: "max" });

law("the outbox reproduces the database, and the app sees what plain SQLite would show it", {
  inputs: fc.record({
    world: numbers,
    first: numbers,
    steps: fc.array(numbers, { maxLength: 25, size: "max" }),
  }),
  runs: 150,
  seed: 1,
  holds: async (input) => {
    const { world, steps } = makeApp(input);
    try {
      await play(world, steps);
    } catch (error) {
      throw new Error(describe(world, steps), { cause: error });
    }
  },
});
