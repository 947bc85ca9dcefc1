/**
 * The writer of Parquet files.
 *
 * @module
 */

import type { ParquetThreading, ParquetWriter } from "./parquet.ts";
import { ParquetThread } from "./thread.ts";

/**
 * Opens a writer, whose errors are `ADAPTER_ERROR`; after one, others can be written.
 *
 * @param threading where files are written
 */
export function openParquetWriter(threading: ParquetThreading = {}): ParquetWriter {
  const thread = new ParquetThread(threading);
  return {
    async write(batch, options) {
      const { file } = await thread.ask({ kind: "write", batch, options });
      if (file === undefined) throw new TypeError("A file was not written");
      return file;
    },
    close: () => thread.close(),
  };
}
