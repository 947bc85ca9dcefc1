/**
 * The reader of Parquet files.
 *
 * @module
 */

import { decodeFile } from "./codec.ts";
import type { ParquetReader } from "./parquet.ts";
import { loadLibrary } from "./wasm.ts";
import type { ParquetThreading } from "./writer.ts";

/**
 * Opens a reader.
 *
 * @param _threading where files are read
 */
export function openParquetReader(_threading: ParquetThreading = {}): ParquetReader {
  return {
    read: async (bytes, fields) => decodeFile(await loadLibrary(), bytes, fields),
    close: () => Promise.resolve(),
  };
}
