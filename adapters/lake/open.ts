/**
 * Opens what a lake is made of.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { objectCatalog } from "./catalog/object_catalog.ts";
import type { Lake } from "./flush/lake.ts";
import type { LakeOptions } from "./options.ts";
import { openParquetReader, openParquetWriter } from "./parquet/mod.ts";

/** A lake that is open. */
export interface OpenLake {
  /** The lake. */
  readonly lake: Lake;
  /** Gives back what it holds; the object store stays open. */
  close(): Promise<void>;
}

/** The next turn of the event loop. */
function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/**
 * Opens a lake.
 *
 * @param options what it is made of
 * @returns the lake; who opened it closes it
 */
export async function openLake(options: LakeOptions): Promise<OpenLake> {
  const { store: given, location, namespace, thread = true, now = Date.now } = options;
  const { nextTurn = eventLoopTurn } = options;
  const store = typeof given === "function" ? await given() : given;
  const files = { store, location };
  const catalog = typeof options.catalog === "function"
    ? await options.catalog(files)
    : options.catalog ?? objectCatalog({ ...files, now });
  const writer = options.writer ?? openParquetWriter({ thread });
  const reader = options.reader ?? openParquetReader({ thread });
  return {
    lake: { ...files, namespace, catalog, writer, reader, now, nextTurn },
    close: async () => {
      await writer.close();
      await reader.close();
      await catalog.close();
    },
  };
}
