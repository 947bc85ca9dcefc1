import assert from "node:assert/strict";
import { Worker } from "node:worker_threads";
import { LakeSyncError, type Value } from "@lakesync/core";
import { columnOf, valuesOf } from "../columns/testing_columns.ts";
import type { LakeField, LakeType } from "../iceberg/schema.ts";
import { loadLibrary } from "./wasm.ts";
import {
  type ColumnBatch,
  openParquetReader,
  openParquetWriter,
  type ParquetOptions,
} from "./mod.ts";
import { edgeBatch, FIELDS, valuesOfBatch } from "./testing_batches.ts";

const OPTIONS: ParquetOptions = { metadata: new Map([["iceberg.schema", "{}"]]) };

function field(id: number, type: LakeType, required = false): LakeField {
  return { id, name: `f${id}`, type, required };
}

function batchOf(
  ...columns: readonly (readonly [number, LakeType, readonly Value[]])[]
): ColumnBatch {
  return {
    fields: columns.map(([id, type]) => field(id, type)),
    length: columns[0]?.[2].length ?? 0,
    columns: columns.map(([, type, values]) => columnOf({ type }, values)),
  };
}

async function write(batch: ColumnBatch, options: ParquetOptions = OPTIONS): Promise<Uint8Array> {
  const writer = openParquetWriter({ thread: false });
  const { bytes } = await writer.write(batch, options);
  await writer.close();
  return bytes;
}

async function read(bytes: Uint8Array, fields: readonly LakeField[]): Promise<ColumnBatch> {
  const reader = openParquetReader({ thread: false });
  const batch = await reader.read(bytes, fields);
  await reader.close();
  return batch;
}

for (const thread of [false, true]) {
  const where = thread ? "in a thread" : "in line";

  Deno.test(`a Parquet file written ${where} gives back every value of every type`, async () => {
    const writer = openParquetWriter({ thread });
    const reader = openParquetReader({ thread });
    for (const length of [0, 1, 100]) {
      const batch = edgeBatch(length);
      const values = valuesOfBatch(batch);
      const file = await writer.write(batch, { ...OPTIONS, rowGroupRows: 30 });
      assert.equal(file.rows, length);
      assert.deepStrictEqual(
        file.metrics.map(({ fieldId, values, nulls }) => [fieldId, values, nulls]),
        values.map((column, i) => [
          FIELDS[i]?.id,
          length,
          column.filter((value) => value === null).length,
        ]),
      );
      const back = await reader.read(file.bytes, FIELDS);
      assert.equal(back.length, length);
      assert.deepStrictEqual(valuesOfBatch(back), values);
    }
    await reader.close();
    await writer.close();
  });

  Deno.test(`a Parquet writer ${where} tells of an error and writes the next file`, async () => {
    const writer = openParquetWriter({ thread });
    const reader = openParquetReader({ thread });
    const broken = { ...batchOf([1, "int", [1, 2, 3]]), length: 2 ** 20 };
    await assert.rejects(writer.write(broken, OPTIONS), isAdapterError);
    const long = batchOf([1, "string", Array(40).fill("x".repeat(500_000))]);
    await assert.rejects(writer.write({ ...long, length: 45 }, OPTIONS), isAdapterError);
    const { bytes } = await writer.write(batchOf([1, "int", [1, 2, 3]]), OPTIONS);
    await assert.rejects(reader.read(bytes.subarray(0, 20), [field(1, "int")]), isAdapterError);
    await assert.rejects(reader.read(new Uint8Array(), [field(1, "int")]), isAdapterError);
    await assert.rejects(reader.read(bytes, [field(1, "date")]), isAdapterError);
    const many = await writer.write(
      batchOf([1, "long", Array.from({ length: 100_000 }, (_, i) => i * i)]),
      OPTIONS,
    );
    const damaged = many.bytes.slice();
    damaged.fill(1, damaged.length / 2, damaged.length / 2 + 1_000);
    await assert.rejects(reader.read(damaged, [field(1, "long")]), isAdapterError);
    const { columns: [column] } = await reader.read(bytes, [field(1, "int")]);
    assert.deepStrictEqual(column && valuesOf(column), [1, 2, 3]);
    await reader.close();
    await writer.close();
  });
}

function isAdapterError(error: unknown): boolean {
  return error instanceof LakeSyncError && error.code === "ADAPTER_ERROR";
}

Deno.test("a Parquet thread does what was asked at once in order, then closes", async () => {
  const writer = openParquetWriter();
  const files = [3, 1, 2].map((n) => writer.write(batchOf([1, "int", Array(n).fill(n)]), OPTIONS));
  const closed = writer.close();
  await assert.rejects(writer.write(batchOf([1, "int", [1]]), OPTIONS), isAdapterError);
  await closed;
  assert.deepStrictEqual((await Promise.all(files)).map(({ rows }) => rows), [3, 1, 2]);
});

/** Runs work and gives how many threads it ended. */
async function endedThreads(work: () => Promise<void>): Promise<number> {
  const { terminate } = Worker.prototype;
  let ended = 0;
  Worker.prototype.terminate = function () {
    ended++;
    return terminate.call(this);
  };
  try {
    await work();
  } finally {
    Worker.prototype.terminate = terminate;
  }
  return ended;
}

for (const [maxHeldBytes, expected] of [[1, 3], [2 ** 30, 1]] as const) {
  Deno.test(`a Parquet writer that may hold ${maxHeldBytes} bytes ends ${expected} threads`, async () => {
    const ended = await endedThreads(async () => {
      const writer = openParquetWriter({ maxHeldBytes });
      for (let i = 0; i < 3; i++) await writer.write(batchOf([1, "int", [i]]), OPTIONS);
      await writer.close();
    });
    assert.equal(ended, expected);
  });
}

Deno.test("a Parquet writer takes the buffers of a batch and a reader leaves the file", async () => {
  const writer = openParquetWriter();
  const batch = batchOf([1, "long", [1, 2]]);
  const { bytes } = await writer.write(batch, OPTIONS);
  const [column] = batch.columns;
  assert.equal(column?.data.kind === "int64" && column.data.values.length, 0);
  const reader = openParquetReader();
  await reader.read(bytes, [field(1, "long")]);
  assert.ok(bytes.length > 0);
  await reader.close();
  await writer.close();
});

Deno.test("a Parquet reader finds columns by id, in the order they are asked for", async () => {
  const bytes = await write(batchOf([7, "int", [1, 2]], [5, "string", ["a", null]]));
  const renamed = { ...field(7, "int"), name: "another" };
  const batch = await read(bytes, [field(5, "string"), field(9, "date"), renamed]);
  assert.deepStrictEqual(batch.columns.map((column) => valuesOf(column)), [
    ["a", null],
    [null, null],
    [1, 2],
  ]);
  const none = await read(bytes, [field(9, "date")]);
  assert.equal(none.length, 2);
  assert.equal((await read(bytes, [])).length, 2);
});

Deno.test("a Parquet reader widens ints and decimals", async () => {
  const bytes = await write(batchOf(
    [1, "int", [-1, null, 2 ** 31 - 1]],
    [2, "decimal(9, 2)", ["-1.25", null, "9999999.99"]],
    [3, "decimal(18, 2)", ["-1.25", null, "0.01"]],
  ));
  const { columns } = await read(bytes, [
    field(1, "long"),
    field(2, "decimal(38, 2)"),
    field(3, "decimal(20, 2)"),
  ]);
  assert.deepStrictEqual(columns.map((column) => [column.type, ...valuesOf(column)]), [
    ["long", -1, null, 2 ** 31 - 1],
    ["decimal(38, 2)", "-1.25", null, "9999999.99"],
    ["decimal(20, 2)", "-1.25", null, "0.01"],
  ]);
  await assert.rejects(read(bytes, [field(2, "decimal(8, 2)")]), isAdapterError);
  await assert.rejects(read(bytes, [field(2, "decimal(12, 3)")]), isAdapterError);
});

Deno.test("a Parquet file has its metadata, ids and required columns", async () => {
  const batch = batchOf([7, "timestamptz", ["2026-01-31T09:30:00Z"]]);
  const fields = [field(7, "timestamptz", true)];
  const bytes = await write({ ...batch, fields }, {
    metadata: new Map([["iceberg.schema", '{"type":"struct"}'], ["é", "ü"]]),
  });
  const library = await loadLibrary();
  const arrow = await import("apache-arrow");
  const { schema } = arrow.tableFromIPC(library.readSchema(bytes).intoIPCStream());
  const [only] = schema.fields;
  assert.equal(schema.metadata.get("iceberg.schema"), '{"type":"struct"}');
  assert.equal(schema.metadata.get("é"), "ü");
  assert.equal(only?.nullable, false);
  assert.equal(only?.metadata.get("PARQUET:field_id"), "7");
  assert.equal(String(only?.type), "Timestamp<MICROSECOND, UTC>");
});

Deno.test("a Parquet writer writes more than the library takes at once", async () => {
  const texts = Array.from(
    { length: 40 },
    (_, i) => i % 7 === 0 ? null : String(i).repeat(500_000),
  );
  const bytes = await write(batchOf([1, "string", texts], [2, "int", texts.map((_, i) => i)]));
  const { columns: [strings, ints] } = await read(bytes, [field(1, "string"), field(2, "int")]);
  assert.deepStrictEqual(strings && valuesOf(strings), texts);
  assert.deepStrictEqual(ints && valuesOf(ints), texts.map((_, i) => i));
});

for (const length of [65_536, 131_072, 300_000]) {
  Deno.test(`a Parquet reader reads ${length} rows of several row groups`, async () => {
    const values = Array.from({ length }, (_, i) => i % 11 === 0 ? null : i);
    const texts = values.map((i) => i === null ? i : `v${i}`);
    const bytes = await write(
      batchOf([1, "long", values], [2, "string", texts]),
      { ...OPTIONS, rowGroupRows: 100_000 },
    );
    const batch = await read(bytes, [field(1, "long"), field(2, "string")]);
    assert.equal(batch.length, length);
    const [longs, strings] = batch.columns;
    assert.equal(longs?.nulls, values.filter((value) => value === null).length);
    assert.deepStrictEqual(longs && valuesOf(longs), values);
    assert.deepStrictEqual(strings && valuesOf(strings), texts);
    assert.equal((await read(bytes, [])).length, length);
  });
}
