/**
 * The client at work: captured inserts, pages applied without a network, and a first sync of
 * 1,000,000 rows from a gateway process to a database that can be queried: while the gateway makes
 * the chunks, when they are there, and without them.
 *
 * @module
 */

import { makeHlc } from "@lakesync/core";
import { createClient, openLocal } from "@lakesync/client";
import { BenchServer, makeRows, SCHEMA, show, spread, verdict } from "./support.ts";

const ROUNDS = 5;
const APPLY_ROWS = 100_000;
const APPLY_PAGE = 5_000;
const APPLY_AIM = 100_000;
const SYNC_ROWS = 1_000_000;
const SYNC_ROUNDS = 3;
const SYNC_AIM_SECONDS = 15;

const SHAPE = {
  op: "PUT",
  table: "notes",
  columns: ["title", "body", "n", "x", "done"],
} as const;

async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-client-" });
  try {
    return await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function applyOnce(folder: string): Promise<number> {
  const local = await openLocal({ database: `${folder}/apply.db`, schema: SCHEMA });
  const rows = makeRows(APPLY_ROWS);
  const pages = [];
  for (let from = 0; from < rows.length; from += APPLY_PAGE) {
    const part = rows.slice(from, from + APPLY_PAGE);
    const complete = from + APPLY_PAGE >= rows.length;
    pages.push({
      changes: part.map(({ id, values }) => ({ shape: SHAPE, rowId: id, values })),
      cursor: `page-${from}`,
      complete,
      lastMutationId: 0,
      serverHlc: makeHlc(Date.now(), 0),
      ...(complete ? { checkpoint: { seq: 1, buckets: [] } } : {}),
    });
  }
  const started = performance.now();
  for (const page of pages) await local.receive(page);
  const seconds = (performance.now() - started) / 1000;
  await local.close();
  return rows.length / seconds;
}

async function captureOnce(folder: string): Promise<number> {
  const local = await openLocal({ database: `${folder}/capture.db`, schema: SCHEMA });
  const rows = makeRows(APPLY_ROWS);
  const started = performance.now();
  await local.transaction(async (tx) => {
    for (const { id, values: [title, body, n, x, done] } of rows) {
      await tx.exec("INSERT INTO notes VALUES (?, ?, ?, ?, ?, ?)", [
        id,
        String(title),
        String(body),
        Number(n),
        Number(x),
        done === true,
      ]);
    }
  });
  const seconds = (performance.now() - started) / 1000;
  await local.close();
  return rows.length / seconds;
}

/** A request for a checkpoint's stream, which an older gateway does not know. */
const withoutChunks: typeof fetch = (input, init) =>
  String(input).includes("/checkpoint?")
    ? Promise.resolve(new Response("Not found", { status: 404 }))
    : fetch(input, init);

/** A first sync: seconds until everything was received, and until it can be queried. */
async function syncOnce(
  server: BenchServer,
  fetchBy: typeof fetch,
): Promise<{ received: number; usable: number }> {
  return await withFolder(async (folder) => {
    const started = performance.now();
    const seconds = () => (performance.now() - started) / 1000;
    const client = await createClient({
      url: server.url,
      gateway: "million",
      database: `${folder}/million.db`,
      schema: SCHEMA,
      getToken: () => server.token,
      environment: { fetch: fetchBy },
    });
    let received = 0;
    await new Promise<void>((resolve) => {
      client.status.subscribe(({ progress, lastCheckpoint }) => {
        if (progress !== undefined && progress.applied === undefined) received = seconds();
        if (lastCheckpoint !== undefined) resolve();
      });
    });
    const usable = seconds();
    const [row] = await client.query("SELECT count(*) AS n FROM notes");
    if (row?.["n"] !== SYNC_ROWS) throw new Error(`Only ${row?.["n"]} rows arrived`);
    await client.close();
    return { received, usable };
  });
}

/** Runs the benchmark and prints its table. */
export async function benchClient(): Promise<void> {
  console.log("\nClient, five columns, file database");
  for (
    const [name, run] of [["captured inserts", captureOnce], ["applied rows", applyOnce]] as const
  ) {
    const rates: number[] = [];
    for (let round = 0; round < ROUNDS; round++) rates.push(await withFolder(run));
    const aim = run === applyOnce
      ? `; ${verdict(Math.round(spread(rates).median), APPLY_AIM, "more")}`
      : "";
    console.log(`${name.padEnd(18)}${show(spread(rates))} rows/s${aim}`);
  }
  await using server = await BenchServer.start();
  await server.gateway("million");
  await server.fill("million", SYNC_ROWS);
  console.log(`first sync of ${SYNC_ROWS.toLocaleString("en-US")} rows, received and applied`);
  for (
    const [name, fetchBy, rounds] of [
      ["  chunks to be made", fetch, 1],
      ["  chunks made", fetch, SYNC_ROUNDS],
      ["  without chunks", withoutChunks, 1],
    ] as const
  ) {
    const times = [];
    for (let round = 0; round < rounds; round++) times.push(await syncOnce(server, fetchBy));
    const usable = spread(times.map(({ usable }) => usable));
    const received = spread(times.map(({ received }) => received));
    console.log(
      `${name.padEnd(20)}${show(usable, 1)} s, of which received in ${show(received, 1)} s; ` +
        verdict(Number(usable.median.toFixed(1)), SYNC_AIM_SECONDS, "less"),
    );
  }
  const { now, peak } = await server.memory();
  console.log(
    `server memory: ${now.toFixed(0)} MB, peak ${peak.toFixed(0)} MB; ` +
      verdict(Math.round(peak), 300, "less"),
  );
}

if (import.meta.main) await benchClient();
