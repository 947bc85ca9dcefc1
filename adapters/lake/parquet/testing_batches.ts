/**
 * For tests: batches with a column of every type, with values at its edges.
 *
 * @module
 */

import type { Value } from "@lakesync/core";
import { columnOf, KINDS, valuesOf } from "../columns/testing_columns.ts";
import type { LakeField } from "../iceberg/schema.ts";
import type { ColumnBatch } from "./parquet.ts";

/** A field of each type. */
export const FIELDS: readonly LakeField[] = KINDS.map(({ type }, i) => ({
  id: 1_000 + 7 * i,
  name: `c${i}`,
  type,
  required: false,
}));

/** A batch with the edges of each type, and every third row null. */
export function edgeBatch(length: number): ColumnBatch {
  const columns = KINDS.map((kind, i) =>
    columnOf(
      kind,
      Array.from(
        { length },
        (_, row) => (row + i) % 3 === 0 ? null : kind.edges[row % kind.edges.length] ?? null,
      ),
    )
  );
  return { fields: FIELDS, length, columns };
}

/** All values of a batch, column by column. */
export function valuesOfBatch({ columns }: ColumnBatch): Value[][] {
  return columns.map((column, i) => valuesOf(column, KINDS[i]?.from));
}
