/**
 * What manifests tell of a Parquet file.
 *
 * @module
 */

import type { DataFile } from "./iceberg/manifest.ts";
import type { ColumnMetrics, ParquetFile } from "./parquet/parquet.ts";

/** What is to be told of a file beside what is in it. */
export type FilePlace =
  & Pick<DataFile, "filePath" | "specId" | "partition">
  & Partial<Pick<DataFile, "content" | "sortOrderId" | "referencedDataFile">>;

/**
 * Tells of a file.
 *
 * @param file the file as it was written
 * @param place where it is in its table
 */
export function dataFileOf(
  { bytes, rows, metrics }: ParquetFile,
  { content = "data", ...place }: FilePlace,
): DataFile {
  return {
    content,
    fileFormat: "PARQUET",
    ...place,
    recordCount: rows,
    fileSizeInBytes: bytes.length,
    valueCounts: byField(metrics, ({ values }) => values),
    nullValueCounts: byField(metrics, ({ nulls }) => nulls),
    lowerBounds: byField(metrics, ({ lower }) => lower),
    upperBounds: byField(metrics, ({ upper }) => upper),
  };
}

function byField<T>(
  metrics: readonly ColumnMetrics[],
  valueOf: (column: ColumnMetrics) => T | undefined,
): ReadonlyMap<number, T> {
  const known = new Map<number, T>();
  for (const column of metrics) {
    const value = valueOf(column);
    if (value !== undefined) known.set(column.fieldId, value);
  }
  return known;
}
