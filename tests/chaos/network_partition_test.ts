/** A server and clients in network namespaces, and a line between them that breaks. */

import assert from "node:assert/strict";
import { until } from "../e2e/wait.ts";
import type { Device } from "./client_support.ts";
import { type DeviceClient, expectedPair, isTorn, readPair, readTally } from "./client_workload.ts";
import { type Break, Namespaces } from "./network_namespaces.ts";
import { Site } from "./network_support.ts";

/** How much faster the clients' timers run: TCP's own do not, so this must not be too much. */
const TIMES = 30;

/** After a line was mended: the longest back-off, as it passes here, and what TCP waits itself. */
const BACK_WITHIN_MS = 30_000 / TIMES + 5_000;
const WRITES_MEANWHILE = 10;

/** Why something cannot be tried here; undefined when it can. */
async function hindrance(work: (made: Namespaces) => Promise<void>): Promise<string | undefined> {
  try {
    await using made = await Namespaces.make();
    await work(made);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const noNamespaces = await hindrance(() => Promise.resolve());
const noLoss = noNamespaces ?? await hindrance((made) => made.lose(1));
if (noNamespaces !== undefined) console.log(`skipped: no network namespaces: ${noNamespaces}`);
else if (noLoss !== undefined) console.log(`skipped: no loss of packets: ${noLoss}`);

/** Waits until a device has written some more. */
async function moreWrites(device: Device): Promise<void> {
  const target = device.reported + WRITES_MEANWHILE;
  await until(`${device.name} writes on`, () => device.reported >= target);
}

async function allArrived(
  site: Site,
  devices: readonly Device[],
  near: DeviceClient,
): Promise<void> {
  const counts = new Map<string, number>();
  await Promise.all(devices.map(async (device) => counts.set(device.name, await device.stop())));
  for (const [name, count] of counts) {
    await until(`all of ${name}`, async () => await readTally(near, name) === count);
  }
  assert.deepEqual(await readPair(near, "entries"), expectedPair(counts));
  assert.equal(await isTorn(near), false);
  await until("the same on all devices", async () => {
    return new Set(await Promise.all(devices.map((device) => device.shows()))).size === 1;
  });
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  assert.equal(await site.committed(), total, "a transaction was committed twice");
  for (const device of devices) {
    await device.close();
    assert.deepEqual(device.faults, []);
  }
}

const BREAKS: readonly Break[] = ["down", "server deaf", "clients deaf"];

Deno.test({
  name:
    "G2 G3 G6: clients go on while the line to the server is broken, and converge when it is not",
  ignore: noNamespaces !== undefined,
  fn: async () => {
    await using namespaces = await Namespaces.make();
    await using site = await Site.open(namespaces);
    const devices = [await site.device("a", TIMES), await site.device("b", TIMES)];
    const near = await site.near();
    await Promise.all(devices.map((device) => device.line(/^tx /)));
    await Promise.all(devices.map((device) => device.tell("status")));
    for (const how of BREAKS) {
      const offline = devices.map((device) => device.line(/^offline$/));
      await namespaces.break(how);
      await Promise.all(offline);
      const committed = await site.committed();
      await Promise.all(devices.map(moreWrites));
      assert.equal(await site.committed(), committed, `something arrived: ${how}`);
      await namespaces.mend(how);
      const written = devices.map(({ name, reported }) => [name, reported] as const);
      const tookMs = await until(`what was written meanwhile: ${how}`, async () => {
        const tallies = await Promise.all(written.map(([name]) => readTally(near, name)));
        return written.every(([, count], i) => (tallies[i] ?? 0) >= count);
      }, BACK_WITHIN_MS);
      console.log(`${how}: ${tookMs.toFixed(0)} ms after the line was mended`);
    }
    await allArrived(site, devices, near);
  },
});

Deno.test({
  name: "G2 G3: clients converge over a line that loses one packet of a hundred",
  ignore: noLoss !== undefined,
  fn: async () => {
    await using namespaces = await Namespaces.make();
    await using site = await Site.open(namespaces);
    await namespaces.lose(1);
    const devices = [await site.device("a", 1), await site.device("b", 1)];
    const near = await site.near();
    await Promise.all(devices.map((device) => device.line(/^tx 60$/)));
    await allArrived(site, devices, near);
  },
});
