/** One large transaction beside small writes of others. */

import assert from "node:assert/strict";
import { synced, until } from "./wait.ts";
import { type NotesClient, World } from "./world.ts";

const ROWS = 138_000;
const SMALL_WRITES_EVERY_MS = 25;
const MAX_GROWTH_BYTES = 400 * 1024 * 1024;

async function importRows(client: NotesClient): Promise<void> {
  await client.exec("BEGIN");
  for (let i = 0; i < ROWS; i++) {
    await client.exec("INSERT INTO marks VALUES (?, ?)", [i, `mark number ${i}`]);
  }
  await client.exec("COMMIT");
}

/** Writes small transactions until it is told to stop; gives how long each took to be accepted. */
async function writeSmall(client: NotesClient, running: () => boolean): Promise<number[]> {
  const took: number[] = [];
  const name = await client.clientId();
  while (running()) {
    const start = performance.now();
    await client.exec("INSERT INTO notes VALUES (?, 'small', NULL)", [`${name}-${took.length}`]);
    await until("it is accepted", async () => await client.pendingCount() === 0);
    took.push(performance.now() - start);
    await until("the next turn", () => performance.now() - start >= SMALL_WRITES_EVERY_MS);
  }
  return took;
}

Deno.test("G5 G11: 138,000 rows of one transaction arrive whole while others sync on", async () => {
  await using world = await World.open();
  const [one, two] = [await world.notes("one"), await world.notes("two")];
  const reader = await world.notes("reader");
  await one.exec("INSERT INTO marks VALUES (-1, 'there before')");
  await synced(one);

  const counts: number[] = [];
  const query = reader.live("SELECT count(*) AS n FROM marks", [], ([row]) => {
    counts.push(Number(row?.["n"]));
  });
  await query.ready;
  await until("the row that was there before", () => counts.at(-1) === 1);
  const before = Deno.memoryUsage().rss;
  let most = before;
  let running = true;
  const others = [one, two].map((client) => writeSmall(client, () => running));
  const importer = await world.notes("importer");
  await importRows(importer);
  const arriving = performance.now();
  await until("the import is elsewhere", () => {
    most = Math.max(most, Deno.memoryUsage().rss);
    return counts.at(-1) === ROWS + 1;
  }, 60_000);
  const arrived = performance.now() - arriving;
  running = false;
  const took = (await Promise.all(others)).flat().sort((a, b) => a - b);
  query.close();
  await synced(importer);

  assert.deepEqual([...new Set(counts)], [0, 1, ROWS + 1].slice(counts[0] === 0 ? 0 : 1));
  const [row] = await reader.query("SELECT count(*) AS n, sum(id) AS sum FROM marks");
  assert.deepEqual(
    [Number(row?.["n"]), Number(row?.["sum"])],
    [ROWS + 1, (ROWS * (ROWS - 1)) / 2 - 1],
  );
  await until("the small writes", async () => {
    const [row] = await reader.query("SELECT count(*) AS n FROM notes");
    return Number(row?.["n"]) === took.length;
  });
  const longest = took.at(-1) ?? 0;
  const growth = most - before;
  console.log(
    `  ${ROWS} rows in ${
      Math.round(arrived)
    } ms; ${took.length} small writes beside them: median ` +
      `${Math.round(took[took.length >> 1] ?? 0)} ms, longest ${Math.round(longest)} ms; four ` +
      `clients grew by ${Math.round(growth / 1024 / 1024)} MiB`,
  );
  assert.ok(longest < 10_000, `a small write waited for ${longest} ms`);
  assert.ok(growth < MAX_GROWTH_BYTES, `memory grew by ${growth} bytes`);
});

Deno.test("G5: pause holds everything, and resume sends what was written meanwhile, in order", async () => {
  await using world = await World.open();
  const [phone, laptop] = [await world.notes("phone"), await world.notes("laptop")];
  await phone.exec("INSERT INTO notes VALUES ('n1', 'before', NULL)");
  await synced(phone);
  phone.pause();
  assert.equal(phone.status.value.state, "paused");
  for (let i = 0; i < 200; i++) await phone.exec("INSERT INTO marks VALUES (?, 'mine')", [i]);
  await laptop.exec("INSERT INTO notes VALUES ('n2', 'meanwhile', NULL)");
  await synced(laptop);
  assert.equal((await world.stats()).tables["marks"]?.rows ?? 0, 0);
  assert.equal(phone.status.value.pending, 200);
  const [held] = await phone.query("SELECT count(*) AS n FROM notes");
  assert.equal(Number(held?.["n"]), 1);
  phone.resume();
  await synced(phone);
  assert.equal(phone.status.value.pending, 0);
  await until("all of it elsewhere", async () => {
    const [row] = await laptop.query("SELECT count(*) AS n FROM marks");
    return Number(row?.["n"]) === 200;
  });
  assert.equal((await world.stats()).log.entries, 202);
});
