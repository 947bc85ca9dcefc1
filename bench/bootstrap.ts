/**
 * What first checkpoints cost the server: one client whose chunks must be made, ten such clients at
 * once, and one whose chunks are there.
 *
 * @module
 */

import { BenchServer, show, spread, verdict } from "./support.ts";

const ROUNDS = 3;
const ROWS = 200_000;
const CLIENTS = 10;

/** Reads a checkpoint to its end; gives its bytes. */
async function read(server: BenchServer, gatewayId: string, clientId: string): Promise<number> {
  const url = `${server.url}/v1/sync/${gatewayId}/checkpoint?clientId=${clientId}&schemaVersion=1`;
  const response = await fetch(url, { headers: { authorization: `Bearer ${server.token}` } });
  if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`);
  let bytes = 0;
  for await (const piece of response.body) bytes += piece.length;
  return bytes;
}

/** The server's processor time for so many clients at once, in milliseconds. */
async function cost(server: BenchServer, gatewayId: string, clients: number): Promise<number> {
  const before = await server.cpuMs();
  const ids = Array.from({ length: clients }, (_, i) => `reader-${clients}-${i}`);
  const bytes = await Promise.all(ids.map((id) => read(server, gatewayId, id)));
  if (Math.min(...bytes) < ROWS) throw new Error("A stream did not bring the rows");
  return await server.cpuMs() - before;
}

/** Runs the benchmark and prints its table. */
export async function benchBootstrap(): Promise<void> {
  console.log(
    `\nThe server's processor time for first checkpoints of ${ROWS} rows, ${ROUNDS} rounds`,
  );
  const one: number[] = [];
  const ten: number[] = [];
  const later: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await using server = await BenchServer.start();
    for (const gatewayId of ["one", "ten"]) {
      await server.gateway(gatewayId);
      await server.fill(gatewayId, ROWS);
    }
    one.push(await cost(server, "one", 1));
    ten.push(await cost(server, "ten", CLIENTS));
    later.push(await cost(server, "one", 1));
  }
  const ratio = spread(ten.map((ms, round) => ms / (one[round] ?? NaN)));
  console.log(`one client, chunks to be made  ${show(spread(one), 0)} ms`);
  console.log(
    `${CLIENTS} at once, likewise           ${show(spread(ten), 0)} ms, ratio ${show(ratio, 2)}; ` +
      verdict(Number(ratio.median.toFixed(2)), 1.5, "less"),
  );
  console.log(`one client, chunks made        ${show(spread(later), 0)} ms`);
}

if (import.meta.main) await benchBootstrap();
