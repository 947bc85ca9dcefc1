/** Connections that cannot be opened, fall silent or break. */

import assert from "node:assert/strict";
import { Proxy, Relay } from "./proxy.ts";
import { statusOf, synced, until } from "./wait.ts";
import { converged, fastTimers, rowsOf, World } from "./world.ts";

const BLOCKED: readonly (readonly [string, "refuse" | "throw" | "none"])[] = [
  ["a proxy refuses them", "refuse"],
  ["opening one throws", "throw"],
  ["the runtime has none", "none"],
];

for (const [why, kind] of BLOCKED) {
  Deno.test(`G6: changes arrive within a second by long poll where sockets are blocked: ${why}`, async () => {
    await using world = await World.open();
    await using proxy = new Proxy(() => world.server.url);
    if (kind === "refuse") proxy.treat = (passing) => passing.kind === "live" ? "refuse" : "pass";
    const openSocket = () => {
      throw new Error("Sockets are forbidden here");
    };
    const client = await world.notes("phone", {
      url: proxy.url,
      ...(kind === "refuse"
        ? {}
        : { environment: { openSocket: kind === "throw" ? openSocket : undefined } }),
    });
    await statusOf(client, ({ state, lastCheckpoint }) => {
      return state === "polling" && lastCheckpoint !== undefined;
    });
    const other = await world.notes("laptop");
    for (let i = 0; i < 3; i++) {
      await other.exec("INSERT INTO notes VALUES (?, 'news', NULL)", [`n${i}`]);
      await until("the news", async () => (await rowsOf(client, "notes")).length > i, 1_000);
    }
    await client.exec("INSERT INTO notes VALUES ('own', 'reply', NULL)");
    await synced(client);
    assert.equal((await converged("notes", [client, other])).length, 4);
    assert.equal(client.status.value.state, "polling");
  });
}

Deno.test("G6: a client that polls goes live when sockets work again, and misses nothing", async () => {
  await using world = await World.open();
  await using proxy = new Proxy(() => world.server.url);
  proxy.treat = (passing) => passing.kind === "live" ? "refuse" : "pass";
  const client = await world.notes("phone", {
    url: proxy.url,
    environment: { setTimer: fastTimers(20) },
  });
  const other = await world.notes("laptop");
  await statusOf(client, ({ state }) => state === "polling");
  await until("sockets were tried again", () => proxy.count("live") > 3);
  await other.exec("INSERT INTO notes VALUES ('n1', 'while polling', NULL)");
  await until("the first row", async () => (await rowsOf(client, "notes")).length === 1);
  assert.equal(client.status.value.state, "polling");
  proxy.treat = () => "pass";
  await statusOf(client, ({ state }) => state === "live");
  await other.exec("INSERT INTO notes VALUES ('n2', 'while live', NULL)");
  assert.equal((await converged("notes", [other, client])).length, 2);
});

Deno.test("G6: a half-open socket is found by the watchdog and replaced", async () => {
  await using world = await World.open();
  await using relay = new Relay(() => world.server.url);
  const client = await world.notes("phone", {
    url: relay.url,
    environment: { setTimer: fastTimers(50) },
  });
  await statusOf(client, ({ state }) => state === "live");
  const other = await world.notes("laptop");
  relay.silence();
  await other.exec("INSERT INTO notes VALUES ('n1', 'not heard', NULL)");
  await statusOf(client, ({ state }) => state !== "live");
  await until("the missed row", async () => (await rowsOf(client, "notes")).length === 1);
  await statusOf(client, ({ state }) => state === "live");
  await client.exec("INSERT INTO notes VALUES ('n2', 'sent', NULL)");
  await synced(client);
  assert.equal((await converged("notes", [client, other])).length, 2);
});

Deno.test("G6: a server that hangs for a while is waited for", async () => {
  await using world = await World.open();
  const client = await world.notes("phone", { environment: { setTimer: fastTimers(50) } });
  await statusOf(client, ({ state }) => state === "live");
  const pid = world.server.pid ?? 0;
  Deno.kill(pid, "SIGSTOP");
  try {
    await client.exec("INSERT INTO notes VALUES ('n1', 'written meanwhile', NULL)");
    await statusOf(client, ({ state, online }) => state === "waiting" && !online);
    assert.equal(client.status.value.pending, 1);
    assert.equal(client.status.value.lastError?.code, "OFFLINE");
  } finally {
    Deno.kill(pid, "SIGCONT");
  }
  await statusOf(client, ({ state }) => state === "live");
  await synced(client);
  assert.equal((await world.stats()).log.entries, 1);
});

Deno.test("G1 G2: a server killed while clients are live comes back, and what was written arrives once", async () => {
  await using world = await World.open();
  const [phone, laptop] = [await world.notes("phone"), await world.notes("laptop")];
  let written = 0;
  for (let kill = 0; kill < 3; kill++) {
    await statusOf(phone, ({ state }) => state === "live");
    const writing = (async () => {
      for (let i = 0; i < 20; i++) {
        await phone.exec("INSERT INTO notes VALUES (?, 'p', NULL)", [`p${written + i}`]);
        await laptop.exec("INSERT INTO notes VALUES (?, 'l', NULL)", [`l${written + i}`]);
      }
    })();
    await until("a push has arrived", async () => Number((await world.stats()).seq) > written * 2);
    await world.server.kill();
    await statusOf(phone, ({ state, online }) => state === "waiting" && !online);
    await writing;
    written += 20;
    await world.server.start();
    await statusOf(phone, ({ state }) => state === "live");
  }
  await Promise.all([synced(phone), synced(laptop)]);
  assert.equal((await converged("notes", [phone, laptop])).length, 2 * written);
  const { log, tables } = await world.stats();
  assert.equal(log.entries, 2 * written);
  assert.equal(tables["notes"]?.rows, 2 * written);
});
