/**
 * Merges the tables of a lake.
 *
 * @module
 */

import type { Lake } from "../flush/lake.ts";
import { positionOf, PROPERTY } from "../flush/properties.ts";
import { type LakeTables, loadTables } from "../flush/tables.ts";
import {
  DEFAULT_MERGE,
  type MergeReport,
  type MergeSettings,
  mergeTable,
  type Refill,
} from "./merge.ts";

/**
 * When the rows of a lake were filled anew. It is to be asked before tables of changes are read, so
 * that these have all that was filled.
 *
 * @param tables the lake's tables
 */
export function refillOf({ main }: Pick<LakeTables, "main">): Refill | undefined {
  const seq = main?.metadata.properties?.[PROPERTY.refillSeq];
  if (main === undefined || seq === undefined) return undefined;
  return { seq: Number(seq), isComplete: positionOf(main.metadata)?.filled === undefined };
}

/**
 * Merges what is new of a table, once.
 *
 * @param lake the lake
 * @param tables its tables as they were read; newer versions are read here
 * @param id the number of the synced table
 * @param settings how much, and how
 * @returns undefined when there is no such table
 * @throws {CatalogError} when it was not committed, or that is not known
 */
export async function mergeOne(
  lake: Lake,
  tables: LakeTables,
  id: number,
  settings: MergeSettings = DEFAULT_MERGE,
): Promise<MergeReport | undefined> {
  const main = tables.main && await lake.catalog.load(tables.main.table);
  const refill = refillOf({ main });
  const [changesName, rowsName] = [
    tables.changes.get(id)?.loaded.table,
    tables.rows.get(id)?.table,
  ];
  const changes = changesName && await lake.catalog.load(changesName);
  const rows = rowsName && await lake.catalog.load(rowsName);
  if (changes === undefined || rows === undefined) return undefined;
  return await mergeTable(lake, { changes, rows }, refill, settings);
}

/**
 * Merges all that is new in a lake, one table after the other.
 *
 * @param lake the lake
 * @param settings how much at once, and how
 * @returns how many changes were merged
 */
export async function mergeLake(
  lake: Lake,
  settings: MergeSettings = DEFAULT_MERGE,
): Promise<number> {
  const tables = await loadTables(lake);
  let merged = 0;
  for (const id of tables.rows.keys()) {
    let report: MergeReport | undefined;
    do {
      report = await mergeOne(lake, tables, id, settings);
      merged += report?.changes ?? 0;
    } while (report?.isBehind && report.changes > 0);
  }
  return merged;
}
