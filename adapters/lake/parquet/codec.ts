/**
 * Writes and reads Parquet files in the thread it is called in. Rows go into the library and come out
 * of it in slices, since the library needs several times the memory of what it has at once.
 *
 * @module
 */

import type { Column } from "../columns/column.ts";
import { concat, slice } from "../columns/gather.ts";
import { byteLengthOf, nullColumn } from "../columns/layout.ts";
import type { LakeField } from "../iceberg/schema.ts";
import { columnsOfStream, fromArrowStream, toArrowStream } from "./arrow.ts";
import { repeats } from "./encodings.ts";
import { metricsOf } from "./metrics.ts";
import type { ColumnBatch, ParquetFile, ParquetOptions } from "./parquet.ts";
import type { ParquetLibrary } from "./wasm.ts";

/** What goes into the library at once. */
const SLICE_BYTES = 16 * 2 ** 20;
/** What comes out of the library at once; engines that read many files like groups of about this. */
const ROW_GROUP_ROWS = 122_880;
const ROW_GROUP_BYTES = 32 * 2 ** 20;

type Properties = ReturnType<InstanceType<ParquetLibrary["WriterPropertiesBuilder"]>["build"]>;

/**
 * Writes a file.
 *
 * @param library the Parquet library
 * @param batch the rows
 * @param options how
 */
export async function encodeFile(
  library: ParquetLibrary,
  batch: ColumnBatch,
  options: ParquetOptions,
): Promise<ParquetFile> {
  const properties = propertiesOf(library, batch, options);
  const metrics = metricsOf(batch);
  const bytes = batch.columns.reduce((sum, column) => sum + byteLengthOf(column), 0);
  const rows = Math.ceil(batch.length * SLICE_BYTES / Math.max(bytes, SLICE_BYTES));
  const file = rows >= batch.length
    ? library.writeParquet(library.Table.fromIPCStream(toArrowStream(batch)), properties)
    : await encodeSlices(library, batch, rows, properties);
  return { bytes: file, rows: batch.length, metrics };
}

function propertiesOf(
  { Compression, WriterPropertiesBuilder, WriterVersion }: ParquetLibrary,
  { fields, columns }: ColumnBatch,
  { rowGroupRows = ROW_GROUP_ROWS, metadata }: ParquetOptions,
): Properties {
  let builder = new WriterPropertiesBuilder()
    .setCompression(Compression.ZSTD)
    .setWriterVersion(WriterVersion.V1)
    .setMaxRowGroupSize(rowGroupRows)
    .setMaxRowGroupBytes(ROW_GROUP_BYTES)
    .setKeyValueMetadata(new Map(metadata));
  columns.forEach((column, i) => {
    const name = fields[i]?.name;
    if (name === undefined) throw new TypeError("A batch has more columns than fields");
    builder = builder.setColumnDictionaryEnabled(name, repeats(column));
  });
  return builder.build();
}

async function encodeSlices(
  library: ParquetLibrary,
  { fields, length, columns }: ColumnBatch,
  rows: number,
  properties: Properties,
): Promise<Uint8Array> {
  let at = 0;
  let problem: { readonly cause: unknown } | undefined;
  // The library does not expect a stream to fail, so it ends instead.
  const slices = new ReadableStream({
    pull(controller) {
      if (at >= length || problem !== undefined) return controller.close();
      try {
        const end = Math.min(at + rows, length);
        const parts = columns.map((column) => slice(column, at, end));
        const stream = toArrowStream({ fields, length: end - at, columns: parts });
        const table = library.Table.fromIPCStream(stream);
        controller.enqueue(table.recordBatch(0));
        table.free();
        at = end;
      } catch (cause) {
        problem = { cause };
        controller.close();
      }
    },
  }, { highWaterMark: 0 });
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const reader = (await library.transformParquetStream(slices, properties)).getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    chunks.push(read.value);
  }
  if (problem !== undefined) throw problem.cause;
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/**
 * Reads columns of a file.
 *
 * @param library the Parquet library
 * @param bytes the whole file
 * @param fields which columns, by their ids
 */
export async function decodeFile(
  library: ParquetLibrary,
  bytes: Uint8Array,
  fields: readonly LakeField[],
): Promise<ColumnBatch> {
  const file = await library.ParquetFile.fromFile(new Blob([plain(bytes)]));
  try {
    const metadata = file.metadata();
    const length = metadata.fileMetadata().numRows();
    const wanted = new Set(fields.map(({ id }) => id));
    const names = columnsOfStream(file.schema().intoIPCStream())
      .filter(({ id }) => id !== undefined && wanted.has(id))
      .map(({ name }) => name);
    const parts: Column[][] = fields.map(() => []);
    for (let i = 0; i < metadata.numRowGroups() && names.length > 0; i++) {
      const batchSize = metadata.rowGroup(i).numRows();
      const table = await file.read({ columns: names, rowGroups: [i], batchSize });
      const found = fromArrowStream(table.intoIPCStream(), fields);
      parts.forEach((of, at) => of.push(...found[at] ?? []));
    }
    return { fields, length, columns: fields.map((field, i) => joined(field, parts[i], length)) };
  } finally {
    file.free();
  }
}

function joined({ type }: LakeField, parts: readonly Column[] = [], length: number): Column {
  return parts.length === 0 ? nullColumn(type, length) : concat(parts);
}

function plain(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return isPlain(bytes) ? bytes : new Uint8Array(bytes);
}

function isPlain(bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer;
}
