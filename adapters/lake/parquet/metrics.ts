/**
 * What the manifests of a table tell of a file's columns.
 *
 * @module
 */

import { boundsOf } from "./bounds.ts";
import type { ColumnBatch, ColumnMetrics } from "./parquet.ts";

/**
 * Counts the values of a batch and finds their bounds.
 *
 * @param batch the rows of a file
 * @returns of each column, in their order
 */
export function metricsOf({ fields, columns }: ColumnBatch): ColumnMetrics[] {
  return columns.map((column, i) => ({
    fieldId: fields[i]?.id ?? -1,
    values: column.length,
    nulls: column.nulls,
    ...boundsOf(column),
  }));
}
