/**
 * Durable push over HTTP at batches of 1, 10, 100 and 1,000 rows, beside its floors: the same rows in
 * the same batches by bare prepared statements with the same fsyncs. One floor writes the records
 * that the gateway wrote, another a plain table. Rounds alternate, so that all see the same machine;
 * the ratio is taken round by round.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { decodePushResult, PROTOBUF_TYPE } from "@lakesync/core";
import { RawConnection, toRequest } from "./raw_http.ts";
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
const CLIENTS = 32;
const ROWS: Readonly<Record<number, number>> = {
  1: 16_000,
  10: 48_000,
  100: 96_000,
  1000: 160_000,
};

function batches<T>(items: readonly T[], size: number): T[][] {
  const all: T[][] = [];
  for (let at = 0; at < items.length; at += size) all.push(items.slice(at, at + size));
  return all;
}

/** A way to write rows in batches, each one transaction that is on the disk when it ends. */
interface Floor {
  readonly layout: string;
  /** Prepares the statements; gives what writes one batch. */
  readonly prepare: (db: DatabaseSync) => (from: number, to: number) => void;
}

/** Rows per second of a floor. */
function runFloor(floor: Floor, count: number, batch: number): number {
  const folder = Deno.makeTempDirSync({ prefix: "lakesync-floor-" });
  const db = new DatabaseSync(`${folder}/floor.db`);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192");
  db.exec(floor.layout);
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const write = floor.prepare(db);
  const started = performance.now();
  for (let from = 0; from < count; from += batch) {
    begin.run();
    write(from, Math.min(count, from + batch));
    commit.run();
  }
  const seconds = (performance.now() - started) / 1000;
  db.close();
  Deno.removeSync(folder, { recursive: true });
  return count / seconds;
}

/** The rows as an app without a sync engine would store them: a key and five columns. */
function tableFloor(rows: readonly Row[]): Floor {
  const bound = rows.map(({ id, values: [title, body, n, x, done] }) =>
    [id, String(title), String(body), BigInt(Number(n)), Number(x), done ? 1n : 0n] as const
  );
  return {
    layout: `CREATE TABLE notes
      (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER, x REAL, done INTEGER)`,
    prepare: (db) => {
      const insert = db.prepare("INSERT INTO notes VALUES (?, ?, ?, ?, ?, ?)");
      return (from, to) => {
        for (let i = from; i < to; i++) insert.run(...(bound[i] ?? []));
      };
    },
  };
}

/** The very records that the gateway stored: rows, bucket index and log, byte for byte. */
function recordFloor(file: string, batch: number): Floor {
  const db = new DatabaseSync(file, { readOnly: true });
  const all = (sql: string) => db.prepare(sql).all().map((row) => Object.values(row));
  const tables = ["rows", "bucket_rows", "log"];
  const layout = all(
    `SELECT sql FROM sqlite_schema WHERE type = 'table' AND name IN ('${tables.join("', '")}')`,
  ).join(";");
  const rows = all("SELECT rid, tbl, row_id, data FROM rows ORDER BY rid");
  const entries = all("SELECT bucket, gone, seq, rid FROM bucket_rows ORDER BY rid");
  const log = all("SELECT seq, slice, client_id, mutation_id, committed_ms, payload FROM log");
  db.close();
  return {
    layout,
    prepare: (db) => {
      const row = db.prepare("INSERT INTO rows VALUES (?, ?, ?, ?)");
      const entry = db.prepare("INSERT INTO bucket_rows VALUES (?, ?, ?, ?)");
      const logged = db.prepare("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)");
      return (from, to) => {
        for (let i = from; i < to; i++) {
          row.run(...(rows[i] ?? []));
          entry.run(...(entries[i] ?? []));
        }
        logged.run(...(log[from / batch] ?? []));
      };
    },
  };
}

async function pushed(
  server: BenchServer,
  gatewayId: string,
  rows: readonly Row[],
  batch: number,
): Promise<number> {
  await server.gateway(gatewayId);
  const url = new URL(`${server.url}/v1/sync/${gatewayId}/push`);
  const headers = {
    authorization: `Bearer ${server.token}`,
    "content-type": PROTOBUF_TYPE,
    accept: PROTOBUF_TYPE,
  };
  const perClient = batches(batches(rows, batch), Math.ceil(rows.length / batch / CLIENTS));
  const requests = perClient.map((own, client) =>
    own.map((part, i) => {
      const deltas = toDeltas(part, server.clock);
      const body = encodeTransactions(`c${client}`, [{ mutationId: i + 1, deltas }]);
      return toRequest(url, headers, body);
    })
  );
  const started = performance.now();
  await Promise.all(requests.map(async (own) => {
    using connection = await RawConnection.open(url);
    for (const request of own) {
      const { rejected } = decodePushResult(await connection.send(request));
      if (rejected.length > 0) throw new Error("A transaction was refused");
    }
  }));
  return rows.length / ((performance.now() - started) / 1000);
}

/** Runs the benchmark and prints its table. */
export async function benchPush(): Promise<void> {
  console.log(
    `\nDurable push over HTTP, five columns, ${CLIENTS} clients at once, ${ROUNDS} rounds`,
  );
  console.log(
    "records: what the gateway stores, by bare statements; table: a key and five columns, likewise",
  );
  for (const [size, count] of Object.entries(ROWS)) {
    const batch = Number(size);
    await using server = await BenchServer.start();
    await pushed(server, "warm-up", makeRows(20_000), 100);
    const ours: number[] = [];
    const records: number[] = [];
    const tables: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const rows = makeRows(count);
      const gatewayId = `b${batch}-${round}`;
      tables.push(runFloor(tableFloor(rows), count, batch));
      ours.push(await pushed(server, gatewayId, rows, batch));
      const file = `${server.data}/gateways/${gatewayId}.db`;
      records.push(runFloor(recordFloor(file, batch), count, batch));
    }
    const ratio = (floors: readonly number[]) =>
      spread(ours.map((rate, round) => rate / (floors[round] ?? NaN)));
    const { median } = ratio(records);
    const { peak } = await server.memory();
    console.log(`batch ${batch}: ${show(spread(ours))} rows/s, server peak ${peak.toFixed(0)} MB`);
    console.log(
      `  of records ${show(spread(records))}: ${show(ratio(records), 2)}; ` +
        verdict(Number(median.toFixed(2)), 0.5, "more"),
    );
    console.log(`  of table ${show(spread(tables))}: ${show(ratio(tables), 2)}`);
    if (batch === 100) {
      console.log(`  rows/s: ${verdict(Math.round(spread(ours).median), 50_000, "more")}`);
    }
  }
}

if (import.meta.main) await benchPush();
