/**
 * First pull of 100,000 and 1,000,000 rows over HTTP, decoded but not applied; then whether a pull
 * and a push of 100 changes take longer at 1,000,000 rows than at 10,000.
 *
 * @module
 */

import { createClock } from "@lakesync/core";
import {
  BenchServer,
  encodeTransactions,
  makeRows,
  show,
  spread,
  toDeltas,
  verdict,
} from "./support.ts";

const PAGE = 10_000;

async function pullAll(server: BenchServer, gatewayId: string) {
  const started = performance.now();
  let cursor: string | undefined;
  let rows = 0;
  let bytes = 0;
  for (;;) {
    const request = { clientId: "reader", limit: PAGE, schemaVersion: 1 };
    const got = await server.pull(
      gatewayId,
      cursor === undefined ? request : { ...request, cursor },
    );
    rows += got.page.changes.length;
    bytes += got.bytes;
    cursor = got.page.cursor;
    if (got.page.complete) break;
  }
  return { rows, bytes, seconds: (performance.now() - started) / 1000, cursor };
}

async function steps(server: BenchServer, gatewayId: string, rounds: number) {
  let { cursor } = await pullAll(server, gatewayId);
  const clock = createClock(() => Date.now());
  const clientId = `stepper-${rounds}`;
  const push: number[] = [];
  const pull: number[] = [];
  for (let i = 1; i <= rounds; i++) {
    const deltas = toDeltas(makeRows(100), clock);
    const body = encodeTransactions(clientId, [{ mutationId: i, deltas }]);
    let started = performance.now();
    await server.pushAll(gatewayId, [body]);
    push.push(performance.now() - started);
    started = performance.now();
    const { page } = await server.pull(gatewayId, { clientId: "reader", cursor, schemaVersion: 1 });
    pull.push(performance.now() - started);
    if (page.changes.length !== 100) throw new Error("The pull did not bring the 100 changes");
    cursor = page.cursor;
  }
  return { push, pull };
}

/** Runs the benchmark and prints its table. */
export async function benchPull(): Promise<void> {
  await using server = await BenchServer.start();
  console.log("\nFirst pull over HTTP, pages of 10,000 rows, decoded");
  for (
    const [gatewayId, count, runs] of [["small", 10_000, 1], ["middle", 100_000, 5], [
      "large",
      1_000_000,
      3,
    ]] as const
  ) {
    await server.gateway(gatewayId);
    await server.fill(gatewayId, count);
    if (gatewayId === "small") continue;
    const results = [];
    for (let run = 0; run < runs; run++) results.push(await pullAll(server, gatewayId));
    const seconds = spread(results.map((result) => result.seconds));
    const megabytes = ((results[0]?.bytes ?? 0) / 1e6).toFixed(1);
    console.log(
      `${count.toLocaleString("en-US").padStart(9)} rows  ${show(seconds, 2)} s, ${megabytes} MB`,
    );
  }
  const { now, peak } = await server.memory();
  console.log(
    `server memory: ${now.toFixed(0)} MB, peak ${peak.toFixed(0)} MB; ${
      verdict(Math.round(peak), 300, "less")
    }`,
  );

  console.log("\n100 changes at 10,000 rows and at 1,000,000 rows, in turn");
  await steps(server, "small", 20);
  const small = { push: [] as number[], pull: [] as number[] };
  const large = { push: [] as number[], pull: [] as number[] };
  for (let round = 0; round < 5; round++) {
    for (const [gatewayId, into] of [["small", small], ["large", large]] as const) {
      const got = await steps(server, gatewayId, 30 + round);
      into.push.push(...got.push);
      into.pull.push(...got.pull);
    }
  }
  for (const what of ["push", "pull"] as const) {
    const few = spread(small[what]);
    const many = spread(large[what]);
    const ratio = many.median / few.median;
    console.log(
      `${what}  ${show(few, 2)} ms, ${show(many, 2)} ms, ratio of medians ${ratio.toFixed(2)}; ` +
        verdict(Number(ratio.toFixed(2)), 1.5, "less"),
    );
  }
}

if (import.meta.main) await benchPull();
