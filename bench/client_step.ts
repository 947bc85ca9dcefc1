/**
 * The fixed cost of the client's smallest steps on a file database with six tables of few rows: time
 * and calls to SQLite of each.
 *
 * @module
 */

import { StepDevice, type Steps } from "../client/testing_steps.ts";
import { machine, show, spread } from "./support.ts";

const ROUNDS = 5;
const STEPS = 400;
const WARM_UP = 50;
const TABLES = 6;

const NAMES: Readonly<Record<keyof Steps<unknown>, string>> = {
  transaction: "transaction of two rows",
  push: "push of it",
  covering: "checkpoint with it",
  plain: "checkpoint of one row",
  comparison: "comparison",
};

interface Cost {
  readonly us: number;
  readonly calls: number;
}

/** Medians of many steps of each kind on one database. */
async function round(folder: string): Promise<Map<string, Cost>> {
  const device = await StepDevice.open(folder, TABLES);
  const all: Steps<Cost>[] = [];
  for (let i = 0; i < WARM_UP + STEPS; i++) {
    const costs = await device.steps(async (step): Promise<Cost> => {
      const started = performance.now();
      const calls = await device.driver.during(step);
      return { us: (performance.now() - started) * 1_000, calls };
    });
    if (i >= WARM_UP) all.push(costs);
  }
  await device.close();
  return new Map(
    Object.entries(NAMES).map(([kind, name]) => {
      const costs = all.flatMap((steps) =>
        Object.entries(steps).flatMap(([of, cost]: [string, Cost]) => of === kind ? [cost] : [])
      );
      return [name, {
        us: spread(costs.map(({ us }) => us)).median,
        calls: spread(costs.map(({ calls }) => calls)).median,
      }];
    }),
  );
}

/** Runs the benchmark and prints its table. */
export async function benchClientStep(): Promise<void> {
  console.log(`\nClient, smallest steps, ${TABLES} tables, file database`);
  const folder = await Deno.makeTempDir({ prefix: "lakesync-step-" });
  const rounds: ReadonlyMap<string, Cost>[] = [];
  try {
    for (let n = 0; n < ROUNDS; n++) rounds.push(await round(folder));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  for (const name of Object.values(NAMES)) {
    const costs = rounds.flatMap((round) => round.get(name) ?? []);
    const us = show(spread(costs.map(({ us }) => us)));
    const [calls] = costs.map(({ calls }) => calls);
    console.log(`${name.padEnd(25)}${us} µs, ${calls} calls to SQLite`);
  }
}

if (import.meta.main) {
  console.log(machine());
  await benchClientStep();
}
