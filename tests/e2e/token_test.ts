/** Tokens that end, are bad, and become good again. */

import assert from "node:assert/strict";
import { Proxy } from "./proxy.ts";
import { statusOf, synced, until } from "./wait.ts";
import { expiringToken, rowsOf, World } from "./world.ts";

Deno.test("G6: an expired token is refreshed once and the client is live", async () => {
  await using world = await World.open();
  let asked = 0;
  const client = await world.notes("phone", {
    getToken: () => ++asked === 1 ? expiringToken("alice", -1_000) : world.token("alice"),
  });
  await client.exec("INSERT INTO notes VALUES ('n1', 'written', NULL)");
  await synced(client);
  await statusOf(client, ({ state, lastError }) => state === "live" && lastError === undefined);
  assert.equal(asked, 2);
  assert.equal((await world.stats()).tables["notes"]?.rows, 1);
});

Deno.test("G6: a token that stays bad is a typed state without a loop, and resume heals it", async () => {
  await using world = await World.open();
  await using proxy = new Proxy(() => world.server.url);
  let good = false;
  let asked = 0;
  const client = await world.notes("phone", {
    url: proxy.url,
    getToken: () => {
      asked++;
      return good ? world.token("alice") : "not a token";
    },
  });
  await statusOf(client, ({ state }) => state === "needs-token");
  for (let i = 0; i < 20; i++) {
    await client.exec("INSERT INTO notes VALUES (?, 'while there is no token', NULL)", [`n${i}`]);
  }
  await assert.rejects(client.synced(), { code: "AUTH_ERROR" });
  const { lastError, pending } = client.status.value;
  assert.equal(lastError?.code, "AUTH_ERROR");
  assert.equal(pending, 20);
  const requests = proxy.count("live") + proxy.count("pull") + proxy.count("push");
  assert.ok(requests <= 5, `${requests} requests for one bad token`);
  assert.ok(asked <= 3, `getToken was called ${asked} times`);

  good = true;
  client.resume();
  await synced(client);
  await statusOf(client, ({ state }) => state === "live");
  assert.equal((await world.stats()).tables["notes"]?.rows, 20);
});

Deno.test("G6: a token that ends while the client is live is refreshed, and it is live again", async () => {
  await using world = await World.open();
  await using proxy = new Proxy(() => world.server.url);
  let asked = 0;
  const client = await world.notes("phone", {
    url: proxy.url,
    getToken: () => ++asked === 1 ? expiringToken("alice", 1_500) : world.token("alice"),
  });
  const states: string[] = [];
  client.status.subscribe(({ state }) => {
    if (states.at(-1) !== state) states.push(state);
  });
  await statusOf(client, ({ state }) => state === "live");
  await until("the token was asked for again", () => asked === 2);
  await until("a second socket was opened", () => proxy.count("live") === 2);
  await statusOf(client, ({ state }) => state === "live");
  assert.equal(states.includes("needs-token"), false, states.join());
  assert.equal(asked, 2);
  const other = await world.notes("laptop");
  await other.exec("INSERT INTO notes VALUES ('n1', 'afterwards', NULL)");
  await until("changes go on", async () => (await rowsOf(client, "notes")).length === 1);
  assert.equal(proxy.count("live"), 2);
});

Deno.test("G6: the token of another gateway is the typed state refused", async () => {
  await using world = await World.open();
  let gateway = "another";
  const client = await world.notes("phone", { getToken: () => world.token("alice", gateway) });
  await client.exec("INSERT INTO notes VALUES ('n1', 'waits', NULL)");
  const { lastError } = await statusOf(client, ({ state }) => state === "refused");
  assert.equal(lastError?.code, "FORBIDDEN");
  gateway = "default";
  client.resume();
  await synced(client);
  await statusOf(client, ({ state }) => state === "live");
});

Deno.test("G7: two gateways of one server know nothing of each other", async () => {
  await using world = await World.open();
  const schema = {
    version: 1,
    tables: { notes: { primaryKey: ["id"], columns: { id: "string", title: "string" } } },
  } as const;
  await world.putSchema(schema, "second");
  const one = await world.notes("one");
  const two = await world.client("two", { gateway: "second", schema });
  await one.exec("INSERT INTO notes VALUES ('n1', 'of the first', NULL)");
  await two.exec("INSERT INTO notes VALUES ('n1', 'of the second')");
  await Promise.all([synced(one), synced(two)]);
  const seen = await world.notes("seen");
  await until("a first pull", () => seen.status.value.lastCheckpoint?.seq === 1);
  assert.deepEqual(await rowsOf(seen, "notes"), [["n1", "of the first", null]]);
  assert.deepEqual(await rowsOf(two, "notes"), [["n1", "of the second"]]);
  const [first, second] = await Promise.all([world.stats(), world.stats("second")]);
  assert.deepEqual([first.log.entries, second.log.entries], [1, 1]);
  assert.notEqual(first.epoch, second.epoch);
});

Deno.test("G6: a getToken that throws is asked again until it gives a token", async () => {
  await using world = await World.open();
  let asked = 0;
  const states = new Set<string>();
  const client = await world.notes("phone", {
    getToken: () => {
      if (++asked <= 2) throw new Error("The app's backend is out of reach");
      return world.token("alice");
    },
  });
  client.status.subscribe(({ state }) => states.add(state));
  await client.exec("INSERT INTO notes VALUES ('n1', 'written meanwhile', NULL)");
  await synced(client);
  assert.equal(states.has("needs-token"), false, [...states].join());
  assert.equal((await world.stats()).tables["notes"]?.rows, 1);
});
