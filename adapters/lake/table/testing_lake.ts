/**
 * A lake in memory for tests, and what readers see of its rows.
 *
 * @module
 */

import type { Value } from "@lakesync/core";
import type { DatabaseAdapter } from "../../adapter.ts";
import { memoryObjects } from "../../object-store/memory.ts";
import type { ObjectStore } from "../../object-store/object_store.ts";
import { lakeAdapter } from "../adapter.ts";
import { objectCatalog } from "../catalog/object_catalog.ts";
import { valueAt } from "../columns/mod.ts";
import type { Lake } from "../flush/lake.ts";
import { parseTable, rowsSchema } from "../flush/layout.ts";
import { PROPERTY } from "../flush/properties.ts";
import { loadTables } from "../flush/tables.ts";
import { lakeLocation } from "../location.ts";
import { openParquetReader, openParquetWriter } from "../parquet/mod.ts";
import { keysOf } from "./find_rows.ts";
import { liveFiles, readFields, readGone } from "./live_files.ts";
import { Pace } from "./pace.ts";
import { rowIdOfKey } from "./row_key.ts";

/** A lake, and a destination that writes to it. */
export interface TestLake {
  /** The lake. */
  readonly lake: Lake;
  /** The destination. */
  readonly adapter: DatabaseAdapter;
  /** Closes both. */
  close(): Promise<void>;
}

/** Opens a lake; everything is done in this thread. */
export function openTestLake(
  store: ObjectStore = memoryObjects(),
  now: () => number = Date.now,
): TestLake {
  const location = lakeLocation("memory://lake");
  const [writer, reader] = [
    openParquetWriter({ thread: false }),
    openParquetReader({ thread: false }),
  ];
  const options = { store, location, namespace: "main", thread: false, now };
  const catalog = objectCatalog({ store, location, now });
  const adapter = lakeAdapter(options);
  return {
    lake: {
      store,
      location,
      namespace: "main",
      catalog,
      writer,
      reader,
      now,
      nextTurn: () => Promise.resolve(),
    },
    adapter,
    async close() {
      await adapter.close();
      await writer.close();
      await reader.close();
      await catalog.close();
    },
  };
}

/** Cells by the numbers of their columns, without those that are null. */
export type SeenRow = ReadonlyMap<number, Value>;

/** Reads a table of rows as it is now, as readers do. */
export async function seenRows(lake: Lake, id: number): Promise<ReadonlyMap<string, SeenRow>> {
  const rows = (await loadTables(lake)).rows.get(id);
  if (rows === undefined) throw new Error("There is no such table");
  const table = parseTable(rows.metadata.properties?.[PROPERTY.table] ?? "");
  const { fields } = rowsSchema(table);
  const pace = new Pace(lake.nextTurn);
  const seen = new Map<string, SeenRow>();
  for (const file of await liveFiles(lake, rows.metadata, rows.snapshot)) {
    const batch = await readFields(lake, file.entry.dataFile, fields);
    const gone = await readGone(lake, file);
    const at = new Map(fields.map(({ id }, i) => [id, batch.columns[i]]));
    for (const [row, key] of (await keysOf(table, batch, pace)).entries()) {
      if (gone.has(row)) continue;
      const rowId = rowIdOfKey(key);
      if (seen.has(rowId)) throw new Error(`Row ${rowId} is there twice`);
      const cells = new Map<number, Value>();
      for (const { number, isKey, field, former } of table.columns) {
        if (isKey) continue;
        for (const { id, from } of [field, ...former]) {
          const column = at.get(id);
          const value = column === undefined ? null : valueAt(column, row, from);
          if (value !== null && !cells.has(number)) cells.set(number, value);
        }
      }
      seen.set(rowId, cells);
    }
  }
  return seen;
}
