/**
 * Writing clients are killed at random instants and started again on the same file, while the
 * server is killed now and then. What a client had committed must arrive: once, whole, and at all.
 */

import assert from "node:assert/strict";
import { Random } from "../oracle/random.ts";
import { until } from "../e2e/wait.ts";
import { World } from "../e2e/world.ts";
import { installRuntimes } from "./client_runtimes.ts";
import { type Command, DENO, Device } from "./client_support.ts";
import {
  expectedBulk,
  expectedPair,
  isTorn,
  readAll,
  readBulk,
  readPair,
  readTally,
  SCHEMA,
  SHARED,
} from "./client_workload.ts";
import { FAIR, Network, type Weather } from "./network_proxy.ts";

const KILLS = Number(Deno.env.get("LAKESYNC_TEST_CLIENT_KILLS") ?? "12");
const SEED = Number(Deno.env.get("LAKESYNC_TEST_SEED") ?? Date.now() % 1_000_000);
const PACE_MS = 20;
/** With each of so many kills the server is killed too. */
const SERVER_DIES_EVERY = 5;
/** How long a device is left alone at most after it was started, or after it wrote again. */
const ALONE_MS = 300;
const CONVERGED_WITHIN_MS = 5_000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function hashOf(text: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(hash).toHex();
}

async function killAndRestart(device: Device, random: Random): Promise<void> {
  // Most die while they write, some while they open their file.
  if (random.chance(0.8)) await device.line(/^tx /);
  await pause(random.below(ALONE_MS));
  await device.kill();
  device.start();
}

/** How devices reach the gateway. */
interface Road {
  /** The weather while they are killed; they go to the gateway directly unless given. */
  readonly weather?: Weather;
  /** How much faster the devices' timers run; 1 unless given. */
  readonly times?: number;
}

async function run(
  commands: ReadonlyMap<string, Command>,
  kills: number,
  { weather, times = 1 }: Road = {},
): Promise<void> {
  const random = new Random(SEED);
  await using world = await World.open(SCHEMA);
  await using network = await Network.open(() => world.server.url, new Random(SEED));
  if (weather !== undefined) network.weather = weather;
  await using devices = new AsyncDisposableStack();
  const all: Device[] = [];
  for (const [name, command] of commands) {
    const settings = {
      url: weather === undefined ? world.server.url : network.url,
      token: await world.token("alice"),
      database: world.file(name),
      device: name,
      paceMs: PACE_MS,
      times,
    };
    all.push(devices.use(new Device(command, settings)));
  }
  for (const device of all) device.start();
  for (let kill = 1; kill <= kills; kill++) {
    await killAndRestart(random.pick(all), random);
    if (kill % SERVER_DIES_EVERY !== 0 || kill === kills) continue;
    await world.server.kill();
    await world.server.start();
  }
  network.weather = FAIR;
  const lastStart = performance.now();
  const counts = new Map<string, number>();
  await Promise.all(all.map(async (device) => counts.set(device.name, await device.stop())));
  let shown: string[] = [];
  await until("the same on all devices", async () => {
    shown = await Promise.all(all.map((device) => device.shows()));
    return new Set(shown).size === 1;
  });
  const tookMs = performance.now() - lastStart;

  const fresh = await world.client("fresh", { schema: SCHEMA });
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  await until("everything on a fresh client", async () => await readTally(fresh, SHARED) === total);
  assert.deepEqual(await readPair(fresh, "entries"), expectedPair(counts));
  assert.deepEqual(await readPair(fresh, "halves"), expectedPair(counts));
  assert.deepEqual(await readBulk(fresh), expectedBulk(counts));
  assert.equal(await isTorn(fresh), false);
  for (const name of commands.keys()) assert.equal(await readTally(fresh, name), counts.get(name));
  assert.equal(fresh.status.value.repairs, 0);
  assert.equal(await hashOf(await readAll(fresh)), shown[0]);
  assert.equal((await world.stats()).seq, String(total), "a transaction was committed twice");
  for (const device of all) {
    await device.close();
    assert.deepEqual(device.faults, []);
    assert.ok(device.reported <= (counts.get(device.name) ?? 0));
  }
  const unreported = all.reduce((sum, device) => sum + device.unreported, 0);
  console.log(
    `${kills} kills, ${total} transactions of ${all.length} devices, ${unreported} committed ` +
      `unreported, converged in ${tookMs.toFixed(0)} ms (seed ${SEED})`,
  );
  assert.ok(tookMs < CONVERGED_WITHIN_MS, `converged only after ${tookMs} ms`);
}

/** What devices run under, in turn. */
const RUNTIMES = (Deno.env.get("LAKESYNC_TEST_RUNTIMES") ?? "deno,node,bun").split(",");

/** How many devices there are: a small run has one for each runtime. */
const DEVICES = Number(Deno.env.get("LAKESYNC_TEST_DEVICES") ?? (KILLS < 100 ? "3" : "6"));

Deno.test(`G1 G2 G3 G5: ${KILLS} SIGKILLs of writing clients lose, double and halve nothing (seed ${SEED})`, async () => {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-runtimes-" });
  try {
    const onlyDeno = RUNTIMES.every((name) => name === "deno");
    const commands = onlyDeno ? { deno: DENO } : await installRuntimes(folder);
    const devices = new Map<string, Command>();
    for (let i = 0; i < DEVICES; i++) {
      const runtime = RUNTIMES[i % RUNTIMES.length] ?? "";
      const command = commands[runtime];
      if (command === undefined) throw new Error(`There is no runtime named ${runtime}`);
      devices.set(`${runtime}-${i}`, command);
    }
    await run(devices, KILLS);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Directions end and connections are reset, but nothing is silent for ever. */
const BAD: Weather = {
  delayMs: 10,
  openMs: 80,
  split: 0.2,
  join: 0.2,
  fin: 0.02,
  reset: 0.02,
  silence: 0,
};

const KILLS_BEHIND = Math.ceil(KILLS / 2);

Deno.test(`G1 G2 G3 G5: ${KILLS_BEHIND} SIGKILLs of clients behind a network that breaks lose, double and halve nothing (seed ${SEED})`, async () => {
  const devices = new Map(["a", "b", "c"].map((name) => [name, DENO]));
  await run(devices, KILLS_BEHIND, { weather: BAD, times: 20 });
});
