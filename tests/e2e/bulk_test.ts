/** One large transaction beside small writes of others. */

import assert from "node:assert/strict";
import { Proxy } from "./proxy.ts";
import { synced, until } from "./wait.ts";
import { fastTimers, type NotesClient, World } from "./world.ts";

const ROWS = 138_000;
const SMALL_WRITES_EVERY_MS = 25;
const MAX_PROXY_BYTES = 40_000;
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

/** Writes so many rows as one transaction through a proxy, and waits until another client has them. */
async function sendThrough(treat: Proxy["treat"], rows: number): Promise<Proxy["counts"]> {
  await using world = await World.open();
  await using proxy = new Proxy(() => world.server.url);
  proxy.treat = treat;
  const environment = { setTimer: fastTimers(20) };
  const phone = await world.notes("phone", { url: proxy.url, environment });
  const laptop = await world.notes("laptop");
  await phone.transaction(async (tx) => {
    for (let i = 0; i < rows; i++) {
      await tx.exec("INSERT INTO marks VALUES (?, 'one of many')", [i]);
    }
  });
  await synced(phone);
  await until("all of it elsewhere", async () => {
    const [row] = await laptop.query("SELECT count(*) AS n FROM marks");
    return Number(row?.["n"]) === rows;
  });
  const { seq, tables } = await world.stats();
  assert.equal(tables["marks"]?.rows, rows);
  assert.equal(seq, "1", "committed as one transaction, once");
  return proxy.counts;
}

Deno.test("G2 G6: a transaction in parts goes on with the part whose answer was lost", async () => {
  const counts = await sendThrough(({ kind, before }) => {
    return kind === "push" && before % 2 === 0 ? "lose answer" : "pass";
  }, 18_000);
  assert.equal(counts.get("push"), 8);
});

Deno.test("G6: a proxy that takes only small bodies is found out, and pushes shrink", async () => {
  const treat: Proxy["treat"] = ({ kind, bytes }) =>
    kind === "push" && bytes > MAX_PROXY_BYTES ? "too large" : "pass";
  const planned = await sendThrough(treat, 6_000);
  const whole = await sendThrough(treat, 4_000);
  assert.ok((planned.get("push") ?? 0) > 6, "it was cut into more parts than first planned");
  assert.ok((whole.get("push") ?? 0) > 4, "it was cut into parts");
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
