/** Counters and sets: what many write offline adds up, whatever the order of arrival. */

import assert from "node:assert/strict";
import { defineRules } from "@lakesync/core";
import fc from "fast-check";
import { statusOf, synced, until } from "./wait.ts";
import { converged, rowsOf, World } from "./world.ts";

const TALLIES = {
  version: 1,
  tables: {
    tallies: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        n: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
        open: "boolean",
      },
    },
  },
} as const;

/** Everybody sees all; only what is open may be changed, and only admins open and close. */
const RULES = defineRules(TALLIES, {
  buckets: [{ name: "all", tables: ["tallies"] }],
  write: [{
    tables: ["tallies"],
    ops: ["UPDATE"],
    filters: [{ column: "open", op: "eq", value: true }],
  }],
  exempt: ["admin"],
});

const CLIENTS = 10;

async function open(): Promise<World> {
  const world = await World.open(TALLIES);
  await world.putRules(RULES);
  return world;
}

async function openClients(world: World, names: readonly string[]) {
  const clients = [];
  for (const sub of names) {
    clients.push(await world.client(sub, { schema: TALLIES, sub }));
  }
  return clients;
}

Deno.test("G3: increments of ten offline clients add up exactly, whoever comes online first", async () => {
  await using world = await open();
  const office = await world.client("office", { schema: TALLIES, role: "admin" });
  await office.exec(`INSERT INTO tallies VALUES ('a', 1000, '[]', 1), ('shut', 7, '[]', 1)`);
  await synced(office);
  const clients = await openClients(world, Array.from({ length: CLIENTS }, (_, i) => `user${i}`));
  let expected = 1000;
  for (let round = 0; round < 2; round++) {
    for (const client of clients) {
      await until("the row", async () => {
        return (await client.tables.tallies.get("a"))?.n === expected;
      });
      client.pause();
    }
    for (const [i, client] of clients.entries()) {
      for (let times = 0; times <= i; times++) {
        await client.exec("UPDATE tallies SET n = n + 1 WHERE id = 'a'");
      }
      await client.transaction(async (tx) => {
        await tx.exec("UPDATE tallies SET n = n + 100 WHERE id = 'a'");
        await tx.exec("UPDATE tallies SET n = n - 30 WHERE id = 'a'");
      });
      assert.equal((await client.tables.tallies.get("a"))?.n, expected + i + 1 + 70);
    }
    const [order = []] = fc.sample(
      fc.shuffledSubarray(clients, { minLength: CLIENTS, maxLength: CLIENTS }),
      1,
    );
    for (const [i, client] of order.entries()) {
      client.resume();
      if (i % 2 === 0) await synced(client);
    }
    await Promise.all(clients.map((client) => synced(client)));
    expected += (CLIENTS * (CLIENTS + 1)) / 2 + CLIENTS * 70;
    await until("the sum everywhere", async () => {
      const rows = await Promise.all(
        [office, ...clients].map((client) => client.tables.tallies.get("a")),
      );
      return rows.every((row) => row?.n === expected);
    });
  }
  for (const client of clients) assert.deepEqual((await client.verify())?.drifts, []);
});

Deno.test("G6 G8: a refused increment is undone, and those of others stay", async () => {
  await using world = await open();
  const office = await world.client("office", { schema: TALLIES, role: "admin" });
  await office.exec(`INSERT INTO tallies VALUES ('a', 0, '[]', 1), ('shut', 7, '["x"]', 1)`);
  await synced(office);
  const [one, two] = await openClients(world, ["one", "two"]);
  if (one === undefined || two === undefined) throw new Error("Two clients were opened");
  for (const client of [one, two]) {
    await until("the rows", async () => (await rowsOf(client, "tallies")).length === 2);
    client.pause();
    await client.exec("UPDATE tallies SET n = n + 5 WHERE id = 'shut'");
    await client.transaction(async (tx) => {
      await tx.exec("UPDATE tallies SET n = n + 1 WHERE id = 'a'");
      await tx.exec(`UPDATE tallies SET n = n + 1, tags = '["y"]' WHERE id = 'shut'`);
    });
    await client.exec("UPDATE tallies SET n = n + 1 WHERE id = 'a'");
  }
  two.resume();
  await synced(two);
  await until("hers have come", async () => (await office.tables.tallies.get("a"))?.n === 2);
  await office.exec("UPDATE tallies SET open = 0 WHERE id = 'shut'");
  await synced(office);
  assert.equal((await one.tables.tallies.get("shut"))?.n, 13);
  one.resume();
  await synced(one);
  assert.deepEqual((await one.deadLetters()).map(({ code }) => code), [
    "FORBIDDEN_WRITE",
    "FORBIDDEN_WRITE",
  ]);
  assert.deepEqual(await converged("tallies", [one, two, office]), [
    ["a", 3, "[]", 1],
    ["shut", 13, '["y"]', 0],
  ]);
  assert.deepEqual((await one.verify())?.drifts, []);
});

Deno.test("G3: elements that are added and removed at once are each judged alone", async () => {
  await using world = await open();
  const office = await world.client("office", { schema: TALLIES, role: "admin" });
  await office.exec(`INSERT INTO tallies VALUES ('a', 0, '["old","gone"]', 1)`);
  await synced(office);
  const clients = await openClients(world, ["one", "two", "three"]);
  for (const client of clients) {
    await until("the row", async () => (await rowsOf(client, "tallies")).length === 1);
    client.pause();
  }
  const [one, two, three] = clients;
  const set = async (client: typeof one, tags: readonly unknown[]) => {
    const before = Date.now();
    await until("a later millisecond", () => Date.now() > before);
    await client?.exec("UPDATE tallies SET tags = ? WHERE id = 'a'", [JSON.stringify(tags)]);
  };
  await set(one, ["old", "gone", "one", 1]);
  await set(two, ["old", "two"]); // removes "gone"
  await set(three, ["gone"]); // removes "old"
  await set(one, ["gone", "one", 1]); // removes "old" too
  await set(three, ["gone", "old", "1"]); // adds "old" again, after all removals of it
  for (const client of [three, one, two]) {
    client?.resume();
    if (client !== undefined) await synced(client);
  }
  const everywhere = await converged("tallies", [office, ...clients]);
  const [[, , tags] = []] = everywhere;
  assert.deepEqual(
    new Set(JSON.parse(String(tags))),
    new Set(["old", "one", "two", 1, "1"]),
  );
  for (const client of clients) {
    assert.deepEqual(await client.deadLetters(), []);
    assert.deepEqual((await client.verify())?.drifts, []);
    await statusOf(client, ({ repairs }) => repairs === 0);
  }
});
