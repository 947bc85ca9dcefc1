/**
 * A bucket as a checkpoint lists it: its name, and what its content comes to for a client's schema
 * version.
 *
 * @module
 */

import { type BucketState, combine, type InnerSums } from "@lakesync/core";
import { BucketSums } from "./bucket_sums.ts";
import type { Catalog, CatalogTable, CatalogVersion } from "./catalog.ts";
import { publicBucketId } from "./rule_book.ts";
import type { GrantedBucket } from "./scope.ts";

/** The numbers of the columns that a bucket shows of a table; undefined for all. */
export function shownColumns(
  shown: ReadonlySet<string> | undefined,
  table: CatalogTable,
): ReadonlySet<number> | undefined {
  if (shown === undefined) return undefined;
  const ids = new Set<number>();
  for (const name of shown) {
    const column = table.byName.get(name);
    if (column !== undefined) ids.add(column.id);
  }
  return ids;
}

/**
 * Describes a bucket to a client.
 *
 * @param granted the bucket
 * @param catalog the newest schema, by which rules are written
 * @param names the schema as the client knows it
 */
export function bucketStateOf(
  { record, placed, residual }: GrantedBucket,
  catalog: Catalog | undefined,
  names: CatalogVersion,
): BucketState {
  const id = publicBucketId(record.id, placed);
  const columns: Record<string, readonly string[]> = {};
  for (const [name, rule] of placed.family.tables) {
    const newest = catalog?.table(name);
    const known = newest && names.tableById(newest.id);
    const ids = newest && shownColumns(rule.columns, newest);
    if (known === undefined || ids === undefined) continue;
    const shown = known.columns.flatMap((column) =>
      column === undefined || !ids.has(column.id) || known.table.byName.get(column.name)?.key
        ? []
        : [column.name]
    );
    columns[known.table.name] = shown;
  }
  const projection = Object.keys(columns).length === 0 ? {} : { columns };
  if (placed.family.residualOperands > 0 || residual.length > 0) {
    return { id, rows: 0, ...projection };
  }
  let rows = 0;
  const inner: InnerSums[] = [];
  for (const [number, sums] of new BucketSums(record.data).tables()) {
    const newest = catalog?.tableById(number);
    const known = names.tableById(number);
    if (newest === undefined || known === undefined) continue;
    rows += sums.count;
    const rule = placed.family.tables.get(newest.table.name);
    const ids = shownColumns(rule?.columns, newest);
    const cells: [string, number][] = [];
    for (const [column, sum] of sums.cells) {
      const name = known.columns[column]?.name;
      if (name !== undefined && (ids === undefined || ids.has(column))) cells.push([name, sum]);
    }
    inner.push({ table: known.table.name, rows: sums.rows, columns: cells });
  }
  return { id, rows, checksum: combine(inner), ...projection };
}
