/**
 * A day of small flushes with merges and maintenance on, by a simulated clock, and what the tables
 * are like at its end beside the same ones freshly put together.
 *
 * @module
 */

import { type Hlc, makeHlc, parseSchema, type Value } from "@lakesync/core";
import type { Cell, Change, DestinationSchema, FlushPosition } from "../../adapter.ts";
import type { ObjectStore } from "../../object-store/object_store.ts";
import { memoryObjects } from "../../object-store/memory.ts";
import { lakeAdapter } from "../adapter.ts";
import type { LoadedTable } from "../catalog/catalog.ts";
import type { Lake } from "../flush/lake.ts";
import { loadTables } from "../flush/tables.ts";
import { manifestsOf, readAt } from "../iceberg/lake_files.ts";
import { currentSchema } from "../iceberg/metadata.ts";
import { fromTableSchema } from "../iceberg/schema_json.ts";
import { lakeLocation } from "../location.ts";
import { openLake } from "../open.ts";
import { liveFiles, readFields, readGone } from "../table/live_files.ts";
import { maintain } from "./maintain.ts";
import { LakeKeeper } from "./scheduler.ts";

/** What a day is like. */
export interface LakeDay {
  /** For how long, in hours. */
  readonly hours: number;
  /** How often is flushed, in milliseconds. */
  readonly everyMs: number;
  /** So many changes a flush has. */
  readonly changes: number;
  /** Told after each hour. */
  readonly onHour?: (hour: number) => void;
}

/** What a table is like. */
export interface TableShape {
  /** Its name. */
  readonly table: string;
  /** Files of data and of deletes. */
  readonly files: number;
  /** Rows that are read. */
  readonly rows: number;
  /** Bytes of the newest metadata object, the list of manifests and the manifests. */
  readonly metadataBytes: number;
  /** Of these the list of manifests and the manifests: what a scan reads. */
  readonly manifestBytes: number;
  /** Snapshots that are kept. */
  readonly snapshots: number;
  /** Bytes of the newest metadata object were none of them kept but the newest. */
  readonly bareBytes: number;
  /** Objects under its folder. */
  readonly objects: number;
  /** The fastest of some full scans by this process, in milliseconds. */
  readonly scanMs: number;
}

/** What came of a day. */
export interface LakeDayResult {
  /** How many flushes there were. */
  readonly flushes: number;
  /** How long they took together, in milliseconds of the real clock. */
  readonly flushMs: number;
  /** How long merges and maintenance took together, in milliseconds of the real clock. */
  readonly keepMs: number;
  /** How many bytes of files maintenance read to write them anew. */
  readonly compactedBytes: number;
  /** The tables at the end. */
  readonly end: readonly TableShape[];
  /** The same tables, freshly put together. */
  readonly fresh: readonly TableShape[];
}

const SCHEMA = parseSchema({
  version: 1,
  tables: {
    notes: {
      primaryKey: ["id"],
      columns: { id: "string", title: "string", body: "string", n: "integer", done: "boolean" },
    },
  },
});
const NAMES = ["title", "body", "n", "done"] as const;
const START_MS = Date.UTC(2026, 0, 1);

function destinationSchema(): DestinationSchema {
  const tables = [...SCHEMA.tables.values()].map((table, i) => ({
    id: i + 1,
    table,
    columnIds: table.columns.map((_, column) => column + 1),
  }));
  return { version: SCHEMA.version, tables };
}

/** Half of the changes bring a row, others change one, some take one away. */
function changeOf(i: number, seq: number, committedMs: number): Change {
  const op = i % 2 === 0
    ? "INSERT" as const
    : i % 20 === 19
    ? "DELETE" as const
    : "UPDATE" as const;
  const row = op === "INSERT" ? i : (i * 7_919) % (i + 1) & ~1;
  const rowId = `${((row * 2_654_435_761) % 4_294_967_296).toString(16).padStart(8, "0")}-${row}`;
  const hlc: Hlc = makeHlc(committedMs, i % 1_000);
  const all: readonly Value[] = [`title ${i}`, `body of ${row}, written at ${i}`, i, i % 3 === 0];
  const places = op === "INSERT" ? [0, 1, 2, 3] : op === "DELETE" ? [] : [i % 4];
  const cells = places.map((at): Cell => [at + 2, all[at] ?? null, { hlc, clientId: "c" }]);
  return {
    deltaId: `${i}`.padStart(64, "0"),
    op,
    table: "notes",
    rowId,
    columns: Object.fromEntries(places.map((at) => [NAMES[at], all[at] ?? null])),
    columnIds: places.map((at) => at + 2),
    hlc,
    clientId: "c",
    mutationId: seq,
    seq,
    slice: 0,
    committedMs,
    schemaVersion: 1,
    effect: {
      key: { table: 1, rowId },
      isVisible: op !== "DELETE",
      replaces: op !== "UPDATE",
      cells,
    },
  };
}

/**
 * Plays a day.
 *
 * @param day what it is like
 */
export async function lakeDay(day: LakeDay): Promise<LakeDayResult> {
  let nowMs = START_MS;
  const now = () => nowMs;
  const store = memoryObjects(now);
  const nextTurn = () => Promise.resolve();
  const options = {
    ...{ store, location: lakeLocation("memory://lake"), namespace: "main" },
    ...{ thread: false, now, nextTurn },
  };
  const adapter = lakeAdapter(options);
  const { lake, close } = await openLake(options);
  const keeper = new LakeKeeper(lake, { now, setTimer: () => () => {}, random: () => 0 });
  await adapter.ensureSchema(destinationSchema());
  const lives = [{ id: "day", fromSeq: 0 }];
  let from: FlushPosition | undefined;
  const flushes = Math.round(day.hours * 3_600_000 / day.everyMs);
  let [flushMs, keepMs] = [0, 0];
  for (let seq = 1; seq <= flushes; seq++) {
    nowMs = START_MS + seq * day.everyMs;
    const first = (seq - 1) * day.changes;
    const changes = Array.from({ length: day.changes }, (_, i) => changeOf(first + i, seq, nowMs));
    const to = { seq, lives, writer: "day" };
    const started = performance.now();
    await adapter.insertDeltas({ from, to, rows: [], changes, isWhole: true });
    flushMs += performance.now() - started;
    from = to;
    if (nowMs % 60_000 === 0) {
      const started = performance.now();
      await keeper.pass();
      keepMs += performance.now() - started;
    }
    if (nowMs % 3_600_000 === 0) day.onHour?.((nowMs - START_MS) / 3_600_000);
  }
  const { compactedBytes } = keeper.status;
  const end = await shapesOf(lake);
  await putTogether(lake);
  const fresh = await shapesOf(lake);
  await adapter.close();
  await close();
  return { flushes, flushMs, keepMs, compactedBytes, end, fresh };
}

/** Puts all together that can be; of snapshots those are kept that are kept anyway. */
async function putTogether(lake: Lake): Promise<void> {
  const target = 64 * 1024 * 1024;
  for (let passes = 0; passes < 3; passes++) {
    const { failure } = await maintain(lake, {
      changes: { targetBytes: target, smallBytes: target, minSmall: 2, fanIn: 2 },
      rows: { targetBytes: target, smallBytes: target, fanIn: 2, maxGone: 0 },
      maxManifests: 1,
      maxSteps: 100,
    });
    if (failure !== undefined) throw failure;
  }
}

async function shapesOf(lake: Lake): Promise<readonly TableShape[]> {
  const { changes, rows } = await loadTables(lake);
  const tables = [changes.get(1)?.loaded, rows.get(1)];
  const shapes: TableShape[] = [];
  for (const table of tables) if (table !== undefined) shapes.push(await shapeOf(lake, table));
  return shapes;
}

async function shapeOf(lake: Lake, table: LoadedTable): Promise<TableShape> {
  const { metadata, metadataLocation, snapshot } = table;
  const files = await liveFiles(lake, metadata, snapshot);
  const manifests = await manifestsOf(lake, snapshot);
  const list = snapshot === undefined ? 0 : (await readAt(lake, snapshot["manifest-list"])).length;
  const manifestBytes = manifests.reduce((sum, { manifestLength }) => sum + manifestLength, list);
  const scans: { readonly rows: number; readonly ms: number }[] = [];
  for (let i = 0; i < 5; i++) {
    const started = performance.now();
    const rows = await scan(lake, table);
    scans.push({ rows, ms: performance.now() - started });
  }
  const folder = lake.location.keyOf(metadata.location) ?? "";
  return {
    table: table.table.name,
    files: files.reduce((sum, { deletes }) => sum + 1 + deletes.length, 0),
    rows: scans[0]?.rows ?? 0,
    metadataBytes: manifestBytes + (await readAt(lake, metadataLocation)).length,
    manifestBytes,
    snapshots: metadata.snapshots?.length ?? 0,
    bareBytes: JSON.stringify({ ...metadata, snapshots: [snapshot], "snapshot-log": [] }).length,
    objects: await count(lake.store, folder),
    scanMs: Math.min(...scans.map(({ ms }) => ms)),
  };
}

/** Reads all columns of all rows, from the catalog on. */
async function scan(lake: Lake, { table }: LoadedTable): Promise<number> {
  const loaded = await lake.catalog.load(table);
  if (loaded === undefined) return 0;
  const { fields } = fromTableSchema(currentSchema(loaded.metadata));
  let rows = 0;
  for (const file of await liveFiles(lake, loaded.metadata, loaded.snapshot)) {
    const batch = await readFields(lake, file.entry.dataFile, fields);
    rows += batch.length - (await readGone(lake, file)).size;
  }
  return rows;
}

async function count(store: ObjectStore, folder: string): Promise<number> {
  let objects = 0;
  for await (const _ of store.listObjects(folder)) objects++;
  return objects;
}
