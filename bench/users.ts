/**
 * Whether a push and a pull of 100 own changes take longer with 100,000 users' buckets than with 10,
 * also when all those users have changed their rows meanwhile.
 *
 * @module
 */

import type { Delta, Shape } from "@lakesync/core";
import { inBatches, LISTS, LISTS_RULES, membership, pushOnce, todo } from "./lists.ts";
import { BenchServer, encodeTransactions, show, spread, verdict } from "./support.ts";

const FEW = 10;
const MANY = 100_000;
const CHANGES = 100;
const ROUNDS = 8;
const STEPS = 25;
const BATCH = 10_000;
const AIM = 1.5;
const READER = { clientId: "reader", schemaVersion: 1, limit: 10_000 } as const;
const TITLE: Shape = { op: "UPDATE", table: "todos", columns: ["title"] };

async function users(server: BenchServer, gateway: string, count: number): Promise<void> {
  await server.gateway(gateway, LISTS);
  await server.putRules(gateway, LISTS_RULES);
  const deltas: Delta[] = [];
  for (let i = 0; i < count; i++) {
    deltas.push(membership(server, `m${i}`, `user${i}`, `list${i}`));
    deltas.push(todo(server, `u${i}`, `user${i}`, `list${i}`));
  }
  deltas.push(membership(server, "alice", "alice", "hers"));
  await pushOnce(server, gateway, inBatches(deltas, BATCH));
}

/** Every user changes a row. */
async function touch(server: BenchServer, gateway: string, count: number): Promise<void> {
  const deltas = Array.from({ length: count }, (_, i): Delta => ({
    shape: TITLE,
    rowId: `u${i}`,
    hlc: server.clock.tick(),
    values: ["touched"],
    deltaId: undefined,
  }));
  await pushOnce(server, gateway, inBatches(deltas, BATCH));
}

/** Pulls all that the user has; gives where to go on from. */
async function end(server: BenchServer, gateway: string, token: string): Promise<string> {
  let got = await server.pull(gateway, READER, token);
  while (!got.page.complete) {
    got = await server.pull(gateway, { ...READER, cursor: got.page.cursor }, token);
  }
  return got.page.cursor;
}

interface Took {
  readonly push: number[];
  readonly pull: number[];
}

/** One after the other: 100 rows pushed, and pulled by another database of the same user. */
async function steps(
  server: BenchServer,
  gateway: string,
  token: string,
  took: Took,
): Promise<void> {
  const clientId = crypto.randomUUID();
  let cursor = await end(server, gateway, token);
  for (let i = 1; i <= STEPS; i++) {
    const deltas = Array.from(
      { length: CHANGES },
      () => todo(server, crypto.randomUUID(), "alice", "hers"),
    );
    const body = encodeTransactions(clientId, [{ mutationId: i, deltas }]);
    let started = performance.now();
    await server.pushAll(gateway, [body], token);
    took.push.push(performance.now() - started);
    started = performance.now();
    const { page } = await server.pull(gateway, { ...READER, cursor }, token);
    took.pull.push(performance.now() - started);
    if (page.changes.length !== CHANGES) throw new Error("The pull did not bring the 100 rows");
    cursor = page.cursor;
  }
}

/** Runs the benchmark and prints its table. */
export async function benchUsers(): Promise<void> {
  console.log(`\n${CHANGES} own changes with ${FEW} and with ${MANY} users' buckets, in turn`);
  await using server = await BenchServer.start();
  const token = await server.userToken("alice");
  const counts = { few: FEW, many: MANY };
  const took = { few: { push: [], pull: [] } as Took, many: { push: [], pull: [] } as Took };
  for (const name of ["few", "many"] as const) {
    await users(server, name, counts[name]);
    await steps(server, name, token, { push: [], pull: [] });
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of ["few", "many"] as const) await steps(server, name, token, took[name]);
  }
  const since = { few: [] as number[], many: [] as number[] };
  const cursors = { few: "", many: "" };
  for (const name of ["few", "many"] as const) {
    cursors[name] = await end(server, name, token);
    await touch(server, name, counts[name]);
    const own = Array.from({ length: CHANGES }, (_, i) => todo(server, `o${i}`, "alice", "hers"));
    await pushOnce(server, name, [own], token);
  }
  for (let round = 0; round < ROUNDS * STEPS; round++) {
    for (const name of ["few", "many"] as const) {
      const started = performance.now();
      const { page } = await server.pull(name, { ...READER, cursor: cursors[name] }, token);
      since[name].push(performance.now() - started);
      if (page.changes.length !== CHANGES) throw new Error("The pull did not bring the 100 rows");
    }
  }
  for (
    const [what, few, many] of [
      ["push", took.few.push, took.many.push],
      ["pull", took.few.pull, took.many.pull],
      ["pull after all others' changes", since.few, since.many],
    ] as const
  ) {
    const ratio = Number((spread(many).median / spread(few).median).toFixed(2));
    console.log(
      `${what}: ${show(spread(few), 2)} ms, ${
        show(spread(many), 2)
      } ms, ratio of medians ${ratio}; ` +
        verdict(ratio, AIM, "less"),
    );
  }
}

if (import.meta.main) await benchUsers();
