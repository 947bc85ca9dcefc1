/**
 * A membership that grants 10,000 rows: from the answer to its push to the rows being visible in the
 * SQLite of a client that is live, and the same for its removal. The floor is one transaction that
 * inserts the same rows into a plain table.
 *
 * @module
 */

import { createClient } from "@lakesync/client";
import { DatabaseSync } from "node:sqlite";
import { inBatches, LISTS, LISTS_RULES, membership, pushOnce, todo } from "./lists.ts";
import { BenchServer, show, spread, verdict } from "./support.ts";

const ROWS = 10_000;
const ROUNDS = 9;
const AIM_MS = 1_000;

/** Milliseconds of one transaction of the same rows by bare statements. */
function floor(folder: string, round: number): number {
  const db = new DatabaseSync(`${folder}/floor-${round}.db`);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  db.exec(
    "CREATE TABLE todos (id TEXT PRIMARY KEY, owner TEXT, list TEXT, title TEXT, body TEXT, n)",
  );
  const insert = db.prepare("INSERT INTO todos VALUES (?, ?, ?, ?, ?, ?)");
  const started = performance.now();
  db.exec("BEGIN IMMEDIATE");
  for (let i = 0; i < ROWS; i++) {
    insert.run(`r${i}`, "office", "big", `Title of r${i}`, "A line of text as notes have it", 0n);
  }
  db.exec("COMMIT");
  const took = performance.now() - started;
  db.close();
  return took;
}

/** Runs the benchmark and prints its table. */
export async function benchGrant(): Promise<void> {
  console.log(`\nA membership that grants ${ROWS} rows to a live client, ${ROUNDS} rounds`);
  await using server = await BenchServer.start();
  const gateway = "grant";
  await server.gateway(gateway, LISTS);
  await server.putRules(gateway, LISTS_RULES);
  const rows = Array.from({ length: ROWS }, (_, i) => todo(server, `r${i}`, "office", "big"));
  await pushOnce(server, gateway, inBatches(rows, ROWS));
  const folder = await Deno.makeTempDir({ prefix: "lakesync-grant-" });
  const token = await server.userToken("alice");
  const client = await createClient({
    url: server.url,
    gateway,
    database: `${folder}/alice.db`,
    schema: LISTS,
    getToken: () => token,
  });
  await new Promise<void>((resolve) => {
    client.status.subscribe(({ connected, lastCheckpoint }) => {
      if (connected && lastCheckpoint !== undefined) resolve();
    });
  });
  let visible = 0;
  let wake = () => {};
  const counts = new Set<number>();
  const live = client.live("SELECT count(*) AS n FROM todos", [], ([row]) => {
    visible = Number(row?.["n"]);
    counts.add(visible);
    wake();
  });
  await live.ready;
  const until = async (count: number) => {
    while (visible !== count) await new Promise<void>((resolve) => wake = resolve);
  };
  const came: number[] = [];
  const went: number[] = [];
  const floors: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const joined = membership(server, `m${round}`, "alice", "big");
    await pushOnce(server, gateway, [[joined]]);
    let started = performance.now();
    await until(ROWS);
    came.push(performance.now() - started);
    const shape = { op: "DELETE", table: "members", columns: [] } as const;
    const left = { ...joined, shape, values: [], hlc: server.clock.tick() };
    await pushOnce(server, gateway, [[left]]);
    started = performance.now();
    await until(0);
    went.push(performance.now() - started);
    floors.push(floor(folder, round));
  }
  live.close();
  await client.close();
  await Deno.remove(folder, { recursive: true });
  if (counts.size !== 2) throw new Error(`A part was visible: ${[...counts].join()}`);
  const ratio = came.map((ms, round) => ms / (floors[round] ?? NaN));
  console.log(
    `granted: ${show(spread(came))} ms; ${
      verdict(Math.round(spread(came).median), AIM_MS, "less")
    }`,
  );
  console.log(`taken away: ${show(spread(went))} ms`);
  console.log(
    `bare INSERTs ${show(spread(floors))} ms, granted against them ${show(spread(ratio), 1)}`,
  );
}

if (import.meta.main) await benchGrant();
