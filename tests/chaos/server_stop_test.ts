/**
 * The gateway process is stopped, so that its kernel takes connections and requests and nobody
 * answers them, for longer than clients wait; then it goes on, also with requests that clients have
 * given up and sent again. `LAKESYNC_TEST_SPEED=1` waits as long as clients in the field do.
 */

import assert from "node:assert/strict";
import { synced, until } from "../e2e/wait.ts";
import { fastTimers } from "../e2e/world.ts";
import { checkHistory, checkWhole, converge } from "./support_checks.ts";
import { Ledger } from "./support_ledger.ts";
import { Site, type SiteClient } from "./support_site.ts";
import { openWriters, stopAll, type Writer } from "./support_writer.ts";

/** So many times faster than the clock the timers of clients are. */
const SPEED = Number(Deno.env.get("LAKESYNC_TEST_SPEED") ?? "20");

const WRITERS = 4;
const WRITE_EVERY_MS = 40;

/** A silent socket is given up after two pings, 15 s apart, that were not answered for as long. */
const WATCHDOG_MS = 45_000 / SPEED;

/** A request is given up after so long. */
const ANSWER_MS = 60_000 / SPEED;

/** What this test adds to a wait of a client by what else it does. */
const SLACK_MS = 2_000;

/** The longest that a client waits before it tries again. */
const RETRY_MS = 3_000 / SPEED;

const isLive = ({ status }: SiteClient) => status.value.state === "live";

async function written(writers: readonly Writer[], count: number): Promise<void> {
  const target = writers.map((writer) => writer.written + count);
  await until(
    "local writes go on",
    () => writers.every((writer, i) => writer.written >= (target[i] ?? 0)),
  );
}

Deno.test("G2 G6: a server that is stopped is noticed, and loses and doubles nothing when it goes on", async () => {
  await using site = await Site.open();
  const ledger = new Ledger();
  const environment = { fetch: ledger.fetch, setTimer: fastTimers(SPEED) };
  const writers = await openWriters(site, WRITERS, environment);
  const clients = writers.map(({ client }) => client);
  const pid = site.server.pid;
  if (pid === undefined) throw new Error("The server runs");
  for (const writer of writers) writer.start(WRITE_EVERY_MS);

  for (let stop = 0; stop < 3; stop++) {
    await until("all are live", () => clients.every(isLive));
    assert.ok(await ledger.next(WRITERS, ANSWER_MS + SLACK_MS));
    Deno.kill(pid, "SIGSTOP");
    await written(writers, 3);
    Deno.kill(pid, "SIGCONT");
  }

  await until("all are live", () => clients.every(isLive));
  const answered = ledger.unanswered;
  Deno.kill(pid, "SIGSTOP");
  const start = performance.now();
  await until(
    "everybody notices the silence",
    () => clients.every(({ status: { value } }) => !value.connected && !value.online),
    WATCHDOG_MS + ANSWER_MS + SLACK_MS,
  );
  const noticedMs = performance.now() - start;
  await until(
    "pushes are given up",
    () => ledger.unanswered >= answered + WRITERS,
    ANSWER_MS + RETRY_MS + SLACK_MS,
  );
  await written(writers, 3);
  Deno.kill(pid, "SIGCONT");
  const ms = await until(
    "all are live again",
    () => clients.every(isLive),
    RETRY_MS + ANSWER_MS + SLACK_MS,
  );
  console.log(
    `noticed after ${Math.round(noticedMs)} ms, live ${Math.round(ms)} ms after it goes on, ` +
      `timers ${SPEED} times faster, ${ledger.unanswered} pushes given up`,
  );
  for (const client of clients) await checkWhole(client);
  await stopAll(writers);
  await Promise.all(clients.map((client) => synced(client)));
  await converge(writers);
  await checkHistory(site, writers, ledger);
});
