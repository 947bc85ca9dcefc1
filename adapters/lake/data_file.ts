/**
 * Files of rows: written to the lake, and told of as manifests tell of them.
 *
 * @module
 */

import { formatJson } from "./iceberg/json.ts";
import { keyAt, type LakeFiles } from "./iceberg/lake_files.ts";
import type { DataFile, PartitionValue } from "./iceberg/manifest.ts";
import { currentSchema, type TableMetadata } from "./iceberg/metadata.ts";
import type { ColumnBatch, ColumnMetrics, ParquetFile, ParquetWriter } from "./parquet/parquet.ts";

/** What a new file is. */
export interface NewDataFile {
  /** Its rows. They may be taken away. */
  readonly batch: ColumnBatch;
  /** Its partition, by the table's default spec; none when not given. */
  readonly partition?: readonly PartitionValue[];
  /** Whether its rows are sorted as the table's default order says. */
  readonly isSorted?: boolean;
  /** The file whose rows its positions take away; it is a file of data when not given. */
  readonly deletesOf?: string;
}

/**
 * Writes a file under a name that no other one has. Nothing names it until a commit does.
 *
 * @param lake where objects are
 * @param writer writes Parquet
 * @param metadata the table
 * @param file what it is
 */
export async function writeDataFile(
  lake: LakeFiles,
  writer: ParquetWriter,
  metadata: TableMetadata,
  file: NewDataFile,
): Promise<DataFile> {
  const { batch, partition = [], isSorted = false, deletesOf } = file;
  const schema = deletesOf === undefined ? formatJson(currentSchema(metadata)) : undefined;
  const written = await writer.write(batch, {
    metadata: new Map(schema === undefined ? [] : [["iceberg.schema", schema]]),
  });
  const kind = deletesOf === undefined ? "" : "-deletes";
  const filePath = `${metadata.location}/data/${crypto.randomUUID()}${kind}.parquet`;
  await lake.store.putObject(keyAt(lake, filePath), written.bytes);
  return {
    content: deletesOf === undefined ? "data" : "position-deletes",
    filePath,
    fileFormat: "PARQUET",
    specId: metadata["default-spec-id"],
    partition,
    recordCount: written.rows,
    fileSizeInBytes: written.bytes.length,
    ...metricsOf(written),
    ...(isSorted ? { sortOrderId: metadata["default-sort-order-id"] } : {}),
    ...(deletesOf === undefined ? {} : { referencedDataFile: deletesOf }),
  };
}

type Metrics = Pick<DataFile, "valueCounts" | "nullValueCounts" | "lowerBounds" | "upperBounds">;

function metricsOf({ metrics }: ParquetFile): Metrics {
  return {
    valueCounts: new Map(metrics.map(({ fieldId, values }) => [fieldId, values])),
    nullValueCounts: new Map(metrics.map(({ fieldId, nulls }) => [fieldId, nulls])),
    lowerBounds: bounds(metrics, ({ lower }) => lower),
    upperBounds: bounds(metrics, ({ upper }) => upper),
  };
}

function bounds(
  metrics: readonly ColumnMetrics[],
  boundOf: (column: ColumnMetrics) => Uint8Array | undefined,
): ReadonlyMap<number, Uint8Array> {
  const known = new Map<number, Uint8Array>();
  for (const column of metrics) {
    const bound = boundOf(column);
    if (bound !== undefined) known.set(column.fieldId, bound);
  }
  return known;
}
