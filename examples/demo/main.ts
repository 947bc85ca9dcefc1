/**
 * The main job on real data. One client imports cities with ordinary SQL; two others receive them
 * through a real gateway process, which is killed twice in the middle; a fourth edits the same rows
 * offline and comes back. At the end all four databases and the gateway must hold the same rows.
 *
 *     deno task demo [--rows 135233] [--kills 2] [--store sqlite|kv]
 *       [--to postgres://…|mysql://…|lake|file:///…|s3://…]
 *
 * With `--to` the gateway flushes to that database or lake as well, and its tables must hold the same
 * rows.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { type Client, createClient } from "@lakesync/client";
import { signToken } from "@lakesync/server";
import { ServerProcess } from "@lakesync/server/testing";
import { CITIES, type CityRow, loadCities } from "./cities.ts";
import { gatewayChecksum, tableChecksum } from "./checksum.ts";
import { openDatabase } from "./databases.ts";
import { isLake, openLake } from "./lake.ts";
import { Progress } from "./progress.ts";

const SECRET = "the demo's own secret of many characters";
const EDITS = 200;
const EDIT_EVERY_MS = 20;
const CONVERGE_WITHIN_MS = 120_000;

type DemoClient = Client<typeof CITIES>;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    rows: { type: "string", default: "135233" },
    kills: { type: "string", default: "2" },
    store: { type: "string", default: "sqlite" },
    to: { type: "string" },
  },
});
const store = values.store === "kv" ? "kv" : "sqlite";
const kills = Number(values.kills);
const cities = loadCities(Number(values.rows));
const progress = new Progress();

const folder = await Deno.makeTempDir({ prefix: "lakesync-demo-" });
const server = await new ServerProcess({
  data: `${folder}/gateway`,
  secret: SECRET,
  store,
  args: values.to === undefined ? [] : ["--to", values.to],
}).start();
progress.note(`Gateway process on ${server.url}, databases in ${folder}`);
try {
  await run();
} finally {
  await server.kill();
  await Deno.remove(folder, { recursive: true });
}

async function run(): Promise<void> {
  await putSchema();
  const importer = await open("importer");
  const phone = await open("phone");
  const laptop = await open("laptop");
  const offline = await open("offline");
  const clients = { importer, phone, laptop, offline };

  const some = cities.slice(0, Math.ceil(cities.length / 10));
  await importCities(importer, some);
  await until(
    "the offline client has its first rows",
    async () => (await count(offline)) === some.length,
  );
  offline.pause();

  const started = performance.now();
  const rest = cities.slice(some.length);
  const importing = await importCities(importer, rest);
  progress.note(
    `Imported ${rest.length.toLocaleString("en-US")} rows locally in ${seconds(importing)} s, ` +
      `one transaction, while the gateway was ${kills > 0 ? "there" : "up"}`,
  );
  await receiveUnderKills({ phone, laptop });
  const syncing = performance.now() - started;
  progress.end();

  await conflictingEdits(importer, offline, some);
  offline.resume();
  await converged(clients);
  const latencies = await smallEdits(importer, phone);
  await converged(clients);

  const flushed = values.to === undefined ? undefined : seconds(await flush());
  const sums = await checksums(clients);
  if (values.to !== undefined) {
    await using database = isLake(values.to)
      ? await openLake(values.to, `${folder}/gateway`)
      : await openDatabase(values.to);
    sums[isLake(values.to) ? "lake" : "database"] = await tableChecksum((sql) =>
      database.query(sql)
    );
  }
  const different = new Set(Object.values(sums)).size !== 1;
  const bytes = await folderBytes(`${folder}/gateway`, ["lake"]);
  console.log("");
  console.table({
    "rows synced": cities.length.toLocaleString("en-US"),
    "bytes in the gateway": bytes.toLocaleString("en-US"),
    "gateway killed": `${kills} times`,
    "import, then on two others": `${seconds(syncing)} s`,
    "rows/s": Math.round(rest.length / (syncing / 1000)).toLocaleString("en-US"),
    "commit to visible, p50": `${latencies.p50.toFixed(1)} ms`,
    "commit to visible, p99": `${latencies.p99.toFixed(1)} ms`,
    ...(flushed === undefined ? {} : { "then flushed": `${flushed} s later` }),
  });
  for (const [name, sum] of Object.entries(sums)) console.log(`${name.padEnd(10)} ${sum}`);
  await Promise.all(Object.values(clients).map((client) => client.close()));
  if (different) {
    console.error("The databases differ");
    Deno.exitCode = 1;
    return;
  }
  const others = values.to === undefined ? "" : ` and ${nameOf(values.to)}`;
  console.log(`All four databases and the gateway${others} hold the same rows.`);
}

function nameOf(to: string): string {
  return isLake(to) ? "the lake" : new URL(to).protocol.slice(0, -1);
}

async function putSchema(): Promise<void> {
  const token = await signToken({ secret: SECRET, sub: "admin", gw: "default", role: "admin" });
  const response = await fetch(`${server.url}/v1/admin/schema/default`, {
    method: "PUT",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(CITIES),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
}

function open(name: string): Promise<DemoClient> {
  return createClient({
    url: server.url,
    gateway: "default",
    database: `${folder}/${name}.db`,
    schema: CITIES,
    getToken: () => signToken({ secret: SECRET, sub: name, gw: "default" }),
  });
}

async function importCities(client: DemoClient, rows: readonly CityRow[]): Promise<number> {
  const started = performance.now();
  await client.exec("BEGIN");
  for (const [i, row] of rows.entries()) {
    await client.exec("INSERT INTO cities VALUES (?, ?, ?, ?, ?, ?, ?)", row);
    if (i % 1_000 === 0) progress.set("importing", i, rows.length);
  }
  await client.exec("COMMIT");
  progress.set("importing", rows.length, rows.length);
  return performance.now() - started;
}

async function count(client: DemoClient, table = "cities"): Promise<number> {
  const [row] = await client.query(`SELECT count(*) AS n FROM ${table}`);
  return Number(row?.["n"]);
}

/** Waits for both receivers, and kills the gateway at random moments on the way. */
async function receiveUnderKills(receivers: Readonly<Record<string, DemoClient>>): Promise<void> {
  let received = 0;
  for (let kill = 1; kill <= kills; kill++) {
    await pause(200 + Math.random() * 600);
    await server.kill();
    progress.note(`Killed the gateway (SIGKILL ${kill} of ${kills}) and started it again`);
    await server.start();
  }
  while (received < cities.length) {
    const counts = await Promise.all(
      Object.entries(receivers).map(async ([name, client]) => {
        const receiving = client.status.value.progress?.rows ?? 0;
        const rows = await count(client);
        progress.set(
          name,
          Math.max(rows, Math.min(rows + receiving, cities.length)),
          cities.length,
        );
        return rows;
      }),
    );
    received = Math.min(...counts);
    await pause(25);
  }
}

/** The offline client and the importer write the same rows, in both orders of time. */
async function conflictingEdits(
  online: DemoClient,
  offline: DemoClient,
  rows: readonly CityRow[],
): Promise<void> {
  const [first, second] = [online, offline];
  for (const [i, [id]] of rows.slice(0, 300).entries()) {
    const [early, late] = i % 2 === 0 ? [first, second] : [second, first];
    await early.exec(
      "UPDATE cities SET population = population + 1, admin = 'early' WHERE id = ?",
      [id],
    );
    await late.exec("UPDATE cities SET population = population + 2 WHERE id = ?", [id]);
    if (i % 10 === 0) await offline.exec("DELETE FROM cities WHERE id = ?", [id]);
    if (i % 20 === 0) await offline.exec("INSERT INTO cities (id, name) VALUES (?, 'back')", [id]);
  }
  await offline.transaction(async (tx) => {
    for (const [i, [id]] of rows.slice(0, 50).entries()) {
      // Some cities are deleted; a database with foreign keys takes no edits of those.
      if (i % 10 === 0) continue;
      await tx.exec("INSERT INTO edits VALUES (?, ?, 'written offline')", [id, id]);
    }
  });
  progress.note("A fourth client edited the same rows offline and comes back");
}

/** Commits single rows at a steady rate and watches for them on another client. */
async function smallEdits(
  writer: DemoClient,
  reader: DemoClient,
): Promise<{ p50: number; p99: number }> {
  const committed = new Map<number, number>();
  const latencies: number[] = [];
  const base = 1_000_000_000;
  const live = reader.live(
    "SELECT max(id) AS id FROM edits WHERE id >= ?",
    [base],
    ([row]) => {
      const now = performance.now();
      for (const [id, at] of committed) {
        if (id > Number(row?.["id"] ?? 0)) continue;
        latencies.push(now - at);
        committed.delete(id);
      }
    },
  );
  for (let i = 0; i < EDITS; i++) {
    const id = base + i;
    await writer.exec("INSERT INTO edits VALUES (?, NULL, ?)", [id, `edit ${i}`]);
    committed.set(id, performance.now());
    progress.set("small edits", i + 1, EDITS);
    await pause(EDIT_EVERY_MS);
  }
  await until("the small edits are visible", () => Promise.resolve(committed.size === 0));
  live.close();
  progress.end();
  const sorted = latencies.sort((a, b) => a - b);
  const at = (p: number) => sorted[Math.floor((sorted.length - 1) * p)] ?? NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

async function checksums(
  clients: Readonly<Record<string, DemoClient>>,
): Promise<Record<string, string>> {
  const token = await signToken({ secret: SECRET, sub: "checker", gw: "default" });
  const sums: Record<string, string> = { gateway: await gatewayChecksum(server.url, token) };
  for (const [name, client] of Object.entries(clients)) {
    sums[name] = await tableChecksum((sql) => client.query(sql));
  }
  return sums;
}

/** Lets the gateway bring all to the database; gives how long it took, in milliseconds. */
async function flush(): Promise<number> {
  const started = performance.now();
  const token = await signToken({ secret: SECRET, sub: "admin", gw: "default", role: "admin" });
  await until("everything is flushed", async () => {
    const response = await fetch(`${server.url}/v1/admin/flush/default`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    const { destinations } = JSON.parse(text);
    for (const { state, lastError } of destinations) {
      if (state === "stopped") throw new Error(lastError.message);
    }
    return destinations.every(({ flushed }: { flushed: boolean }) => flushed);
  });
  return performance.now() - started;
}

async function converged(clients: Readonly<Record<string, DemoClient>>): Promise<void> {
  const all = Object.values(clients);
  await Promise.all(all.map((client) => client.synced()));
  await until(
    "all clients hold the same rows",
    async () => new Set(Object.values(await checksums(clients))).size === 1,
  );
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + CONVERGE_WITHIN_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Waited in vain: ${what}`);
    await pause(25);
  }
}

async function folderBytes(path: string, without: readonly string[] = []): Promise<number> {
  let bytes = 0;
  for await (const entry of Deno.readDir(path)) {
    if (without.includes(entry.name)) continue;
    const child = `${path}/${entry.name}`;
    bytes += entry.isDirectory ? await folderBytes(child) : (await Deno.stat(child)).size;
  }
  return bytes;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
