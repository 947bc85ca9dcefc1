/**
 * Parquet files alone: rows per second of the writer for a table of changes, in a thread and in line,
 * beside the time in which the columns are built, and beside another writer behind the same port.
 * Rounds alternate, so that all see the same machine.
 *
 * @module
 */

import { constants, zstdCompressSync } from "node:zlib";
import type { Change } from "@lakesync/adapters";
import type { ColumnType, Value } from "@lakesync/core";
import { type ColumnSource, parquetWriteBuffer } from "hyparquet-writer";
import { columnBuilder, valueAt } from "../adapters/lake/columns/mod.ts";
import type { LakeField, LakeType } from "../adapters/lake/iceberg/schema.ts";
import {
  type ColumnBatch,
  openParquetReader,
  openParquetWriter,
  type ParquetOptions,
} from "../adapters/lake/parquet/mod.ts";
import { makeChanges } from "./flush.ts";
import { StallWatch } from "./stalls.ts";
import { show, spread } from "./support.ts";

const ROUNDS = 5;
/** Rows of a file. */
const SIZES = [20_000, 200_000];
const MEMORY_FILES = 200;
const CHANGED = JSON.stringify(["title", "body", "n", "x", "done"]);
const OPTIONS: ParquetOptions = { metadata: new Map([["iceberg.schema", "{}"]]) };

/** A column of the table of changes, and where its values come from. */
type Source = readonly [string, LakeType, (change: Change) => Value, ColumnType?];

const SOURCES: readonly Source[] = [
  ["_op", "string", ({ op }) => op],
  ["_row", "string", ({ rowId }) => rowId],
  ["_client_id", "string", ({ clientId }) => clientId],
  ["_hlc", "long", ({ hlc }) => hlc],
  ["_seq", "long", ({ seq }) => seq],
  ["_slice", "int", ({ slice }) => slice],
  ["_mutation_id", "long", ({ mutationId }) => mutationId],
  ["_delta_id", "string", ({ deltaId }) => deltaId],
  ["_committed_at", "timestamptz", ({ committedMs }) => new Date(committedMs).toISOString()],
  ["_schema_version", "int", ({ schemaVersion }) => schemaVersion],
  ["_changed", "string", () => CHANGED],
  ["_raw", "string", () => null],
  ["_effect", "string", () => null],
  ["id", "string", ({ rowId }) => rowId],
  ["title", "string", ({ columns }) => columns.title ?? null],
  ["body", "string", ({ columns }) => columns.body ?? null],
  ["n", "long", ({ columns }) => columns.n ?? null],
  ["x", "double", ({ columns }) => columns.x ?? null],
  ["done", "boolean", ({ columns }) => columns.done ?? null],
];

const FIELDS: readonly LakeField[] = SOURCES.map(([name, type], i) => ({
  id: i + 1,
  name,
  type,
  required: false,
}));

function build(changes: readonly Change[]): ColumnBatch {
  const columns = SOURCES.map(([name, type, valueOf, from]) => {
    const builder = columnBuilder(type, from);
    for (const change of changes) {
      const misfit = builder.append(valueOf(change));
      if (misfit !== undefined) throw new Error(`${name} ${misfit}`);
    }
    return builder.finish();
  });
  return { fields: FIELDS, length: changes.length, columns };
}

/** The other writer takes values instead of buffers; they are made before it is timed. */
function columnDataOf({ fields, columns }: ColumnBatch): ColumnSource[] {
  const types: Readonly<Record<string, ColumnSource["type"]>> = {
    string: "STRING",
    long: "INT64",
    timestamptz: "INT64",
    int: "INT32",
    double: "DOUBLE",
    boolean: "BOOLEAN",
  };
  return columns.map((column, i) => {
    const { name = "", type = "string" } = fields[i] ?? {};
    const { data } = column;
    const values = data.kind === "int64"
      ? Array.from(data.values)
      : Array.from({ length: column.length }, (_, row) => valueAt(column, row));
    return { name, data: values, type: types[type] ?? "STRING" };
  });
}

function writeOther(columnData: ColumnSource[], rows: number): number {
  const params = { [constants.ZSTD_c_compressionLevel]: 1 };
  return parquetWriteBuffer({
    columnData,
    codec: "ZSTD",
    compressors: { ZSTD: (input) => zstdCompressSync(input, { params }) },
    rowGroupSize: rows,
    kvMetadata: [...OPTIONS.metadata].map(([key, value]) => ({ key, value })),
  }).byteLength;
}

/** What each round measured, by what was measured. */
type Figures = Map<string, number[]>;

async function measure<Result>(
  figures: Figures,
  name: string,
  work: () => Result | Promise<Result>,
): Promise<Result> {
  const watch = new StallWatch();
  // The watch ticks before the work begins, so that a stall from its first moment on is seen.
  await new Promise((resolve) => setTimeout(resolve, 2));
  const started = performance.now();
  const result = await work();
  note(figures, `${name} ms`, performance.now() - started);
  await new Promise((resolve) => setTimeout(resolve, 2));
  note(figures, `${name} stall`, watch.end());
  return result;
}

function note(figures: Figures, name: string, figure: number): void {
  figures.set(name, [...figures.get(name) ?? [], figure]);
}

async function benchSize(changes: readonly Change[]): Promise<void> {
  const figures: Figures = new Map();
  const inLine = openParquetWriter({ thread: false });
  const threaded = openParquetWriter();
  const reader = openParquetReader();
  let size = 0;
  let otherSize = 0;
  for (let round = 0; round <= ROUNDS; round++) {
    // The first round warms up.
    if (round === 1) figures.clear();
    const batch = await measure(figures, "columns", () => build(changes));
    const columnData = columnDataOf(batch);
    await measure(figures, "in line", () => inLine.write(batch, OPTIONS));
    const { bytes } = await measure(figures, "in a thread", () => threaded.write(batch, OPTIONS));
    await measure(figures, "read", () => reader.read(bytes, FIELDS));
    otherSize = await measure(figures, "other", () => writeOther(columnData, changes.length));
    size = bytes.length;
  }
  await Promise.all([inLine, threaded, reader].map((one) => one.close()));
  const of = (name: string) => spread(figures.get(name) ?? []);
  const rates = (name: string) =>
    spread((figures.get(`${name} ms`) ?? []).map((ms) => changes.length / (ms / 1_000)));
  const count = changes.length.toLocaleString("en-US");
  console.log(
    `  Files of ${count} changes, ${FIELDS.length} columns, ` +
      `${(size / changes.length).toFixed(0)} bytes a row`,
  );
  for (
    const [name, what] of [
      ["columns", "columns built from values"],
      ["in line", "written in line"],
      ["in a thread", "written in a thread"],
      ["read", "read in a thread"],
      [
        "other",
        `written by hyparquet-writer, ${(otherSize / changes.length).toFixed(0)} bytes a row`,
      ],
    ] as const
  ) {
    console.log(
      `    ${what}: ${show(rates(name))} rows/s, ${show(of(`${name} ms`), 1)} ms; ` +
        `the caller's thread was held for ${show(of(`${name} stall`), 1)} ms`,
    );
  }
}

/** How much memory the process has, in MB. */
function residentMb(): number {
  return Deno.memoryUsage().rss / 2 ** 20;
}

async function benchMemory(changes: readonly Change[]): Promise<void> {
  const before = residentMb();
  let peak = before;
  let bytes = 0;
  const writer = openParquetWriter();
  const reader = openParquetReader();
  for (let i = 0; i < MEMORY_FILES; i++) {
    const file = await writer.write(build(changes), OPTIONS);
    await reader.read(file.bytes, FIELDS);
    bytes += file.bytes.length;
    peak = Math.max(peak, residentMb());
  }
  await Promise.all([writer.close(), reader.close()]);
  console.log(
    `  ${MEMORY_FILES} files of ${(bytes / MEMORY_FILES / 1e6).toFixed(1)} MB written and read: ` +
      `${(peak - before).toFixed(0)} MB resident above ${before.toFixed(0)} MB at most`,
  );
}

/** Measures the writer and the reader alone. */
export async function benchLakeParquet(): Promise<void> {
  console.log("\nParquet files of a table of changes");
  await benchMemory(makeChanges(SIZES[0] ?? 0));
  for (const size of SIZES) await benchSize(makeChanges(size));
}
