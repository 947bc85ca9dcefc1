/**
 * The gateway process is killed at random instants while clients write: while it commits, while it
 * starts, while it recovers. `LAKESYNC_TEST_KILLS=1000` is the full run.
 */

import assert from "node:assert/strict";
import { ServerProcess } from "@lakesync/server/testing";
import { checkHistory, checkWhole, converge } from "./support_checks.ts";
import { Ledger } from "./support_ledger.ts";
import { SECRET, Site } from "./support_site.ts";
import { openWriters, stopAll } from "./support_writer.ts";

const KILLS = Number(Deno.env.get("LAKESYNC_TEST_KILLS") ?? "40");
const WRITERS = 16;
const WRITE_EVERY_MS = 200;

/** Writers wait with so many transactions under way, so that the end measures healing alone. */
const MAX_PENDING = 8;

/**
 * The bound that the gateway and its clients keep together. The short run shares its processors with
 * other tests, and only has to show that nobody waits for long.
 */
const CONVERGED_WITHIN_MS = KILLS < 1_000 ? 15_000 : 5_000;

/** Past this nobody is on the way to the gateway any more. */
const STUCK_MS = 60_000;

/** A start takes about so long, so that kills within it hit start-up, recovery and first requests. */
const START_MS = 120;

/** Kills come so long at most after the pushes that were waited for were answered. */
const WORK_MS = 60;

/** A push is answered so long after it was sent, or a little later. */
const COMMIT_MS = 8;

/** The share of kills that do not wait for anything. */
const EARLY = 0.3;

/** Kills while a data folder is made, and how many of them one folder sees. */
const FIRST_KILLS = Math.ceil(KILLS / 2);
const EACH = 2;

const SAY_EVERY = 100;

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Kills the process while it starts, or when it has just begun to listen. */
async function killStarting(server: ServerProcess): Promise<void> {
  const started = server.start().then(() => {}, () => {});
  await delay(Math.random() * START_MS);
  await server.kill();
  await started;
}

/**
 * Lets it start and answer, and kills it at some instant afterwards, or while it has a push that it
 * may have committed and not answered.
 */
async function killWorking(server: ServerProcess, ledger: Ledger): Promise<void> {
  await server.start();
  const pushes = 1 + Math.floor(Math.random() * WRITERS);
  assert.ok(await ledger.next(pushes, STUCK_MS), "no push is acknowledged any more");
  const committing = Math.random() < 0.5;
  if (committing) assert.ok(await ledger.nextSent(1, STUCK_MS), "nobody pushes any more");
  await delay(Math.random() * (committing ? COMMIT_MS : WORK_MS));
  await server.kill();
}

async function run(store: "sqlite" | "kv", kills: number): Promise<void> {
  await using site = await Site.open({ store });
  const ledger = new Ledger();
  const writers = await openWriters(site, WRITERS, { fetch: ledger.fetch });
  const start = performance.now();
  const seconds = () => Math.round((performance.now() - start) / 1_000);
  for (const writer of writers) writer.start(WRITE_EVERY_MS, MAX_PENDING);
  await site.server.kill();
  for (let kill = 1; kill < kills; kill++) {
    if (Math.random() < EARLY) await killStarting(site.server);
    else await killWorking(site.server, ledger);
    const someone = writers[Math.floor(Math.random() * WRITERS)];
    if (someone !== undefined) await checkWhole(someone.client);
    assert.deepEqual(ledger.sentAgain, [], "acknowledged, and asked for again after a kill");
    if (kill % SAY_EVERY === 0) {
      console.log(`${kill} kills, ${seconds()} s, ${ledger.acknowledged.size} acknowledged`);
    }
  }
  await stopAll(writers);
  const before = ledger.acknowledged.size;
  await site.server.start();
  const ms = await converge(writers, STUCK_MS);
  console.log(
    `${store}: ${kills} kills in ${seconds()} s, ${before} transactions acknowledged before the ` +
      `last restart, ${ledger.unanswered} pushes without an answer, ${WRITERS} writers converged ` +
      `${Math.round(ms)} ms after the last restart`,
  );
  await checkHistory(site, writers, ledger);
  assert.ok(ms < CONVERGED_WITHIN_MS, `converged after ${Math.round(ms)} ms`);
}

for (const [store, kills] of [["sqlite", KILLS], ["kv", Math.ceil(KILLS / 6)]] as const) {
  Deno.test(
    `G1 G2 G3 G5: ${kills} SIGKILLs under ${WRITERS} writers lose, double and halve nothing (${store})`,
    () => run(store, kills),
  );
}

for (const store of ["sqlite", "kv"] as const) {
  Deno.test(`G1: a server killed ${FIRST_KILLS} times while it makes its data starts in the end (${store})`, async () => {
    for (let kills = 0; kills < FIRST_KILLS; kills += EACH) {
      const folder = await Deno.makeTempDir({ prefix: "lakesync-chaos-" });
      await using server = new ServerProcess({ data: folder, secret: SECRET, store });
      for (let kill = 0; kill < EACH; kill++) await killStarting(server);
      await server.start();
      await server.stop();
      await Deno.remove(folder, { recursive: true });
    }
  });
}
