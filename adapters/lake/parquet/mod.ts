/**
 * Writes and reads Parquet files.
 *
 * @module
 */

export * from "./parquet.ts";
export { openParquetReader } from "./reader.ts";
export { openParquetWriter } from "./writer.ts";
