/**
 * Writes and reads Parquet files.
 *
 * @module
 */

export type { Column, ColumnData } from "../columns/column.ts";
export * from "./parquet.ts";
export { openParquetReader } from "./reader.ts";
export { openParquetWriter } from "./writer.ts";
