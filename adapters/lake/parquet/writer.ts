/**
 * The writer of Parquet files.
 *
 * @module
 */

import { encodeFile } from "./codec.ts";
import type { ParquetWriter } from "./parquet.ts";
import { loadLibrary } from "./wasm.ts";

/** Where files are written. */
export interface ParquetThreading {
  /** Whether in a thread of its own, where there are threads; it is unless this is false. */
  readonly thread?: boolean;
}

/**
 * Opens a writer.
 *
 * @param _threading where files are written
 */
export function openParquetWriter(_threading: ParquetThreading = {}): ParquetWriter {
  return {
    write: async (batch, options) => encodeFile(await loadLibrary(), batch, options),
    close: () => Promise.resolve(),
  };
}
