/** The load script in small: everything is answered and seen, also what is there after SIGTERM. */

import assert from "node:assert/strict";
import { slope } from "./load_gateway.ts";
import { runIdempotency } from "./load_idempotency.ts";
import { type LoadPlan, runLoad } from "./load_run.ts";
import { keepSchedule } from "./load_schedule.ts";
import { runSigterm } from "./load_sigterm.ts";

const SMALL: LoadPlan = {
  live: 20,
  teams: 2,
  liveIntervalMs: 500,
  http: 4,
  httpIntervalMs: 250,
  httpApart: false,
  warmUpMs: 200,
  measureMs: 2_800,
};

Deno.test("load of 20 live clients and 4 over HTTP is answered and seen by all", async () => {
  const result = await runLoad(SMALL);
  assert.deepEqual([...result.failures], []);
  assert.ok(result.commits > 120, `${result.commits} commits`);
  assert.equal(result.ws.count + result.http.count, result.commits);
  assert.deepEqual([result.unanswered, result.unseen], [0, 0]);
  assert.equal(result.lags.length, result.commits);
  assert.ok(result.lag.p50 > 0);
  assert.ok(result.gateway.delay.max > 0, "the delay of the event loop was not seen");
});

Deno.test("SIGTERM under load loses no acknowledged commit and cuts no live client", async () => {
  const result = await runSigterm({ ...SMALL, measureMs: 1_000 });
  assert.ok(result.acknowledged > 20, `${result.acknowledged} acknowledged`);
  assert.equal(result.lost, 0);
  assert.equal(result.cut, 0);
  assert.deepEqual([...result.codes], [[1012, 20]]);
  assert.equal(result.exitCode, 0);
});

Deno.test("repeated pushes with 20 keys have 20 effects", async () => {
  const { effects, replayed, unequal, failed } = await runIdempotency(20, 10);
  assert.deepEqual({ effects, replayed, unequal, failed }, {
    effects: 20,
    replayed: 80,
    unequal: 0,
    failed: 0,
  });
});

Deno.test("keepSchedule calls each client once in every interval, and for what it missed", async () => {
  const start = performance.now() - 1_000;
  const calls: (readonly [string, number])[] = [];
  const clients = ["a", "b", "c"];
  await keepSchedule([{ clients, intervalMs: 100 }], start, start + 1_020, (client, due) => {
    calls.push([client, due - start]);
  });
  for (const client of clients) {
    const own = calls.filter(([name]) => name === client).map(([, due]) => Math.floor(due / 100));
    assert.deepEqual(own.slice(0, 10), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  }
});

Deno.test("slope is that of the line through values", () => {
  assert.equal(slope([1, 3, 5, 7]), 2);
  assert.equal(slope([4, 4, 4]), 0);
});
