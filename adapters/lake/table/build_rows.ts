/**
 * Puts rows together from the rows as they were and their images, column by column and without
 * looking at the values.
 *
 * @module
 */

import { type Column, columnBuilder, gather, nullColumn } from "../columns/mod.ts";
import type { LakeTable } from "../flush/layout.ts";
import type { LakeField } from "../iceberg/schema.ts";
import type { ColumnBatch } from "../parquet/parquet.ts";
import { cellColumns, type ChangeFold } from "./apply_changes.ts";
import { BEFORE, type RowImages } from "./fold.ts";
import type { Pace } from "./pace.ts";
import { columnValueOf, keyOfRowId, type RowKey } from "./row_key.ts";

/** A place that there is not. */
export const NONE = -1;

/** All that changed, folded, with the values and the keys of its rows. */
export interface FoldedChanges {
  /** The images. */
  readonly images: RowImages;
  /** Of each column the columns with the values; see {@linkcode ChangeFold.sources}. */
  readonly sources: readonly (readonly [changes: Column, beside: Column])[];
  /** The keys of the images. */
  readonly keys: readonly RowKey[];
  /** The key's columns of the images, in the order of the row's id. */
  readonly keyColumns: readonly Column[];
}

/** Which rows are put together: row i is of base row `bases[i]` and of image `images[i]`. */
export interface RowPicks {
  /** Rows of the base; {@linkcode NONE} where there was no row. */
  readonly bases: readonly number[];
  /** Images; {@linkcode NONE} where the row is as it was. */
  readonly images: readonly number[];
}

/**
 * Ends the folding.
 *
 * @param table the table
 * @param fold what was folded
 * @param pace lets others have their turn
 */
export async function foldedChanges(
  table: LakeTable,
  fold: ChangeFold,
  pace: Pace,
): Promise<FoldedChanges> {
  const { images } = fold;
  const fields = keyFields(table);
  const builders = fields.map(({ type }) => columnBuilder(type));
  const keys: RowKey[] = [];
  for (const rowId of images.rowIds) {
    const key = keyOfRowId(fields, rowId);
    keys.push(key);
    for (const [i, value] of key.entries()) builders[i]?.append(columnValueOf(value));
    if (pace.isOver()) await pace.rest();
  }
  const keyColumns = builders.map((builder) => builder.finish());
  return { images, sources: fold.sources(), keys, keyColumns };
}

/**
 * Puts rows together.
 *
 * @param table the table
 * @param fields the fields that they get
 * @param base rows as they were, with those fields
 * @param folded what changed
 * @param picks which rows
 * @param pace lets others have their turn
 */
export async function buildRows(
  table: LakeTable,
  fields: readonly LakeField[],
  base: ColumnBatch | undefined,
  folded: FoldedChanges,
  picks: RowPicks,
  pace: Pace,
): Promise<ColumnBatch> {
  const length = picks.bases.length;
  const baseColumns = new Map(base?.fields.map(({ id }, i) => [id, base.columns[i]]));
  const sourceOf = sourcesById(table, folded);
  const columns: Column[] = [];
  for (const { id, type } of fields) {
    const before = baseColumns.get(id) ?? nullColumn(type, 0);
    const source = sourceOf.get(id);
    if (source === undefined) {
      columns.push(nullColumn(type, length));
      continue;
    }
    const [first, second] = source.columns;
    const from = [before, first ?? nullColumn(type, 0), second ?? nullColumn(type, 0)];
    columns.push(gather(from, pickCells(picks, folded.images, source)));
    await pace.rest();
  }
  return { fields, length, columns };
}

/** Where the values of a field are. */
interface FieldSource {
  /** The place of its column among those of the images; undefined for a key's. */
  readonly cell: number | undefined;
  /** Whether it is one from before its column was widened, which images have no values for. */
  readonly isFormer: boolean;
  /** What images name. */
  readonly columns: readonly Column[];
}

function sourcesById(table: LakeTable, folded: FoldedChanges): ReadonlyMap<number, FieldSource> {
  const sources = new Map<number, FieldSource>();
  for (const [i, { id }] of keyFields(table).entries()) {
    const column = folded.keyColumns[i];
    sources.set(id, {
      cell: undefined,
      isFormer: false,
      columns: column === undefined ? [] : [column],
    });
  }
  for (const [cell, { field, former }] of cellColumns(table).entries()) {
    sources.set(field.id, { cell, isFormer: false, columns: folded.sources[cell] ?? [] });
    for (const { id } of former) sources.set(id, { cell, isFormer: true, columns: [] });
  }
  return sources;
}

function pickCells(
  { bases, images: numbers }: RowPicks,
  images: RowImages,
  { cell, isFormer }: FieldSource,
): { readonly batches: Int32Array; readonly rows: Int32Array } {
  const length = bases.length;
  const batches = new Int32Array(length);
  const rows = new Int32Array(length);
  for (let i = 0; i < length; i++) {
    const image = numbers[i] ?? NONE;
    const base = bases[i] ?? NONE;
    if (image === NONE) rows[i] = base;
    else if (cell === undefined) {
      batches[i] = 1;
      rows[i] = image;
    } else {
      const source = images.cell(image, cell);
      if (source === BEFORE) {
        batches[i] = base === NONE ? NONE : 0;
        rows[i] = base;
      } else if (source < 0 || isFormer) batches[i] = NONE;
      else {
        batches[i] = 1 + (source & 1);
        rows[i] = source >> 1;
      }
    }
  }
  return { batches, rows };
}

/** The key's fields, in the order of the row's id. */
export function keyFields({ columns, key }: LakeTable): readonly LakeField[] {
  return key.flatMap((number) => {
    const field = columns.find((column) => column.number === number)?.field;
    return field === undefined
      ? []
      : [{ id: field.id, name: field.name, type: field.type, required: true }];
  });
}
