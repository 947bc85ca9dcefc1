/**
 * A flush of 100,000 changes to a real database, beside its floor: the same rows into the same three
 * tables by the driver's own bulk road, without LakeSync. Rounds alternate, so that both see the same
 * machine; the ratio is taken round by round.
 *
 * @module
 */

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Change, DatabaseAdapter, DestinationSchema, FlushPosition } from "@lakesync/adapters";
import { DEFAULT_FLUSH } from "@lakesync/adapters/flush";
import { postgresAdapter } from "@lakesync/adapters/postgres";
import { deltaIdOf, makeHlc, parseSchema } from "@lakesync/core";
import { createHash } from "node:crypto";
import postgres from "postgres";
import { findPostgres, startPostgres } from "../tests/servers/postgres.ts";
import { StallWatch } from "./stalls.ts";
import { makeRows, SCHEMA, show, spread, verdict } from "./support.ts";

/** So many rounds are measured. */
export const ROUNDS = 5;
/** So many changes are flushed in a round. */
export const CHANGES = 100_000;
/** No longer than this may requests wait for a commit (G11), in milliseconds. */
const STALL_AIM_MS = 50;
/** So many at once by the driver alone. */
export const BATCH = 10_000;
/** What part of the floor's rate is aimed at. */
const AIM = 0.5;
const COLUMNS = ["title", "body", "n", "x", "done"] as const;
/** Changes of one transaction, as apps make them. */
const PER_TRANSACTION = 100;

/** A table in the order in which bulk loads take its columns. */
export interface Dump {
  readonly table: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
}

function schemaOf(): DestinationSchema {
  const { version, tables } = parseSchema(SCHEMA);
  return {
    version,
    tables: [...tables.values()].map((table, i) => ({
      id: i + 1,
      table,
      columnIds: table.columns.map((_, j) => j + 1),
    })),
  };
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Inserts as a gateway's log gives them. */
export function makeChanges(count: number): Change[] {
  const clientId = crypto.randomUUID();
  const startMs = Date.now();
  return makeRows(count).map(({ id, values }, i): Change => {
    const hlc = makeHlc(startMs + Math.floor(i / 1000), i % 1000);
    const delta = {
      shape: { op: "INSERT" as const, table: "notes", columns: COLUMNS },
      rowId: id,
      hlc,
      values,
      deltaId: undefined,
    };
    const seq = Math.floor(i / PER_TRANSACTION) + 1;
    return {
      deltaId: deltaIdOf(clientId, delta, hlc, hash),
      op: "INSERT",
      table: "notes",
      rowId: id,
      columns: Object.fromEntries(COLUMNS.map((name, at) => [name, values[at] ?? null])),
      hlc,
      clientId,
      mutationId: seq,
      seq,
      slice: 0,
      committedMs: startMs + seq,
      schemaVersion: 1,
      effect: {
        key: { table: 1, rowId: id },
        isVisible: true,
        replaces: true,
        cells: values.map((value, at) => [at + 2, value, { hlc, clientId }]),
      },
    };
  });
}

/** Flushes changes; gives rows per second and the most memory that was added, in MB. */
export async function flushed(
  adapter: DatabaseAdapter,
  changes: readonly Change[],
): Promise<number> {
  await adapter.ensureSchema(schemaOf());
  const lives = [{ id: "bench", fromSeq: 0 }];
  let from: FlushPosition | undefined;
  const started = performance.now();
  const { maxChanges } = DEFAULT_FLUSH;
  for (let at = 0; at < changes.length; at += maxChanges) {
    const batch = changes.slice(at, at + maxChanges);
    const to = { seq: batch.at(-1)?.seq ?? 0, lives, writer: "bench" };
    await adapter.insertDeltas({ from, to, rows: [], changes: batch, isWhole: true });
    from = to;
  }
  return changes.length / ((performance.now() - started) / 1000);
}

/** What a flush has left in the three tables. */
async function dumpOf(sql: postgres.Sql): Promise<Dump[]> {
  const dumps: Dump[] = [];
  for (
    const [table, order] of [
      ["lakesync_deltas", "seq, slice, n"],
      ["lakesync_state", "table_id, seq, row_id"],
      ["notes", "n"],
    ] as const
  ) {
    const columns = await sql<{ name: string }[]>`
      SELECT attname AS name FROM pg_attribute
      WHERE attrelid = ${table}::regclass AND attnum > 0 ORDER BY attnum`;
    const names = columns.map(({ name }) => name);
    const list = names.map((name) => `"${name}"::text`).join(", ");
    const rows = await sql.unsafe(`SELECT ${list} FROM ${table} ORDER BY ${order}`).values();
    dumps.push({ table, columns: names, rows: [...rows] });
  }
  return dumps;
}

/** A line of COPY's text. */
function copyLine(row: readonly unknown[]): string {
  return row.map((value) =>
    value === null
      ? "\\N"
      : String(value).replaceAll(/[\\\n\r\t]/g, (each) =>
        each === "\\" ? "\\\\" : each === "\n" ? "\\n" : each === "\r" ? "\\r" : "\\t")
  ).join("\t") + "\n";
}

/** Rows per second of COPY into the same tables, in batches of the same size, each a transaction. */
async function copied(sql: postgres.Sql, dumps: readonly Dump[]): Promise<number> {
  const started = performance.now();
  for (let at = 0; at < CHANGES; at += BATCH) {
    await sql.begin(async (sql) => {
      for (const { table, columns, rows } of dumps) {
        const names = columns.map((name) => `"${name}"`).join(", ");
        const stream = await sql.unsafe(`COPY ${table} (${names}) FROM STDIN`).writable();
        const lines = rows.slice(at, at + BATCH).map(copyLine);
        const chunks: string[] = [];
        for (let i = 0; i < lines.length; i += 500) chunks.push(lines.slice(i, i + 500).join(""));
        await pipeline(Readable.from(chunks), stream);
      }
      await sql`UPDATE lakesync_position SET forgotten_seq = 0`;
    });
  }
  return CHANGES / ((performance.now() - started) / 1000);
}

/** Rows per second of the driver's multi-row INSERT. */
async function inserted(sql: postgres.Sql, dumps: readonly Dump[]): Promise<number> {
  const started = performance.now();
  for (let at = 0; at < CHANGES; at += BATCH) {
    await sql.begin(async (sql) => {
      for (const { table, columns, rows } of dumps) {
        const step = Math.floor(60_000 / columns.length);
        const end = Math.min(CHANGES, at + BATCH);
        for (let i = at; i < end; i += step) {
          const part = rows.slice(i, Math.min(end, i + step)).map((row) =>
            Object.fromEntries(columns.map((name, j) => [name, row[j]]))
          );
          await sql`INSERT INTO ${sql(table)} ${sql(part, ...columns)}`;
        }
      }
      await sql`UPDATE lakesync_position SET forgotten_seq = 0`;
    });
  }
  return CHANGES / ((performance.now() - started) / 1000);
}

/**
 * Says what was measured.
 *
 * @param ours rows a second by LakeSync, a round each
 * @param stalls the longest hold of the thread in each, in milliseconds
 * @param floors rows a second by the driver's roads, a round each
 */
export function tell(
  ours: readonly number[],
  stalls: readonly number[],
  floors: Readonly<Record<string, readonly number[]>>,
): void {
  console.log(`LakeSync: ${show(spread(ours))} rows/s`);
  console.log(
    `  holds the thread for at most ${show(spread(stalls))} ms at once: ` +
      verdict(Math.round(spread(stalls).median), STALL_AIM_MS, "less"),
  );
  for (const [name, rates] of Object.entries(floors)) {
    const ratio = spread(ours.map((rate, i) => rate / (rates[i] ?? NaN)));
    console.log(
      `  of ${name} ${show(spread(rates))}: ${show(ratio, 2)}; ` +
        verdict(Number(ratio.median.toFixed(2)), AIM, "more"),
    );
  }
}

/** Runs the benchmark and prints its table. */
export async function benchFlush(): Promise<void> {
  const found = await findPostgres();
  if ("missing" in found) {
    console.log(`\nFlush: left out, ${found.missing}`);
    return;
  }
  console.log(
    `\nFlush of ${CHANGES} changes to Postgres, ${DEFAULT_FLUSH.maxChanges} a batch, ` +
      `the driver's own ${BATCH}, five columns, ${ROUNDS} rounds`,
  );
  await using server = await startPostgres({
    settings: { shared_buffers: "256MB", max_wal_size: "4GB" },
  });
  const ours: number[] = [];
  const stalls: number[] = [];
  const floors = { copy: [] as number[], insert: [] as number[] };
  for (let round = 0; round <= ROUNDS; round++) {
    const url = await server.createDatabase();
    const changes = makeChanges(CHANGES);
    const adapter = postgresAdapter({ url });
    const watch = new StallWatch();
    const rate = await flushed(adapter, changes);
    const stallMs = watch.end();
    await adapter.close();
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    const dumps = await dumpOf(sql);
    const empty = () => sql`TRUNCATE lakesync_deltas, lakesync_state, notes`;
    await empty();
    const copy = await copied(sql, dumps);
    await empty();
    const insert = await inserted(sql, dumps);
    await sql.end();
    if (round === 0) continue; // the first one warms up
    ours.push(rate);
    stalls.push(stallMs);
    floors.copy.push(copy);
    floors.insert.push(insert);
  }
  tell(ours, stalls, floors);
}

if (import.meta.main) await benchFlush();
