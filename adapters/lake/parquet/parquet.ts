/**
 * The port to what writes and reads Parquet files.
 *
 * @module
 */

import type { Column } from "../columns/column.ts";
import type { LakeField } from "../iceberg/schema.ts";

/** Rows as columns. */
export interface ColumnBatch {
  /** The columns' names, types and ids. */
  readonly fields: readonly LakeField[];
  /** How many rows. */
  readonly length: number;
  /** The values, in the order of the fields. */
  readonly columns: readonly Column[];
}

/** What is known of a column of a file, for those that look for files to skip. */
export interface ColumnMetrics {
  /** The column. */
  readonly fieldId: number;
  /** How many values, nulls included. */
  readonly values: number;
  /** How many nulls. */
  readonly nulls: number;
  /**
   * No value is below it, in the form of Iceberg's single-value serialization; undefined when there
   * is no value or no bound. Texts and bytes are cut to 16 characters or bytes.
   */
  readonly lower: Uint8Array | undefined;
  /** No value is above it; else as `lower`. */
  readonly upper: Uint8Array | undefined;
}

/** A file that was written. */
export interface ParquetFile {
  /** The whole file. */
  readonly bytes: Uint8Array;
  /** How many rows. */
  readonly rows: number;
  /** Of each column. */
  readonly metrics: readonly ColumnMetrics[];
}

/** How a file is written. */
export interface ParquetOptions {
  /** Rows of a row group at most, 122,880 unless given. */
  readonly rowGroupRows?: number;
  /** Key-values of the footer; `iceberg.schema` is among them. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** Writes Parquet files, compressed with zstd. */
export interface ParquetWriter {
  /**
   * Writes a file. The buffers of the batch may be taken away (transferred), so it is not to be
   * used afterwards.
   */
  write(batch: ColumnBatch, options: ParquetOptions): Promise<ParquetFile>;
  /** Gives back threads and memory. */
  close(): Promise<void>;
}

/** Reads Parquet files that a {@linkcode ParquetWriter} has written. */
export interface ParquetReader {
  /**
   * Reads columns of a file.
   *
   * @param bytes the whole file
   * @param fields the columns that are wanted, found by their ids; one the file does not have is all
   * null, one of a narrower type is widened (int to long, decimal to more digits)
   */
  read(bytes: Uint8Array, fields: readonly LakeField[]): Promise<ColumnBatch>;
  /** Gives back threads and memory. */
  close(): Promise<void>;
}

/** Where files are written and read. */
export interface ParquetThreading {
  /** Whether in a thread of its own, where there are threads; it is unless this is false. */
  readonly thread?: boolean;
  /** How many bytes the thread may hold on to after a file, about; 256 MiB unless given. */
  readonly maxHeldBytes?: number;
}
