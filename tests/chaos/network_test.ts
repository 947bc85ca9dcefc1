/** Clients behind a network that delays, cuts, ends in one direction, resets and falls silent. */

import assert from "node:assert/strict";
import type { Client } from "@lakesync/client";
import { REFUSED } from "../../client/machine.ts";
import { statusOf, synced, until } from "../e2e/wait.ts";
import { fastTimers, World } from "../e2e/world.ts";
import { Random } from "../oracle/random.ts";
import {
  type DeviceClient,
  expectedPair,
  isTorn,
  readPair,
  readTally,
  SCHEMA,
  SHARED,
  writeOne,
} from "./client_workload.ts";
import { type Fate, Network, type Segment, type Way } from "./network_proxy.ts";

const SEED = Number(Deno.env.get("LAKESYNC_TEST_SEED") ?? Date.now() % 1_000_000);
const STEPS = Number(Deno.env.get("LAKESYNC_TEST_NETWORK_STEPS") ?? "60");

/** How much faster the client's timers run; 1 in a run that takes the documented times at heart. */
const TIMES = Number(Deno.env.get("LAKESYNC_TEST_TIMES") ?? "60");

/** A live connection is asked every 15 s, and given up when it is to be asked the third time. */
const NOTICED_WITHIN_MS = 3 * 15_000 / TIMES;

/** What a busy machine may add. */
const SLACK_MS = 1_500;

/** A request on a connection that died unnoticed is given up after 60 s. */
const SYNCED_WITHIN_MS = 60_000 / TIMES + 15_000;

/** A client's name is its device's. */
async function open(world: World, name: string, url: string, times: number): Promise<DeviceClient> {
  const environment = { setTimer: fastTimers(times) };
  return await world.client(name, { schema: SCHEMA, url, environment });
}

/** Everything arrived on every client, once and whole. */
async function arrived(
  world: World,
  clients: readonly Client<typeof SCHEMA>[],
  counts: ReadonlyMap<string, number>,
): Promise<void> {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  await Promise.all(clients.map((client) => synced(client, SYNCED_WITHIN_MS)));
  for (const client of clients) {
    await until("everything", async () => await readTally(client, SHARED) === total);
    assert.deepEqual(await readPair(client, "entries"), expectedPair(counts));
    assert.equal(await isTorn(client), false);
    assert.equal(client.status.value.repairs, 0, "rows had to be repaired");
  }
  assert.equal((await world.stats()).seq, String(total), "a transaction was done twice");
}

const isPush = ({ request }: Segment) => request.includes("/push ");

Deno.test(`G2 G3 G5: clients converge through a network that breaks at random (seed ${SEED})`, async () => {
  const random = new Random(SEED);
  await using world = await World.open(SCHEMA);
  await using network = await Network.open(() => world.server.url, random);
  const clients = new Map<string, DeviceClient>();
  for (const name of ["a", "b", "c"]) {
    clients.set(name, await open(world, name, network.url, TIMES));
  }
  const counts = new Map<string, number>();
  network.weather = {
    delayMs: 15,
    openMs: 120,
    split: 0.3,
    join: 0.2,
    fin: 0.03,
    reset: 0.03,
    silence: 0.02,
  };
  for (let step = 0; step < STEPS; step++) {
    const [name, client] = random.pick([...clients]);
    const n = (counts.get(name) ?? 0) + 1;
    await writeOne(client, name, n);
    counts.set(name, n);
    await network.sleep(random.below(60));
  }
  const { hold, fin, cut, reset } = network.fired;
  console.log(
    `${hold} lines fell silent, ${fin + cut} ended in one direction, ${reset} were reset`,
  );
  assert.ok(hold + fin + cut + reset > 0, "nothing broke");
  network.weather = { ...network.weather, fin: 0, reset: 0, silence: 0 };
  const fresh = await world.client("fresh", { schema: SCHEMA });
  await arrived(world, [...clients.values(), fresh], counts);
});

for (const fate of ["fin", "cut", "reset", "hold"] as const) {
  Deno.test(`G2: pushes whose answers are lost are done once (${fate})`, async () => {
    await using world = await World.open(SCHEMA);
    await using network = await Network.open(() => world.server.url, new Random(SEED));
    let lose = true;
    network.fate = (segment): Fate => {
      if (segment.way === "up" || !isPush(segment)) return "pass";
      lose = !lose;
      return lose ? "pass" : fate;
    };
    const client = await open(world, "a", network.url, 200);
    for (let n = 1; n <= 10; n++) {
      await writeOne(client, "a", n);
      await synced(client);
    }
    assert.ok(network.fired[fate] >= 5, `${network.fired[fate]} answers were lost`);
    await arrived(world, [client], new Map([["a", 10]]));
  });
}

Deno.test("G2: a push that arrives after later ones overtook it is not done again", async () => {
  await using world = await World.open(SCHEMA);
  await using network = await Network.open(() => world.server.url, new Random(SEED));
  network.fate = (segment) => {
    const late = segment.way === "up" && isPush(segment) && network.fired.hold === 0;
    return late ? "hold" : "pass";
  };
  // Not so fast that a push is given up before all of it was sent.
  const client = await open(world, "a", network.url, TIMES);
  for (let n = 1; n <= 5; n++) await writeOne(client, "a", n);
  await synced(client);
  for (let n = 6; n <= 8; n++) await writeOne(client, "a", n);
  await synced(client);
  assert.equal(network.fired.hold, 1);
  const before = await world.stats();
  const answered = Promise.withResolvers<string>();
  network.passed = (segment) => {
    if (segment.way === "up") return;
    if (isPush(segment)) answered.resolve(new TextDecoder().decode(segment.bytes));
  };
  network.release();
  assert.match(await answered.promise, /^HTTP\/1\.1 200 OK/);
  assert.deepEqual(await world.stats(), before);
  await writeOne(client, "a", 9);
  await arrived(world, [client], new Map([["a", 9]]));
});

Deno.test("G6: a push whose body breaks off is sent again as soon as after any broken line", async () => {
  await using world = await World.open(SCHEMA);
  await using network = await Network.open(() => world.server.url, new Random(SEED));
  network.fate = (segment) => {
    const first = segment.way === "up" && isPush(segment) && network.fired.cut === 0;
    return first ? "cut" : "pass";
  };
  const client = await open(world, "a", network.url, 1);
  await statusOf(client, ({ state }) => state === "live");
  await client.exec("INSERT INTO bulk VALUES ('a', ?, 0)", ["x".repeat(10_000)]);
  // A refusal that somebody must mend would be waited for longer.
  await synced(client, REFUSED.firstMs / 2);
  assert.equal(network.fired.cut, 1);
  assert.equal((await world.stats()).seq, "1");
});

const HALF_OPEN: readonly (readonly [string, readonly Way[]])[] = [
  ["nothing comes any more", ["down"]],
  ["nothing goes and nothing comes", ["up", "down"]],
  ["nothing goes any more", ["up"]],
];

for (const [what, ways] of HALF_OPEN) {
  Deno.test(`G6: a live connection on which ${what} is noticed in the documented time`, async () => {
    await using world = await World.open(SCHEMA);
    await using network = await Network.open(() => world.server.url, new Random(SEED));
    const client = await open(world, "a", network.url, TIMES);
    await statusOf(client, ({ state }) => state === "live");
    const other = await world.client("b", { schema: SCHEMA });
    await synced(other);
    for (const way of ways) network.mute(way);
    const sinceMs = performance.now();
    if (ways.includes("down")) {
      await writeOne(other, "b", 1);
      assert.equal(await readTally(client, SHARED), 0);
    }
    await statusOf(
      client,
      ({ state }) => state !== "live",
      NOTICED_WITHIN_MS + SLACK_MS,
    );
    const tookMs = performance.now() - sinceMs;
    // The pings before it fell silent count too: it may be noticed up to one of them earlier.
    assert.ok(tookMs > 15_000 / TIMES, `given up after ${tookMs} ms, before it was asked twice`);
    await statusOf(client, ({ state }) => state === "live");
    if (!ways.includes("down")) await writeOne(other, "b", 1);
    await writeOne(client, "a", 1);
    await arrived(world, [client, other], new Map([["a", 1], ["b", 1]]));
  });
}

for (const forget of [false, true]) {
  const after = forget ? "its connections forgotten" : "what was under way arriving late";
  Deno.test(`G2 G6: a black hole that outlasts all watchdogs is waited for, ${after}`, async () => {
    const times = 200;
    await using world = await World.open(SCHEMA);
    await using network = await Network.open(() => world.server.url, new Random(SEED));
    const client = await open(world, "a", network.url, times);
    const other = await world.client("b", { schema: SCHEMA });
    for (let n = 1; n <= 5; n++) await writeOne(client, "a", n);
    await synced(client);
    await statusOf(client, ({ state }) => state === "live");
    network.blackHole();
    for (let n = 6; n <= 10; n++) {
      await writeOne(client, "a", n);
      await writeOne(other, "b", n - 5);
    }
    await statusOf(client, ({ state, online }) => state !== "live" && !online);
    const { opened } = network;
    await until("both ways were given up several times", () => network.opened >= opened + 6);
    assert.equal(await readTally(client, SHARED), 10);
    assert.ok(client.status.value.pending > 0);
    network.heal(forget);
    await statusOf(client, ({ state }) => state === "live");
    await arrived(world, [client, other], new Map([["a", 10], ["b", 5]]));
  });
}
