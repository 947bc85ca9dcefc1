/** Two devices that run copies of one database. */

import assert from "node:assert/strict";
import { synced, until } from "./wait.ts";
import { converged, type NotesClient, rowsOf, World } from "./world.ts";

async function write(client: NotesClient, ...ids: readonly string[]): Promise<void> {
  for (const id of ids) await client.exec("INSERT INTO notes VALUES (?, ?, NULL)", [id, id]);
}

async function nothingLost(
  world: World,
  clients: readonly NotesClient[],
  ids: readonly string[],
  entries: number,
): Promise<void> {
  await Promise.all(clients.map((client) => synced(client)));
  const rows = ids.map((id) => [id, id, null]).sort();
  await until("all rows everywhere", async () => {
    const all = await Promise.all(clients.map((client) => rowsOf(client, "notes")));
    return all.every((one) => one.length === rows.length);
  });
  assert.deepEqual(await converged("notes", clients), rows);
  const { log, tables } = await world.stats();
  assert.equal(tables["notes"]?.rows, rows.length);
  assert.equal(log.entries, entries, "transactions that the gateway committed");
}

Deno.test("G13: of two copies of a database one gets another name, and no write is lost or doubled", async () => {
  await using world = await World.open();
  const seed = await world.notes("a");
  await write(seed, "s1", "s2");
  await synced(seed);
  await seed.close();
  await world.copyDatabase("a", "b");

  const [a, b] = [await world.notes("a"), await world.notes("b")];
  assert.equal(await a.clientId(), await b.clientId());
  await write(a, "a1");
  await synced(a);
  await write(b, "b1", "b2");
  await nothingLost(world, [a, b], ["s1", "s2", "a1", "b1", "b2"], 5);
  assert.notEqual(await a.clientId(), await b.clientId());
  const more = Array.from({ length: 12 }, (_, i) => `more-${i}`);
  await write(b, ...more);
  await nothingLost(world, [b, a], ["s1", "s2", "a1", "b1", "b2", ...more], 17);
  assert.equal((await world.stats()).clients, 2);
});

Deno.test("G13: copies with pending writes in common and of their own lose and double none", async () => {
  await using world = await World.open();
  const seed = await world.notes("a");
  await write(seed, "s1");
  await synced(seed);
  seed.pause();
  await write(seed, "p1", "p2");
  await seed.close();
  await world.copyDatabase("a", "b");

  const [a, b] = await Promise.all([
    world.notes("a", { autoStart: false }),
    world.notes("b", { autoStart: false }),
  ]);
  await write(a, "a1", "a2");
  await write(b, "b1", "b2", "b3");
  await b.exec("UPDATE notes SET status = 'b' WHERE id = 'p1'");
  await b.exec("UPDATE notes SET status = NULL WHERE id = 'p1'");
  a.resume();
  b.resume();
  await nothingLost(world, [a, b], ["s1", "p1", "p2", "a1", "a2", "b1", "b2", "b3"], 10);
  assert.notEqual(await a.clientId(), await b.clientId());
  const third = await world.notes("third");
  await nothingLost(
    world,
    [a, b, third],
    ["s1", "p1", "p2", "a1", "a2", "b1", "b2", "b3"],
    10,
  );
});

Deno.test("G13: a device restored from an older copy of its database goes on", async () => {
  await using world = await World.open();
  const first = await world.notes("a");
  await write(first, "s1");
  await synced(first);
  await first.close();
  await world.copyDatabase("a", "old");
  const lost = await world.notes("a");
  await write(lost, "l1", "l2", "l3");
  await synced(lost);
  await lost.close();

  const restored = await world.notes("old");
  await until("what it had written before", async () => {
    return (await rowsOf(restored, "notes")).length === 4;
  });
  await write(restored, "r1");
  await nothingLost(world, [restored], ["s1", "l1", "l2", "l3", "r1"], 5);
});
