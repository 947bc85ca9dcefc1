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
import type { ParquetLibrary, WriterProperties } from "./wasm.ts";

/** What goes into the library at once. */
const SLICE_BYTES = 16 * 2 ** 20;
/** Rows that come out of the library at once. */
const BATCH_ROWS = 65_536;
/** What engines that read with many threads like about. */
const ROW_GROUP_ROWS = 122_880;
const ROW_GROUP_BYTES = 32 * 2 ** 20;
/** The length of the metadata, and the magic number. */
const TAIL_BYTES = 8;

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
): WriterProperties {
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
  properties: WriterProperties,
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
 * Reads columns of a file. Only what the library does at once is used: its asynchronous calls end the
 * process where a page is damaged.
 *
 * @param library the Parquet library
 * @param bytes the whole file
 * @param fields which columns, by their ids
 */
export function decodeFile(
  library: ParquetLibrary,
  bytes: Uint8Array,
  fields: readonly LakeField[],
): ColumnBatch {
  const there = columnsOfStream(library.readSchema(footerOf(bytes)).intoIPCStream());
  const wanted = new Set(fields.map(({ id }) => id));
  const found = there.filter(({ id }) => id !== undefined && wanted.has(id));
  // One column tells how many rows there are, where none is wanted.
  const columns = (found.length > 0 ? found : there.slice(0, 1)).map(({ name }) => name);
  const parts: Column[][] = fields.map(() => []);
  let length = 0;
  for (let read = BATCH_ROWS; read === BATCH_ROWS && columns.length > 0; length += read) {
    const options = { columns, offset: length, limit: BATCH_ROWS, batchSize: BATCH_ROWS };
    const stream = library.readParquet(bytes, options).intoIPCStream();
    const rows = fromArrowStream(stream, fields);
    rows.columns.forEach((found, i) => parts[i]?.push(...found));
    read = rows.length;
  }
  return { fields, length, columns: fields.map((field, i) => joined(field, parts[i], length)) };
}

/** The metadata of a file, its length and the magic number. */
function footerOf(bytes: Uint8Array): Uint8Array {
  if (bytes.length < TAIL_BYTES) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(bytes.length - TAIL_BYTES, true);
  return bytes.subarray(Math.max(0, bytes.length - TAIL_BYTES - length));
}

function joined({ type }: LakeField, parts: readonly Column[] = [], length: number): Column {
  return parts.length === 0 ? nullColumn(type, length) : concat(parts);
}
