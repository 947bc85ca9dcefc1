/**
 * Durable push over HTTP at batches of 1, 10, 100 and 1,000 rows, beside its floor: the same rows in
 * the same batches by bare prepared statements with the same fsyncs. Rounds alternate, so that both
 * see the same machine; the ratio is taken round by round.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import {
  BenchServer,
  encodeTransactions,
  makeRows,
  type Row,
  show,
  spread,
  toDeltas,
  verdict,
} from "./support.ts";

const ROUNDS = 5;
/** Clients that push at once, each waiting for its answer: what one fsync can be shared by. */
const CLIENTS = 8;
const ROWS: Readonly<Record<number, number>> = { 1: 8_000, 10: 40_000, 100: 80_000, 1000: 160_000 };

function batches<T>(items: readonly T[], size: number): T[][] {
  const all: T[][] = [];
  for (let at = 0; at < items.length; at += size) all.push(items.slice(at, at + size));
  return all;
}

/** The floor: rows per second. */
function floor(rows: readonly Row[], batch: number): number {
  const folder = Deno.makeTempDirSync({ prefix: "lakesync-floor-" });
  const db = new DatabaseSync(`${folder}/floor.db`);
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;
    CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER, x REAL, done INTEGER)`);
  const begin = db.prepare("BEGIN IMMEDIATE");
  const insert = db.prepare("INSERT INTO notes VALUES (?, ?, ?, ?, ?, ?)");
  const commit = db.prepare("COMMIT");
  const bound = rows.map(({ id, values: [title, body, n, x, done] }) =>
    [id, String(title), String(body), BigInt(Number(n)), Number(x), done ? 1n : 0n] as const
  );
  const started = performance.now();
  for (const rows of batches(bound, batch)) {
    begin.run();
    for (const row of rows) insert.run(...row);
    commit.run();
  }
  const seconds = (performance.now() - started) / 1000;
  db.close();
  Deno.removeSync(folder, { recursive: true });
  return rows.length / seconds;
}

async function pushed(
  server: BenchServer,
  gatewayId: string,
  rows: readonly Row[],
  batch: number,
): Promise<number> {
  await server.gateway(gatewayId);
  const perClient = batches(batches(rows, batch), Math.ceil(rows.length / batch / CLIENTS));
  const bodies = perClient.map((own, client) =>
    own.map((part, i) =>
      encodeTransactions(`c${client}`, [{
        mutationId: i + 1,
        deltas: toDeltas(part, server.clock),
      }])
    )
  );
  const started = performance.now();
  await Promise.all(bodies.map((own) => server.pushAll(gatewayId, own)));
  return rows.length / ((performance.now() - started) / 1000);
}

/** Runs the benchmark and prints its table. */
export async function benchPush(): Promise<void> {
  console.log(
    `\nDurable push over HTTP, five columns, ${CLIENTS} clients at once, ${ROUNDS} rounds`,
  );
  console.log("batch   LakeSync rows/s              floor rows/s                 ratio");
  await using server = await BenchServer.start();
  await pushed(server, "warm-up", makeRows(20_000), 100);
  for (const [size, count] of Object.entries(ROWS)) {
    const batch = Number(size);
    const ours: number[] = [];
    const floors: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const rows = makeRows(count);
      floors.push(floor(rows, batch));
      ours.push(await pushed(server, `b${batch}-${round}`, rows, batch));
    }
    const ratio = spread(ours.map((rate, round) => rate / (floors[round] ?? NaN)));
    const aims = [verdict(Number(ratio.median.toFixed(2)), 0.5, "more")];
    if (batch === 100) {
      aims.push(`rows/s: ${verdict(Math.round(spread(ours).median), 50_000, "more")}`);
    }
    console.log(
      `${String(batch).padEnd(8)}${show(spread(ours)).padEnd(29)}${
        show(spread(floors)).padEnd(29)
      }` +
        `${show(ratio, 2)}  ${aims.join("; ")}`,
    );
  }
  const { now, peak } = await server.memory();
  console.log(
    `server memory: ${now.toFixed(0)} MB, peak ${peak.toFixed(0)} MB; ${
      verdict(Math.round(peak), 300, "less")
    }`,
  );
}

if (import.meta.main) await benchPush();
