/**
 * Forgets old changes of a lake, by whole files: those of days that are over, whose changes are all
 * in the rows.
 *
 * @module
 */

import type { Forget } from "../../adapter.ts";
import { overwriteFiles } from "../iceberg/snapshot.ts";
import { changesFiles } from "./change_files.ts";
import { commitTo, type Lake } from "./lake.ts";
import { positionOf, PROPERTY, summaryOf } from "./properties.ts";
import { type ChangesTable, type LakeTables, ownPosition } from "./tables.ts";

const DAY_MS = 86_400_000;

/**
 * Up to which commit changes of a lake have been forgotten.
 *
 * @param tables its tables
 */
export function forgottenSeqOf({ main }: LakeTables): number {
  return Number(main?.metadata.properties?.[PROPERTY.forgottenSeq] ?? 0);
}

/**
 * Forgets old changes of one table.
 *
 * @param lake the lake
 * @param tables its tables; changed
 * @param what what is old
 * @returns whether there may be more to forget
 */
export async function forgetDays(
  lake: Lake,
  tables: LakeTables,
  what: Forget,
): Promise<boolean> {
  const own = ownPosition(tables);
  if (own === undefined || own.filled !== undefined) return false;
  for (const table of tables.changes.values()) {
    const throughSeq = Math.min(what.throughSeq, own.seq, await mergedSeq(lake, tables, table));
    const isOld = await forgetTable(lake, tables, table, { ...what, throughSeq });
    if (isOld) return true;
  }
  return false;
}

/** Up to which commit changes are in the rows: those after it are still needed. */
async function mergedSeq(
  lake: Lake,
  { rows }: LakeTables,
  { id, loaded }: ChangesTable,
): Promise<number> {
  // Nobody makes rows of changes of tables that nobody knows.
  if (id === 0) return Infinity;
  const name = rows.get(id)?.table;
  const now = name && await lake.catalog.load(name);
  const merged = now && positionOf(now.metadata);
  const changes = positionOf(loaded.metadata);
  if (merged === undefined || changes === undefined) return 0;
  return merged.seq;
}

async function forgetTable(
  lake: Lake,
  tables: LakeTables,
  table: ChangesTable,
  { committedBeforeMs, throughSeq }: Forget,
): Promise<boolean> {
  const isOld = ({ day, toSeq }: { readonly day: number; readonly toSeq: number }) =>
    toSeq <= throughSeq && (day + 1) * DAY_MS <= committedBeforeMs;
  const { main } = tables;
  const old = (await changesFiles(lake, table.loaded)).filter(isOld);
  const part = positionOf(table.loaded.metadata);
  if (old.length === 0 || main === undefined || part === undefined) return false;
  // Told before it happens: who goes back to before it is not to count on what may be gone.
  const forgotten = Math.max(forgottenSeqOf(tables), ...old.map(({ toSeq }) => toSeq));
  tables.main = await commitTo(
    lake,
    main,
    () => Promise.resolve({ properties: { [PROPERTY.forgottenSeq]: String(forgotten) } }),
  );
  table.loaded = await commitTo(lake, table.loaded, async (base) => {
    const removed = (await changesFiles(lake, base)).filter(isOld).map(({ file }) => file);
    const options = { nowMs: lake.now(), summary: summaryOf(part, part) };
    return {
      plan: await overwriteFiles(lake, base.metadata, { added: [], removed }, options),
      properties: {},
    };
  });
  return true;
}
