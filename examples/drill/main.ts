/**
 * The day on which a gateway's disk is lost, as a drill: devices write, a backup is made meanwhile,
 * they write on, the gateway is killed, the backup is restored, the devices give back what it lacks;
 * then somebody's writes are undone by a restore to the time before them. Each time gateway, devices
 * and destination must hold the same rows. Prints what each step took.
 *
 *     deno task drill [--devices 4] [--writes 150]
 *
 * @module
 */

import { parseArgs } from "node:util";
import { type Device, type Entry, lakesync, Site, until } from "./site.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    devices: { type: "string", default: "4" },
    writes: { type: "string", default: "150" },
  },
});
const writes = Number(values.writes);
const steps: { step: string; seconds: string }[] = [];

async function timed<T>(step: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work();
  steps.push({ step, seconds: ((performance.now() - start) / 1000).toFixed(2) });
  return result;
}

function all<T>(devices: readonly Device[], work: (device: Device) => Promise<T>): Promise<T[]> {
  return Promise.all(devices.map(work));
}

/** Every device, a new one and the lake must hold the same rows. */
async function check(site: Site, devices: readonly Device[], rows: readonly Entry[]) {
  const expected = JSON.stringify(rows);
  const newcomer = await site.device(`newcomer-${steps.length}`);
  for (const device of [...devices, newcomer]) {
    await until(
      `${device.name} has what is expected`,
      async () => JSON.stringify(await device.rows()) === expected,
    );
  }
  await site.flushed();
  if (JSON.stringify(await site.lakeRows()) === expected) return;
  throw new Error("The lake does not hold the rows that the gateway holds");
}

/** The rows that devices hold of their own together; nobody writes another's. */
async function ownRows(devices: readonly Device[]): Promise<readonly Entry[]> {
  const rows = await all(devices, async (device) => {
    return (await device.rows()).filter(([, writer]) => writer === device.name);
  });
  return rows.flat().sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
}

/** A moment that is over, and in which nothing was written. */
async function quietMoment(): Promise<string> {
  const ms = Date.now() + 2;
  await until("the moment is over", () => Promise.resolve(Date.now() > ms + 2));
  return new Date(ms).toISOString();
}

async function drill(folder: string, site: Site): Promise<void> {
  const backup = `${folder}/backup`;
  const names = Array.from({ length: Number(values.devices) }, (_, i) => `device${i}`);
  let devices = await Promise.all(names.map((name) => site.device(name)));
  await timed("devices write, the lake has it", async () => {
    await all(devices, (device) => device.write(writes));
    await all(devices, (device) => device.synced());
    await site.flushed();
  });
  const writing = all(devices, (device) => device.write(writes));
  await timed("backup while they write", () => {
    return lakesync("backup", "--data", site.data, "--out", backup);
  });
  await writing;
  await timed("backup verify", () => lakesync("backup", "verify", backup));
  await timed("they write on", async () => {
    await all(devices, (device) => device.write(writes));
    await all(devices, (device) => device.synced());
    await site.flushed();
  });
  const before = await ownRows(devices);
  const moment = await quietMoment();
  await timed("somebody deletes half of it", async () => {
    const [culprit] = devices;
    await culprit?.client.exec("DELETE FROM entries WHERE n % 2 = 0");
    await all(devices, (device) => device.synced());
    await site.flushed();
  });
  await site.kill();
  await timed("restore of the backup", () => {
    return lakesync("restore", "--from", backup, "--data", `${folder}/restored`);
  });
  await timed("gateway up, devices give back, all the same", async () => {
    await site.startOn(`${folder}/restored`);
    await all(devices, (device) => device.synced());
    await check(site, devices, before.filter(([, , n]) => Number(n) % 2 !== 0));
  });
  await site.closeDevices();
  await site.kill();
  await timed(`restore to the time before the deletion`, () => {
    const to = ["--to", moment, "--log", site.data];
    return lakesync("restore", "--from", backup, "--data", `${folder}/undone`, ...to);
  });
  await timed("gateway up, new devices and lake the same", async () => {
    await site.startOn(`${folder}/undone`);
    devices = [];
    await check(site, devices, before);
  });
}

const folder = await Deno.makeTempDir({ prefix: "lakesync-drill-" });
try {
  const site = await Site.open(folder);
  try {
    await timed("all of it", () => drill(folder, site));
  } finally {
    await site.close();
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
console.table(steps);
console.log("Gateway, devices and lake held the same rows after each restore.");
