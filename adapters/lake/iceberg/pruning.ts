/**
 * Which files may have rows that are looked for, by what manifests tell of them. Pure.
 * Source: Iceberg table specification, "Scan Planning".
 *
 * @module
 */

import type { DataFile, FieldSummary, ManifestFile } from "./manifest.ts";
import type { Partitioning } from "./manifest_records.ts";
import { compareValues, decodeValue, type SingleValue } from "./single_value.ts";
import { keepsOrder, partitionValue } from "./transform.ts";

/** Rows whose value is in a range; those without a value are not. */
export interface FieldRange {
  /** The column. */
  readonly fieldId: number;
  /** The least value; any when not there. */
  readonly lower?: SingleValue;
  /** The greatest value; any when not there. */
  readonly upper?: SingleValue;
}

/** What is known of values: none is below or above. */
interface Bounds {
  readonly low: SingleValue | undefined;
  readonly high: SingleValue | undefined;
}

function overlaps({ low, high }: Bounds, { lower, upper }: Omit<FieldRange, "fieldId">): boolean {
  if (low !== undefined && upper !== undefined && compareValues(low, upper) > 0) return false;
  return high === undefined || lower === undefined || compareValues(high, lower) >= 0;
}

function decoded(type: string, bytes: Uint8Array | undefined): SingleValue | undefined {
  return bytes === undefined ? undefined : decodeValue(type, bytes);
}

function transformed(transform: string, value: SingleValue | undefined): SingleValue | undefined {
  return value === undefined ? undefined : partitionValue(transform, value) ?? undefined;
}

function summaryOverlaps(
  { lowerBound, upperBound }: FieldSummary,
  type: string,
  transform: string,
  { lower, upper }: FieldRange,
): boolean {
  const [least, greatest] = [transformed(transform, lower), transformed(transform, upper)];
  return overlaps(
    { low: decoded(type, lowerBound), high: decoded(type, upperBound) },
    {
      ...(least === undefined ? {} : { lower: least }),
      ...(greatest === undefined ? {} : { upper: greatest }),
    },
  );
}

/**
 * Whether a manifest may name files with rows of all ranges.
 *
 * @param manifest the manifest
 * @param partitioning how its files are kept apart
 * @param ranges the ranges
 */
export function manifestMayMatch(
  { partitions }: ManifestFile,
  { spec, types }: Partitioning,
  ranges: readonly FieldRange[],
): boolean {
  if (partitions === undefined) return true;
  return spec.fields.every(({ "source-id": source, transform }, i) => {
    const [summary, type] = [partitions[i], types[i]];
    if (summary === undefined || type === undefined || !keepsOrder(transform)) return true;
    return ranges.every((range) =>
      range.fieldId !== source || summaryOverlaps(summary, type, transform, range)
    );
  });
}

/**
 * Whether a file may have rows of all ranges.
 *
 * @param file the file
 * @param types the types of columns, by their ids
 * @param ranges the ranges
 */
export function fileMayMatch(
  { valueCounts, nullValueCounts, lowerBounds, upperBounds }: DataFile,
  types: ReadonlyMap<number, string>,
  ranges: readonly FieldRange[],
): boolean {
  return ranges.every((range) => {
    const { fieldId } = range;
    const [values, nulls] = [valueCounts?.get(fieldId), nullValueCounts?.get(fieldId)];
    if (values !== undefined && values === nulls) return false;
    const type = types.get(fieldId);
    if (type === undefined) return true;
    const low = decoded(type, lowerBounds?.get(fieldId));
    const high = decoded(type, upperBounds?.get(fieldId));
    return overlaps({ low, high }, range);
  });
}
