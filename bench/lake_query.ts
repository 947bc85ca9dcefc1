/**
 * Questions to a lake of a million changes, asked again and again: the rows as they are, as they were
 * at moments that no snapshot has, and the history of a row; beside the bare reading of the same files
 * by DuckDB, which is the floor. Nothing is kept between questions but what the system keeps of files
 * and, where the same is asked about the same moment, the views.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { type Cell, type Change, type FlushPosition, openFileObjects } from "@lakesync/adapters";
import { lakeAdapter, lakeLocation } from "@lakesync/adapters/lake";
import { openLakeQuery } from "@lakesync/adapters/lake/query";
import { type Hlc, makeHlc, parseSchema, type Value } from "@lakesync/core";
import { objectCatalog } from "../adapters/lake/catalog/object_catalog.ts";
import { Duck } from "../adapters/lake/query/duck.ts";
import { listSql } from "../adapters/lake/query/sql.ts";
import { mergeLake } from "../adapters/lake/table/merge_lake.ts";
import { openParquetReader, openParquetWriter } from "../adapters/lake/parquet/mod.ts";
import { makeRows, SCHEMA, show, spread, verdict } from "./support.ts";

const CHANGES = Number(Deno.env.get("LAKESYNC_BENCH_CHANGES") ?? 1_000_000);
/** So many of the changes insert a row; the others change or delete one of them. */
const ROWS = CHANGES / 5;
const PER_TRANSACTION = 100;
const PER_FLUSH = 20_000;
const LAST = CHANGES / PER_TRANSACTION;
const ROUNDS = 7;
const AIM_MS = 1_000;
const NAMES = ["title", "body", "n", "x", "done"] as const;

const ALL =
  "SELECT count(*), max(title), max(body), sum(n), sum(x), count(*) FILTER (done) FROM notes";

/** Changes as a gateway's log gives them: every tenth update lost one of its cells to another one. */
function* changesOf(): Generator<Change> {
  const clientId = crypto.randomUUID();
  const startMs = Date.UTC(2026, 0, 1);
  const rows = makeRows(ROWS);
  for (let i = 0; i < CHANGES; i++) {
    const isNew = i < ROWS;
    const row = rows[isNew ? i : (i * 7919) % ROWS];
    if (row === undefined) return;
    const op = isNew ? "INSERT" as const : i % 50 === 0 ? "DELETE" as const : "UPDATE" as const;
    const names = isNew ? NAMES : op === "DELETE" ? [] : NAMES.slice(i % 3, i % 3 + 2);
    const hlc: Hlc = makeHlc(startMs + i, 0);
    const given = names.map((name): [string, number, Value] => {
      const at = NAMES.indexOf(name);
      const value = row.values[at] ?? null;
      return [name, at + 2, name === "title" ? `${value} ${i}` : name === "n" ? i : value];
    });
    const won = op === "UPDATE" && i % 10 === 1 ? given.slice(1) : given;
    const seq = Math.floor(i / PER_TRANSACTION) + 1;
    yield {
      deltaId: createHash("sha256").update(String(i)).digest("hex"),
      op,
      table: "notes",
      rowId: row.id,
      columns: Object.fromEntries(given.map(([name, , value]) => [name, value])),
      hlc,
      clientId,
      mutationId: seq,
      seq,
      slice: 0,
      committedMs: startMs + seq * 1_000,
      schemaVersion: 1,
      effect: {
        key: { table: 1, rowId: row.id },
        isVisible: op !== "DELETE",
        replaces: op !== "UPDATE",
        cells: won.map(([, column, value]): Cell => [column, value, { hlc, clientId }]),
      },
    };
  }
}

/** Flushes all changes to a folder; those up to half of the log are merged into the rows. */
async function fill(folder: string): Promise<void> {
  const store = await openFileObjects(folder);
  const location = lakeLocation(`file://${folder}`);
  const adapter = lakeAdapter({ store, location, namespace: "bench" });
  const { version, tables } = parseSchema(SCHEMA);
  await adapter.ensureSchema({
    version,
    tables: [...tables.values()].map((table) => ({
      id: 1,
      table,
      columnIds: table.columns.map((_, i) => i + 1),
    })),
  });
  const lives = [{ id: "bench", fromSeq: 0 }];
  let from: FlushPosition | undefined;
  let batch: Change[] = [];
  for (const change of changesOf()) {
    batch.push(change);
    if (batch.length < PER_FLUSH) continue;
    const to = { seq: change.seq, lives, writer: "bench" };
    await adapter.insertDeltas({ from, to, rows: [], changes: batch, isWhole: true });
    [from, batch] = [to, []];
    if (to.seq === LAST / 2) await merge(folder);
  }
  await adapter.close();
}

async function merge(folder: string): Promise<void> {
  const store = await openFileObjects(folder);
  const location = lakeLocation(`file://${folder}`);
  const files = { store, location };
  const lake = {
    ...files,
    namespace: "bench",
    catalog: objectCatalog(files),
    writer: openParquetWriter(),
    reader: openParquetReader(),
    now: Date.now,
    nextTurn: () => Promise.resolve(),
  };
  await mergeLake(lake);
  await lake.writer.close();
  await lake.reader.close();
}

async function filesBelow(folder: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) paths.push(...await filesBelow(path));
    else if (name.endsWith(".parquet")) paths.push(path);
  }
  return paths;
}

/** Milliseconds of some rounds, after one that warms up. */
async function timed(ask: (round: number) => Promise<unknown>): Promise<readonly number[]> {
  await ask(0);
  const times: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const started = performance.now();
    await ask(round);
    times.push(performance.now() - started);
  }
  return times;
}

/** Measures. */
export async function benchLakeQuery(): Promise<void> {
  console.log(`\nQuestions to a lake of ${CHANGES.toLocaleString("en-US")} changes, warm`);
  const folder = await Deno.makeTempDir();
  try {
    await fill(folder);
    const paths = await filesBelow(`${folder}/bench/notes__changes/data`);
    const duck = await Duck.open({ memoryBytes: 2 ** 30 });
    const floor = await timed(() =>
      duck.rows(`SELECT count(_row), max(_seq), max(_op), max(_changed), max(title), max(body),
        sum(n), sum(x), count(*) FILTER (done) FROM read_parquet(${listSql(paths)})`)
    );
    duck.close();
    console.log(`  floor: the same files, bare: ${show(spread(floor))} ms, ${paths.length} files`);

    const store = await openFileObjects(folder);
    const query = openLakeQuery({ store, location: `file://${folder}`, namespace: "bench" });
    const rows = makeRows(ROWS);
    const asked: readonly (readonly [string, (round: number) => Promise<unknown>])[] = [
      ["rows now, half of the changes merged", () => query.query(ALL)],
      [
        "rows as of a commit, from changes alone",
        (round) => query.query(ALL, { asOf: { seq: LAST / 2 - 1 - round } }),
      ],
      [
        "rows as of a commit, from rows and changes",
        (round) => query.query(ALL, { asOf: { seq: LAST - 1 - round } }),
      ],
      [
        "rows as of a time",
        (round) =>
          query.query(ALL, { asOf: new Date(Date.UTC(2026, 0, 1) + (LAST - round) * 1_000 + 1) }),
      ],
      [
        "one row as of a commit",
        (round) =>
          query.query(`SELECT * FROM notes WHERE id = '${rows[round]?.id}'`, {
            asOf: { seq: LAST - 1 - round },
          }),
      ],
      ["history of a row", (round) => query.history("notes", rows[round * 7919]?.id ?? "")],
    ];
    for (const [name, ask] of asked) {
      const times = spread(await timed(ask));
      const ratio = times.median / spread(floor).median;
      console.log(
        `  ${name}: ${show(times)} ms, ${ratio.toFixed(1)} floors, ${
          verdict(times.median, AIM_MS, "less")
        }`,
      );
    }
    await query.close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) await benchLakeQuery();
