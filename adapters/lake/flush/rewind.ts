/**
 * Gives up the end of a history that the gateway lost, and begins to fill a lake from rows.
 *
 * A rewind moves the lake's own position first, then takes the changes after it out of one table
 * after the other. Was the position last, a crash in between would leave a lake that says it has
 * changes which some of its tables have no more. So it has tables that are ahead of it, which is
 * told, and whoever rewinds again goes on where this one ended.
 *
 * @module
 */

import type { FlushPosition, Move } from "../../adapter.ts";
import type { LoadedTable } from "../catalog/catalog.ts";
import { gather, valueAt } from "../columns/mod.ts";
import { readAt } from "../iceberg/lake_files.ts";
import type { DataFile } from "../iceberg/manifest.ts";
import { emptySnapshot, overwriteFiles } from "../iceberg/snapshot.ts";
import type { ColumnBatch } from "../parquet/parquet.ts";
import { type ChangesFile, changesFiles } from "./change_files.ts";
import { writeFile } from "./data_files.ts";
import { atMost, type Commit, commitTo, type Lake } from "./lake.ts";
import { CHANGE_FIELDS, changesSchema, OTHER_FIELDS } from "./layout.ts";
import { positionOf, PROPERTY, summaryOf } from "./properties.ts";
import { readyPosition } from "./ready.ts";
import { kept, rewound } from "./standing.ts";
import { type ChangesTable, type LakeTables, ownPosition } from "./tables.ts";
import { writeUnsettled } from "./unsettled.ts";
import { movePosition } from "./write_batch.ts";

/** So many tables go back at once; each may have a large file in memory. */
const REWINDS_AT_ONCE = 2;

/**
 * Goes back to a place.
 *
 * @param lake the lake
 * @param tables its tables; changed
 * @param move the rewind
 */
export async function rewindLake(lake: Lake, tables: LakeTables, move: Move): Promise<void> {
  const main = await readyPosition(lake, tables);
  const own = ownPosition(tables);
  const forgotten = Number(main.metadata.properties?.[PROPERTY.forgottenSeq] ?? 0);
  tables.main = await movePosition(lake, main, rewound(own, move), own, {
    [PROPERTY.forgottenSeq]: String(Math.min(forgotten, move.to.seq)),
  });
  await atMost(
    [...tables.changes.values()].map((table) => () => rewindTable(lake, table, move.to)),
    REWINDS_AT_ONCE,
  );
}

/**
 * Begins to fill a lake from rows. Changes are kept; rows are made anew of what comes from then on.
 *
 * @param lake the lake
 * @param tables its tables; changed
 * @param move where to
 */
export async function refillLake(lake: Lake, tables: LakeTables, { to }: Move): Promise<void> {
  const main = await readyPosition(lake, tables);
  tables.main = await movePosition(lake, main, kept(to), ownPosition(tables), {
    [PROPERTY.refillSeq]: String(to.seq),
  });
}

async function rewindTable(lake: Lake, table: ChangesTable, to: FlushPosition): Promise<void> {
  const part = positionOf(table.loaded.metadata);
  if (part === undefined || part.seq <= to.seq) return;
  table.loaded = await commitTo(lake, table.loaded, (base) => withoutAfter(lake, table, base, to));
}

/** A table without the changes after a place, and with the rows they touched among the unsettled. */
async function withoutAfter(
  lake: Lake,
  table: ChangesTable,
  base: LoadedTable,
  to: FlushPosition,
): Promise<Commit> {
  const lost = new Map<string, boolean>();
  const removed: DataFile[] = [];
  const added: DataFile[] = [];
  for (const each of await changesFiles(lake, base)) {
    if (each.toSeq <= to.seq) continue;
    removed.push(each.file);
    const left = await splitFile(lake, table, each, to.seq, (rowId) => lost.set(rowId, true));
    if (left !== undefined) added.push(await writeFile(lake, base.metadata, each.day, left));
  }
  const unsettled = table.layout === undefined
    ? {}
    : await writeUnsettled(lake, base.metadata, lost);
  const options = { nowMs: lake.now(), summary: summaryOf(to, to) };
  return {
    plan: removed.length === 0
      ? await emptySnapshot(lake, base.metadata, options)
      : await overwriteFiles(lake, base.metadata, { added, removed }, options),
    properties: { [PROPERTY.position]: JSON.stringify(kept(to)), ...unsettled },
  };
}

/**
 * Reads what is left of a file.
 *
 * @param lost told of each row that a change touched which is not left
 * @returns undefined when nothing is left
 */
async function splitFile(
  lake: Lake,
  { layout }: ChangesTable,
  { file, fromSeq }: ChangesFile,
  seq: number,
  lost: (rowId: string) => void,
): Promise<ColumnBatch | undefined> {
  const all = layout === undefined
    ? [...CHANGE_FIELDS, ...OTHER_FIELDS]
    : changesSchema(layout).fields;
  const named = CHANGE_FIELDS.filter(({ name }) => name === "_row" || name === "_seq");
  const batch = await lake.reader.read(
    await readAt(lake, file.filePath),
    fromSeq > seq ? named : all,
  );
  const [ids, seqs] = named.map(({ id }) =>
    batch.columns[batch.fields.findIndex((field) => field.id === id)]
  );
  if (ids === undefined || seqs === undefined) throw new TypeError("A file has no column _seq");
  const rows: number[] = [];
  for (let i = 0; i < batch.length; i++) {
    if (Number(valueAt(seqs, i)) <= seq) rows.push(i);
    else lost(String(valueAt(ids, i)));
  }
  if (rows.length === 0) return undefined;
  const picks = { batches: new Uint8Array(rows.length), rows };
  const columns = batch.columns.map((column) => gather([column], picks));
  return { fields: batch.fields, length: rows.length, columns };
}
