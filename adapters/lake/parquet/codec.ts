/**
 * Writes and reads Parquet files in the thread it is called in.
 *
 * @module
 */

import type { LakeField } from "../iceberg/schema.ts";
import { columnsOfStream, fromArrowStream, toArrowStream } from "./arrow.ts";
import { repeats } from "./encodings.ts";
import { metricsOf } from "./metrics.ts";
import type { ColumnBatch, ParquetFile, ParquetOptions } from "./parquet.ts";
import type { ParquetLibrary } from "./wasm.ts";

/** Rows that are taken out of the library at once. */
const BATCH_ROWS = 131_072;
const DEFAULT_ROW_GROUP_ROWS = 1_000_000;
/** The footer's length and the magic number. */
const TAIL_BYTES = 8;

/**
 * Writes a file.
 *
 * @param library the Parquet library
 * @param batch the rows
 * @param options how
 */
export function encodeFile(
  library: ParquetLibrary,
  batch: ColumnBatch,
  options: ParquetOptions,
): ParquetFile {
  const { Compression, WriterPropertiesBuilder, WriterVersion } = library;
  let properties = new WriterPropertiesBuilder()
    .setCompression(Compression.ZSTD)
    .setWriterVersion(WriterVersion.V1)
    .setMaxRowGroupSize(options.rowGroupRows ?? DEFAULT_ROW_GROUP_ROWS)
    .setKeyValueMetadata(new Map(options.metadata));
  batch.columns.forEach((column, i) => {
    const name = batch.fields[i]?.name;
    if (name === undefined) throw new TypeError("A batch has more columns than fields");
    properties = properties.setColumnDictionaryEnabled(name, repeats(column));
  });
  const metrics = metricsOf(batch);
  const table = library.Table.fromIPCStream(toArrowStream(batch));
  const bytes = library.writeParquet(table, properties.build());
  return { bytes, rows: batch.length, metrics };
}

/**
 * Reads columns of a file.
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
  // A column is read even where none is wanted, since it tells how many rows there are.
  const columns = (found.length > 0 ? found : there.slice(0, 1)).map(({ name }) => name);
  const table = library.readParquet(bytes, { columns, batchSize: BATCH_ROWS });
  return fromArrowStream(table.intoIPCStream(), fields);
}

/** The end of a file, which tells of its columns. */
function footerOf(bytes: Uint8Array): Uint8Array {
  if (bytes.length < TAIL_BYTES) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(bytes.length - TAIL_BYTES, true);
  return bytes.subarray(Math.max(0, bytes.length - TAIL_BYTES - length));
}
