/**
 * Files of changes and of rows as the lake has them, for tests.
 *
 * @module
 */

import { keyOf, type Value } from "@lakesync/core";
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import type { StoredRow } from "../../database/images.ts";
import { columnBuilder } from "../columns/mod.ts";
import type { ChangeRow } from "../flush/changes.ts";
import { changesSchema, type LakeTable, rowsSchema } from "../flush/layout.ts";
import { canonicalValue } from "../flush/values.ts";
import type { LakeField } from "../iceberg/schema.ts";
import { schemaText } from "../iceberg/schema_json.ts";
import { openParquetWriter } from "../parquet/mod.ts";

/** Writes rows as a Parquet file. */
export async function writeRows(
  path: string,
  table: LakeTable,
  fields: readonly LakeField[],
  rows: readonly (readonly Value[])[],
): Promise<void> {
  const writer = openParquetWriter({ thread: false });
  const columns = fields.map((field, i) => {
    const from = table.columns.find((column) => column.field.id === field.id)?.type;
    const builder = columnBuilder(field.type, from);
    for (const row of rows) assert.equal(builder.append(row[i] ?? null), undefined, field.name);
    return builder.finish();
  });
  const metadata = new Map([["iceberg.schema", schemaText({ fields })]]);
  const { bytes } = await writer.write({ fields, length: rows.length, columns }, { metadata });
  await writer.close();
  await writeFile(path, bytes);
}

/** Writes rows of a table of changes. */
export async function writeChanges(
  path: string,
  table: LakeTable,
  rows: readonly ChangeRow[],
): Promise<void> {
  const { fields } = changesSchema(table);
  const former = table.columns.flatMap((column) => column.former);
  await writeRows(
    path,
    table,
    fields,
    rows.map((row) => [
      row.op,
      row.rowId,
      row.clientId,
      row.hlc,
      row.seq,
      row.slice,
      row.mutationId,
      row.deltaId,
      new Date(row.committedMs).toISOString(),
      row.schemaVersion,
      row.changed,
      row.raw,
      row.effect,
      ...row.values,
      ...former.map(() => null),
    ]),
  );
}

/** The values of a row as the lake reads them back, in the order of the table's columns. */
export function valuesOf(table: LakeTable, { key, cells }: StoredRow): readonly Value[] {
  const parts = table.newest === undefined ? [] : keyOf(table.newest, key.rowId);
  assert.ok(typeof parts !== "string", String(parts));
  return table.columns.map(({ number, isKey, type }) => {
    const place = table.key.indexOf(number);
    if (isKey) return parts[place] ?? null;
    const value = cells.get(number)?.value ?? null;
    return value === null ? null : canonicalValue(type, value);
  });
}

/** Writes rows of a table of rows. */
export async function writeImages(
  path: string,
  table: LakeTable,
  images: readonly StoredRow[],
): Promise<void> {
  const { fields } = rowsSchema(table);
  await writeRows(path, table, fields, images.map((image) => valuesOf(table, image)));
}
