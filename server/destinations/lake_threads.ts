/**
 * Threads that write and read Parquet files, for all lakes of a server: a server has many gateways,
 * and each thread keeps memory of its own.
 *
 * @module
 */

import {
  openParquetReader,
  openParquetWriter,
  type ParquetReader,
  type ParquetWriter,
} from "@lakesync/adapters/lake/parquet";

/** What writes and reads files, for one lake. Closing gives it back; closing again does nothing. */
export interface LakeTools {
  /** Writes files. */
  readonly writer: ParquetWriter;
  /** Reads them. */
  readonly reader: ParquetReader;
  /** Gives both back. */
  close(): Promise<void>;
}

/** A thread to write and one to read, while some lake needs them. */
export class LakeThreads {
  #open: { readonly writer: ParquetWriter; readonly reader: ParquetReader } | undefined;
  #users = 0;

  /** Lends them; they start with the first file. */
  lend(): LakeTools {
    const { writer, reader } = this.#open ??= {
      writer: openParquetWriter(),
      reader: openParquetReader(),
    };
    this.#users++;
    let isBack = false;
    const close = async () => {
      if (isBack) return;
      isBack = true;
      await this.#giveBack();
    };
    // What is lent is closed by its parts; it is given back as a whole.
    const keep = () => Promise.resolve();
    return {
      writer: { write: (batch, options) => writer.write(batch, options), close: keep },
      reader: { read: (bytes, fields) => reader.read(bytes, fields), close: keep },
      close,
    };
  }

  async #giveBack(): Promise<void> {
    if (--this.#users > 0) return;
    const open = this.#open;
    this.#open = undefined;
    await open?.writer.close();
    await open?.reader.close();
  }
}

/** The threads of a server: maintenance has its own, so that no flush waits for it. */
export interface ServerThreads {
  /** For flushes. */
  readonly flush: LakeThreads;
  /** For maintenance. */
  readonly upkeep: LakeThreads;
}
