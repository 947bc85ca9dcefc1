/**
 * An edit of rules over 1,000,000 rows: how long until it holds, alone and beside users who push and
 * pull, and how long their requests take meanwhile against before.
 *
 * @module
 */

import type { RulesSpec } from "@lakesync/core";
import { LISTS, LISTS_RULES, membership, OWNERS_RULES, pushOnce, todo } from "./lists.ts";
import { BenchServer, encodeTransactions, percentile } from "./support.ts";

const ROWS = 1_000_000;
const OWNERS = 10_000;
const BATCH = 10_000;
const EVERY_MS = 40;
const QUIET_MS = 10_000;
const LOOK_EVERY_MS = 50;

/** Times of requests, in milliseconds. */
interface Times {
  readonly push: number[];
  readonly pull: number[];
}

/** A user who pushes a row and pulls it, one after the other, at a steady rate. */
async function requests(
  server: BenchServer,
  gateway: string,
  running: () => Promise<boolean> | boolean,
): Promise<Times> {
  const times: Times = { push: [], pull: [] };
  const token = await server.userToken("alice");
  const clientId = crypto.randomUUID();
  const reader = { clientId: `${clientId}-reader`, schemaVersion: 1 };
  let { page } = await server.pull(gateway, reader, token);
  while (!page.complete) {
    ({ page } = await server.pull(gateway, { ...reader, cursor: page.cursor }, token));
  }
  const began = performance.now();
  for (let i = 1; await running(); i++) {
    const due = began + i * EVERY_MS - performance.now();
    if (due > 0) await new Promise((resolve) => setTimeout(resolve, due));
    const row = todo(server, crypto.randomUUID(), "alice", "hers");
    const body = encodeTransactions(clientId, [{ mutationId: i, deltas: [row] }]);
    let started = performance.now();
    await server.pushAll(gateway, [body], token);
    times.push.push(performance.now() - started);
    started = performance.now();
    ({ page } = await server.pull(gateway, { ...reader, cursor: page.cursor }, token));
    times.pull.push(performance.now() - started);
    if (page.changes.length === 0) throw new Error("The pull did not bring the row");
  }
  return times;
}

function told(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const [p50, p99] = [percentile(sorted, 0.5), percentile(sorted, 0.99)];
  return `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, max ${sorted.at(-1)?.toFixed(1)} ms`;
}

/** Rows of lists are placed, all of them; the literal makes it a bucket that was never there. */
function listRules(least: number): RulesSpec {
  const [mine, byList] = LISTS_RULES.buckets;
  if (mine === undefined || byList === undefined) throw new Error("There are two buckets");
  const filters = [{ column: "n", op: "gte", value: least }] as const;
  return { ...LISTS_RULES, buckets: [mine, { ...byList, filters }] };
}

/** Puts rules and waits until they hold; gives the seconds. */
async function edit(server: BenchServer, gateway: string, rules: RulesSpec): Promise<number> {
  const started = performance.now();
  await server.putRules(gateway, rules);
  while (await server.building(gateway)) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  return (performance.now() - started) / 1000;
}

/** Fills a gateway by transactions of 10,000 rows, one after the other; gives the seconds. */
async function fill(server: BenchServer, gateway: string): Promise<number> {
  let seconds = 0;
  for (let from = 0; from < ROWS; from += BATCH) {
    const rows = Array.from({ length: BATCH }, (_, i) => {
      const owner = (from + i) % OWNERS;
      return todo(server, `r${from + i}`, `user${owner}`, `list${owner}`);
    });
    const started = performance.now();
    await pushOnce(server, gateway, [rows]);
    seconds += (performance.now() - started) / 1000;
  }
  return seconds;
}

/** Runs the benchmark and prints its table. */
export async function benchRuleEdit(): Promise<void> {
  console.log(
    `\nAn edit of rules that places ${ROWS.toLocaleString("en-US")} rows of ${OWNERS} users anew`,
  );
  await using server = await BenchServer.start();
  const gateway = "edit";
  await server.gateway(gateway, LISTS);
  await server.putRules(gateway, OWNERS_RULES);
  const filled = await fill(server, gateway);
  await pushOnce(server, gateway, [[membership(server, "m", "alice", "hers")]]);

  const { peak: filledPeak } = await server.memory();
  const alone = await edit(server, gateway, listRules(-1));
  const ratio = (alone / filled).toFixed(2);
  console.log(
    `alone: in force after ${alone.toFixed(1)} s, ${ratio} of what pushing the rows took`,
  );
  const end = performance.now() + QUIET_MS;
  const before = await requests(server, gateway, () => performance.now() < end);
  await edit(server, gateway, OWNERS_RULES);

  let holds = false;
  const editing = edit(server, gateway, listRules(-2)).finally(() => holds = true);
  const beside = await requests(server, gateway, () => !holds);
  const seconds = await editing;
  console.log(
    `beside ${beside.push.length} pushes and pulls: in force after ${seconds.toFixed(1)} s`,
  );
  for (const what of ["push", "pull"] as const) {
    console.log(`${what} without an edit: ${told(before[what])}`);
    console.log(`${what} beside an edit:  ${told(beside[what])}`);
  }
  const { now, peak } = await server.memory();
  console.log(
    `server memory: ${now.toFixed(0)} MB, peak ${peak.toFixed(0)} MB, ` +
      `${filledPeak.toFixed(0)} MB before the edits`,
  );
}

if (import.meta.main) await benchRuleEdit();
