/** SQL of random apps: what is captured is what was written, and the app notices nothing of it. */

import fc from "fast-check";
import { Choices } from "./choices.ts";
import { law } from "./law.ts";
import { play } from "./sql_play.ts";
import { makeStep, type Step } from "./sql_statements.ts";
import { makeWorld, type World } from "./sql_world.ts";

function describe({ schema, ddl, lateDdl, onDisk }: World, steps: readonly Step[]): string {
  const lines = [onDisk ? "on disk" : "in memory", JSON.stringify(schema), ...ddl, ...lateDdl];
  return [...lines, ...steps.map((step) => JSON.stringify(step))].join("\n");
}

const numbers = fc.array(fc.nat(2 ** 20), { maxLength: 80, size: "max" });

law("the outbox reproduces the database, and the app sees what plain SQLite would show it", {
  inputs: fc.record({
    world: numbers,
    steps: fc.array(numbers, { minLength: 1, maxLength: 25, size: "max" }),
  }),
  runs: 150,
  holds: async ({ world: schema, steps }) => {
    const world = makeWorld(new Choices(schema));
    const made = steps.map((numbers) => makeStep(new Choices(numbers), world));
    try {
      await play(world, made);
    } catch (error) {
      throw new Error(describe(world, made), { cause: error });
    }
  },
});
