/**
 * Takes the changes after a place out of a table of changes. Files that have only such are dropped,
 * one that has both is written anew. It keeps its place among the commits, so what is left of it is
 * merged once, and before what came after it.
 *
 * @module
 */

import type { FlushPosition, Place } from "../../adapter.ts";
import { comparePlaces } from "../../place.ts";
import type { LoadedTable } from "../catalog/catalog.ts";
import { gather, valueAt } from "../columns/mod.ts";
import { readAt } from "../iceberg/lake_files.ts";
import type { DataFile } from "../iceberg/manifest.ts";
import { emptySnapshot, overwriteFiles } from "../iceberg/snapshot.ts";
import type { ColumnBatch } from "../parquet/parquet.ts";
import { type ChangesFile, changesFiles } from "./change_files.ts";
import { writeFile } from "./data_files.ts";
import { type Commit, commitTo, type Lake } from "./lake.ts";
import { CHANGE_FIELDS, changesSchema, OTHER_FIELDS, ROW, SEQ, SLICE } from "./layout.ts";
import { positionOf, PROPERTY, summaryOf } from "./properties.ts";
import { kept } from "./standing.ts";
import type { ChangesTable } from "./tables.ts";
import { writeUnsettled } from "./unsettled.ts";

/**
 * Takes the changes after a place out of a table; the rows that they touched are unsettled then.
 *
 * @param lake the lake
 * @param table the table; changed
 * @param to where it stands then; where it is before that, nothing is done
 */
export async function rewindTable(
  lake: Lake,
  table: ChangesTable,
  to: FlushPosition,
): Promise<void> {
  const part = positionOf(table.loaded.metadata);
  if (part === undefined || comparePlaces(part, to) <= 0) return;
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
  const dataSequence = new Map<string, number>();
  for (const each of await changesFiles(lake, base)) {
    const isWholeSeq = to.slice === undefined;
    if (each.toSeq < to.seq || (isWholeSeq && each.toSeq === to.seq)) continue;
    const left = await splitFile(lake, table, each, to, (rowId) => lost.set(rowId, true));
    if (left === "all") continue;
    removed.push(each.file);
    if (left === undefined) continue;
    const file = await writeFile(lake, base.metadata, each.day, left);
    added.push(file);
    dataSequence.set(file.filePath, each.sequenceNumber);
  }
  const unsettled = table.layout === undefined
    ? {}
    : await writeUnsettled(lake, base.metadata, lost);
  const options = { nowMs: lake.now(), summary: summaryOf(to, to), dataSequence };
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
 * @returns undefined when nothing is left, `all` when nothing is lost
 */
async function splitFile(
  lake: Lake,
  { layout }: ChangesTable,
  { file, fromSeq }: ChangesFile,
  to: Place,
  lost: (rowId: string) => void,
): Promise<ColumnBatch | "all" | undefined> {
  const all = layout === undefined
    ? [...CHANGE_FIELDS, ...OTHER_FIELDS]
    : changesSchema(layout).fields;
  const named = [ROW, SEQ, SLICE].flatMap((id) =>
    CHANGE_FIELDS.find((field) => field.id === id) ?? []
  );
  const batch = await lake.reader.read(
    await readAt(lake, file.filePath),
    fromSeq > to.seq ? named : all,
  );
  const [ids, seqs, slices] = named.map(({ id }) =>
    batch.columns[batch.fields.findIndex((field) => field.id === id)]
  );
  if (ids === undefined || seqs === undefined || slices === undefined) {
    throw new TypeError("A file has no column _seq");
  }
  const rows: number[] = [];
  for (let i = 0; i < batch.length; i++) {
    const seq = Number(valueAt(seqs, i));
    const slice = valueAt(slices, i);
    const place = slice === null ? { seq } : { seq, slice: Number(slice) };
    if (comparePlaces(place, to) <= 0) rows.push(i);
    else lost(String(valueAt(ids, i)));
  }
  if (rows.length === 0) return undefined;
  if (rows.length === batch.length) return "all";
  const picks = { batches: new Uint8Array(rows.length), rows };
  const columns = batch.columns.map((column) => gather([column], picks));
  return { fields: batch.fields, length: rows.length, columns };
}
