/**
 * The reader of Parquet files.
 *
 * @module
 */

import type { ParquetReader, ParquetThreading } from "./parquet.ts";
import { ParquetThread } from "./thread.ts";

/**
 * Opens a reader, whose errors are `ADAPTER_ERROR`; after one, others can be read.
 *
 * @param threading where files are read
 */
export function openParquetReader(threading: ParquetThreading = {}): ParquetReader {
  const thread = new ParquetThread(threading);
  return {
    async read(bytes, fields) {
      const { batch } = await thread.ask({ kind: "read", bytes, fields });
      if (batch === undefined) throw new TypeError("A file was not read");
      return batch;
    },
    close: () => thread.close(),
  };
}
