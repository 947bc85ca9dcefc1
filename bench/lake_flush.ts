/**
 * A million changes from a gateway's log to committed snapshots of a lake, beside the Parquet writer
 * alone: the same columns, in files of the same size, by the same writer, to no store. And what the
 * flush costs pushes that come meanwhile.
 *
 * @module
 */

import { type DatabaseAdapter, openFileObjects } from "@lakesync/adapters";
import { type FlushEnvironment, Flusher } from "@lakesync/adapters/flush";
import { lakeAdapter, lakeLocation } from "@lakesync/adapters/lake";
import { createClock, type Delta, type HybridClock } from "@lakesync/core";
import {
  type ColumnBatch,
  openParquetWriter,
  type ParquetOptions,
  type ParquetWriter,
} from "../adapters/lake/parquet/mod.ts";
import { DENO_ENVIRONMENT } from "../server/environment.ts";
import { gatewaySource } from "../server/flush/source.ts";
import type { Caller, Gateway } from "../server/gateway/gateway.ts";
import { openGateways } from "../server/gateway/open.ts";
import { openSqliteStores } from "../server/store/sqlite.ts";
import { StallWatch } from "./stalls.ts";
import { makeRows, percentile, SCHEMA, show, spread, toDeltas, verdict } from "./support.ts";

const CHANGES = Number(Deno.env.get("LAKESYNC_BENCH_CHANGES") ?? 1_000_000);
/** Changes of one transaction, as apps make them. */
const PER_TRANSACTION = 100;
/** Transactions of one push of the filling. */
const PER_PUSH = 100;
/** A flush of so many changes is timed alone. */
const SMALL = 20_000;
/** So many small flushes are timed. */
const SMALL_ROUNDS = 7;
/** What part of the writer's rate is aimed at. */
const AIM = 0.5;
const SMALL_AIM_MS = 250;
const MEMORY_AIM_MB = 400;
/** No longer than this may requests wait for a commit (G11), in milliseconds. */
const STALL_AIM_MS = 50;
const PUSH_EVERY_MS = 10;
const QUIET_MS = 3_000;
const SAMPLE_MS = 20;
const MB = 2 ** 20;

const ENV: FlushEnvironment = {
  now: DENO_ENVIRONMENT.now,
  setTimer: DENO_ENVIRONMENT.setTimer,
  random: Math.random,
  onError: (what, error) => console.error(what, error),
};

const CALLER: Caller = { sub: "bench", admin: false, claims: {} };

/** A client that pushes to a gateway of the same process. */
class Writer {
  readonly #gateway: Gateway;
  readonly #clock: HybridClock = createClock(Date.now);
  readonly #clientId = crypto.randomUUID();
  #mutationId = 0;

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
  }

  /** Pushes new rows, in transactions. */
  async push(rows: number): Promise<void> {
    const deltas = toDeltas(makeRows(rows), this.#clock);
    const parts: Delta[][] = [];
    for (let at = 0; at < rows; at += PER_TRANSACTION) {
      parts.push(deltas.slice(at, at + PER_TRANSACTION));
    }
    const transactions = parts.map((part) => ({ mutationId: ++this.#mutationId, deltas: part }));
    const { result } = await this.#gateway.push(CALLER, {
      clientId: this.#clientId,
      schemaVersion: 1,
      transactions,
    });
    if (result?.lastMutationId !== this.#mutationId) throw new Error("A push was not taken whole");
  }

  /** Pushes a row every {@linkcode PUSH_EVERY_MS}; gives how long each took, in milliseconds. */
  async pushWhile(isRunning: () => boolean): Promise<number[]> {
    const times: number[] = [];
    const began = performance.now();
    for (let i = 0; isRunning(); i++) {
      const wait = began + i * PUSH_EVERY_MS - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      const started = performance.now();
      await this.push(1);
      times.push(performance.now() - started);
    }
    return times;
  }
}

/** A writer that keeps a copy of the first batch of so many rows or more. */
function watched(
  writer: ParquetWriter,
  kept: { batch?: ColumnBatch; options?: ParquetOptions; rows: number },
): ParquetWriter {
  return {
    write(batch, options) {
      if (batch.length > kept.rows) {
        kept.rows = batch.length;
        kept.batch = structuredClone(batch);
        kept.options = options;
      }
      return writer.write(batch, options);
    },
    close: () => writer.close(),
  };
}

/** Rows per second of the writer alone, in files like one that the flush wrote. */
async function writerAlone(batch: ColumnBatch, options: ParquetOptions): Promise<number> {
  const writer = openParquetWriter();
  const files = Math.max(1, Math.ceil(CHANGES / batch.length));
  let ms = 0;
  for (let i = -1; i < files; i++) {
    const copy = structuredClone(batch);
    const started = performance.now();
    await writer.write(copy, options);
    if (i >= 0) ms += performance.now() - started;
  }
  await writer.close();
  return files * batch.length / (ms / 1000);
}

function lakeIn(folder: string, writer: ParquetWriter): DatabaseAdapter {
  return lakeAdapter({
    store: () => openFileObjects(folder),
    location: lakeLocation(`file://${folder}`),
    namespace: "default",
    writer,
  });
}

function flusherOf(gateway: Gateway, destination: DatabaseAdapter): Flusher {
  return new Flusher({
    source: gatewaySource(gateway),
    destination,
    env: ENV,
    settings: { everyMs: 1 },
  });
}

function p99(times: number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  return `p50 ${percentile(sorted, 0.5).toFixed(1)} ms, p99 ${
    percentile(sorted, 0.99).toFixed(1)
  } ms`;
}

function rssMb(): number {
  return Deno.memoryUsage().rss / MB;
}

/** Flushes to a lake in a folder. */
export async function benchLakeFlush(): Promise<void> {
  console.log(`\nA flush of ${CHANGES.toLocaleString("en-US")} changes to a lake in a folder`);
  const data = await Deno.makeTempDir({ prefix: "lakesync-bench-" });
  const gateways = openGateways(await openSqliteStores(data), {
    ...DENO_ENVIRONMENT,
    openAccess: true,
  });
  const gateway = await gateways.create("default");
  await gateway.putSchema(SCHEMA);
  const writer = new Writer(gateway);
  for (let at = 0; at < CHANGES; at += PER_TRANSACTION * PER_PUSH) {
    await writer.push(Math.min(PER_TRANSACTION * PER_PUSH, CHANGES - at));
  }
  const quietUntil = performance.now() + QUIET_MS;
  const quiet = await writer.pushWhile(() => performance.now() < quietUntil);

  const kept: Parameters<typeof watched>[1] = { rows: 0 };
  const adapter = lakeIn(`${data}/lake`, watched(openParquetWriter(), kept));
  const idleMb = rssMb();
  let peakMb = idleMb;
  const sampler = setInterval(() => peakMb = Math.max(peakMb, rssMb()), SAMPLE_MS);
  const started = performance.now();
  const flusher = flusherOf(gateway, adapter);
  await flusher.flushNow();
  const seconds = (performance.now() - started) / 1000;
  clearInterval(sampler);
  const rate = CHANGES / seconds;
  const { batch, options } = kept;
  if (batch === undefined || options === undefined) throw new Error("Nothing was written");
  const alone = await writerAlone(batch, options);
  const rates = `${Math.round(rate).toLocaleString("en-US")} rows/s, the writer alone ` +
    Math.round(alone).toLocaleString("en-US");
  console.log(`  ${rates} (files of ${batch.length} rows)`);
  console.log(`  ratio ${(rate / alone).toFixed(2)}, ${verdict(rate / alone, AIM, "more")}`);
  const addedMb = peakMb - idleMb;
  console.log(
    `  memory ${addedMb.toFixed(0)} MB above ${idleMb.toFixed(0)} MB idle at most, ` +
      verdict(addedMb, MEMORY_AIM_MB, "less"),
  );

  const small: number[] = [];
  const stalls: number[] = [];
  for (let round = 0; round < SMALL_ROUNDS; round++) {
    for (let at = 0; at < SMALL; at += PER_TRANSACTION * PER_PUSH) {
      await writer.push(PER_TRANSACTION * PER_PUSH);
    }
    const watch = new StallWatch();
    const began = performance.now();
    await flusher.flushNow();
    small.push(performance.now() - began);
    stalls.push(watch.end());
  }
  const { median } = spread(small);
  console.log(
    `  ${SMALL} changes ${show(spread(small))} ms, ${verdict(median, SMALL_AIM_MS, "less")}`,
  );
  console.log(
    `  it holds the thread for ${show(spread(stalls))} ms at most, ` +
      verdict(spread(stalls).median, STALL_AIM_MS, "less"),
  );

  await flusher.close();
  await adapter.close();

  const other = lakeIn(`${data}/other`, openParquetWriter());
  const again = flusherOf(gateway, other);
  let isFlushing = true;
  const flushing = again.flushNow().finally(() => isFlushing = false);
  const beside = await new Writer(gateway).pushWhile(() => isFlushing);
  await flushing;
  console.log(`  pushes of one row every ${PUSH_EVERY_MS} ms: ${p99(quiet)}`);
  console.log(`  beside a flush of everything: ${p99(beside)}`);

  await again.close();
  await other.close();
  await gateways.close();
  await Deno.remove(data, { recursive: true });
}
