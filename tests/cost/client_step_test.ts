/**
 * The smallest steps of a client make few calls to SQLite, however many tables there are; only the
 * comparison reads each.
 */

import assert from "node:assert/strict";
import { StepDevice, type Steps } from "../../client/testing_steps.ts";

async function callsOf(tables: number): Promise<Steps<number>> {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-cost-" });
  const device = await StepDevice.open(folder, tables);
  try {
    const count = (step: () => Promise<unknown>) => device.driver.during(step);
    for (let i = 0; i < 3; i++) await device.steps(count);
    return await device.steps(count);
  } finally {
    await device.close();
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the client's smallest steps make few calls to SQLite, however many tables there are", async () => {
  const six = await callsOf(6);
  assert.deepEqual(six, { transaction: 8, push: 17, covering: 24, plain: 15, comparison: 17 });
  const twelve = await callsOf(12);
  assert.deepEqual(twelve, { ...six, comparison: six.comparison + 6 });
});
