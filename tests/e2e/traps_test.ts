/** The three classic traps of sync engines, with real clients and a real gateway process. */

import assert from "node:assert/strict";
import { Proxy } from "./proxy.ts";
import { statusOf, synced, until } from "./wait.ts";
import { converged, type NotesClient, rowsOf, World } from "./world.ts";

const HOUR_MS = 60 * 60 * 1000;

Deno.test("G4: a change made offline an hour ago reaches a client with newer data", async () => {
  await using world = await World.open();
  const late = await world.notes("late", {
    autoStart: false,
    environment: { now: () => Date.now() - HOUR_MS },
  });
  await late.exec("INSERT INTO notes VALUES ('old', 'written offline', NULL)");
  await late.close();

  const reader = await world.notes("reader");
  const writer = await world.notes("writer", { sub: "bob" });
  await writer.exec("INSERT INTO notes VALUES ('new', 'written now', NULL)");
  await until("the newer row", async () => (await rowsOf(reader, "notes")).length === 1);
  const { lastCheckpoint } = await statusOf(reader, ({ state }) => state === "live");
  assert.equal(lastCheckpoint?.seq, 1);

  const back = await world.notes("late");
  await synced(back);
  assert.deepEqual(await converged("notes", [back, reader, writer]), [
    ["new", "written now", null],
    ["old", "written offline", null],
  ]);
});

const ORDERS = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] as const;
const WRITES = ["title = 'A'", "status = 'B'", "title = 'C'"] as const;

/** Writes on one client after the other, each later than the one before. */
async function writeInTurn(writers: readonly NotesClient[], id: string): Promise<void> {
  for (const [i, write] of WRITES.entries()) {
    const before = Date.now();
    await until("a later millisecond", () => Date.now() > before);
    await writers[i]?.exec(`UPDATE notes SET ${write} WHERE id = ?`, [id]);
  }
}

Deno.test("G3: three writers of two columns converge in all six orders of arrival", async () => {
  await using world = await World.open();
  const writers = await Promise.all(["a", "b", "c"].map((name) => world.notes(name)));
  for (const order of ORDERS) {
    const id = order.join("");
    const [first] = writers;
    await first?.exec("INSERT INTO notes VALUES (?, 'seed', 'seed')", [id]);
    await converged("notes", writers);
    await until("the seed everywhere", async () => {
      const rows = await Promise.all(writers.map((writer) => writer.tables.notes.get(id)));
      return rows.every((row) => row?.title === "seed");
    });
    for (const writer of writers) writer.pause();
    await writeInTurn(writers, id);
    for (const i of order) {
      const writer = writers[i];
      if (writer === undefined) continue;
      writer.resume();
      await synced(writer);
    }
  }
  assert.deepEqual(
    await converged("notes", writers),
    ORDERS.map((order) => [order.join(""), "C", "B"]).sort(),
  );
});

Deno.test("G2: a lost push answer has no second effect after a restart", async () => {
  await using world = await World.open();
  await using proxy = new Proxy(() => world.server.url);
  proxy.treat = ({ kind }) => kind === "push" ? "lose answer" : "refuse";
  const first = await world.notes("phone", { url: proxy.url });
  await first.exec("INSERT INTO notes VALUES ('n1', 'once', NULL)");
  await until("the push has arrived", async () => (await world.stats()).log.entries === 1);
  assert.equal(await first.pendingCount(), 1);
  await first.close();

  const other = await world.notes("laptop");
  await until("the row elsewhere", async () => (await rowsOf(other, "notes")).length === 1);
  await other.exec("DELETE FROM notes WHERE id = 'n1'");
  await synced(other);

  proxy.treat = () => "pass";
  const second = await world.notes("phone", { url: proxy.url });
  await synced(second);
  assert.equal(await second.pendingCount(), 0);
  assert.equal((await world.stats()).log.entries, 2);
  assert.deepEqual(await converged("notes", [second, other]), []);
});
