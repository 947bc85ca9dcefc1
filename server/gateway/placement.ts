/**
 * Which buckets a row is in, and what a change of that does to its memberships.
 *
 * @module
 */

import { canonicalJson, forEachCell, keyOf, type RowReader, type RowState } from "@lakesync/core";
import type { Value } from "@lakesync/core";
import type { BucketEntry } from "../store/store.ts";
import type { CatalogTable } from "./catalog.ts";
import { isMember, type Membership } from "./record.ts";
import { bucketId, type PlacedFamily } from "./rule_book.ts";

/** How many spans a row keeps in one bucket; older ones run together. */
const MAX_SPANS = 8;

/** The same where spans also end when a value changes that residual conditions read. */
const MAX_VALUE_SPANS = 32;

/** A bucket that a row belongs to. */
export interface Placement {
  /** The bucket's stored id. */
  readonly id: string;
  /** Values of the columns that the family's residual conditions read; undefined without those. */
  readonly values: readonly Value[] | undefined;
}

/** Reads a row's columns by name: its key, and its visible cells. */
export function rowReader(table: CatalogTable, rowId: string, state: RowState): RowReader {
  let cells: Map<string, Value> | undefined;
  return (column) => {
    if (cells === undefined) {
      cells = new Map();
      const key = keyOf(table.table, rowId);
      for (const [i, { name }] of table.table.primaryKey.entries()) {
        if (typeof key !== "string") cells.set(name, key[i] ?? null);
      }
      const found = cells;
      forEachCell(state, (id, value) => {
        const name = table.columns[id]?.name;
        if (name !== undefined) found.set(name, value);
      });
    }
    return cells.get(column) ?? null;
  };
}

/** The buckets of some families that a row belongs to. */
export function placementsOf(
  families: readonly PlacedFamily[],
  table: string,
  row: RowReader,
): readonly Placement[] {
  const placements: Placement[] = [];
  for (const { number, family } of families) {
    const rule = family.tables.get(table);
    if (rule === undefined) continue;
    const values = rule.residualColumns.length === 0
      ? undefined
      : rule.residualColumns.map((column) => row(column));
    for (const key of rule.keysOf(row)) placements.push({ id: bucketId(number, key), values });
  }
  return placements;
}

/** A bucket, by its number, that a row belongs to. */
export interface NumberedPlacement {
  /** The bucket's number. */
  readonly bucket: number;
  /** Values of the columns that the family's residual conditions read. */
  readonly values: readonly Value[] | undefined;
}

function sameValues(a: readonly Value[] | undefined, b: readonly Value[] | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.every((value, i) => canonicalJson(value) === canonicalJson(b[i] ?? null));
}

/**
 * Moves a row in the bucket index after a change.
 *
 * @param memberships where it is and was
 * @param placements where it belongs now
 * @param seq the commit of the change
 * @param horizonSeq spans that ended at or before it are forgotten
 * @returns where it is and was then
 */
export function place(
  memberships: readonly Membership[],
  placements: readonly NumberedPlacement[],
  seq: number,
  horizonSeq: number,
): readonly Membership[] {
  const moved: Membership[] = [];
  const byBucket = new Map(placements.map((placement) => [placement.bucket, placement]));
  for (const membership of memberships) {
    const now = byBucket.get(membership.bucket);
    byBucket.delete(membership.bucket);
    const next = now === undefined
      ? left(membership, seq)
      : stays(membership, now.values, seq, horizonSeq);
    if (next !== undefined) moved.push(next);
  }
  for (const { bucket, values } of byBucket.values()) {
    moved.push({
      bucket,
      seq,
      spans: [seq],
      ...(values === undefined ? {} : { values: [values] }),
    });
  }
  return moved;
}

function left(membership: Membership, seq: number): Membership | undefined {
  if (!isMember(membership)) return membership;
  const { bucket, spans, values } = membership;
  if (spans.at(-1) !== seq) return { ...membership, seq, spans: [...spans, seq] };
  if (spans.length === 1) return undefined;
  const earlier = values === undefined ? {} : { values: values.slice(0, -1) };
  return { bucket, seq, spans: spans.slice(0, -1), ...earlier };
}

function stays(
  membership: Membership,
  values: readonly Value[] | undefined,
  seq: number,
  horizonSeq: number,
): Membership {
  const { bucket, spans } = membership;
  if (!isMember(membership)) return enters(membership, values, seq, horizonSeq);
  if (values === undefined || sameValues(membership.values?.at(-1), values)) {
    return { ...membership, seq };
  }
  if (spans.at(-1) === seq) {
    return { ...membership, seq, values: [...(membership.values ?? []).slice(0, -1), values] };
  }
  return enters({ ...membership, bucket, spans: [...spans, seq] }, values, seq, horizonSeq);
}

function enters(
  { bucket, spans, values: earlier }: Membership,
  values: readonly Value[] | undefined,
  seq: number,
  horizonSeq: number,
): Membership {
  let from = 0;
  while ((spans[from + 1] ?? Infinity) <= horizonSeq) from += 2;
  const recent = spans.slice(from);
  const recentValues = earlier?.slice(from / 2);
  const most = values === undefined ? MAX_SPANS : MAX_VALUE_SPANS;
  if (recent.length >= 2 * most) {
    // The oldest two run together, the time between them included: a client of that time is told
    // of the row as if it may have had it. Of two lists of values the later one stays.
    recent.splice(1, 2);
    recentValues?.shift();
  }
  return {
    bucket,
    seq,
    spans: [...recent, seq],
    ...(values === undefined ? {} : { values: [...(recentValues ?? []), values] }),
  };
}

/** Whether the first span of a membership may be of several that ran together. */
export function mayBeJoined({ spans, values }: Membership): boolean {
  // A span that began with the commit that ended it is gone again, so one may be missing.
  return spans.length >= 2 * (values === undefined ? MAX_SPANS : MAX_VALUE_SPANS) - 2;
}

/** The entry of the bucket index that a membership stands for. */
export function entryOf(membership: Membership): BucketEntry {
  return {
    bucket: membership.bucket,
    gone: !isMember(membership),
    seq: membership.seq,
  };
}
