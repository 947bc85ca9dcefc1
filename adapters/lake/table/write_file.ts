/**
 * Writes files of a table of rows.
 *
 * @module
 */

import type { Lake } from "../flush/lake.ts";
import { dataFileOf } from "../data_file.ts";
import { keyAt } from "../iceberg/lake_files.ts";
import type { DataFile } from "../iceberg/manifest.ts";
import type { TableMetadata } from "../iceberg/metadata.ts";
import { schemaText } from "../iceberg/schema_json.ts";
import type { ColumnBatch } from "../parquet/parquet.ts";

/** What writes files. */
export type FileWriting = Pick<Lake, "store" | "location" | "writer" | "nextTurn">;

/**
 * Writes rows, sorted by key, under a name that no other file has. Nothing names it until a commit
 * does.
 *
 * @param lake what writes files
 * @param metadata the table
 * @param batch the rows; not to be used afterwards
 */
export async function writeRows(
  lake: FileWriting,
  metadata: TableMetadata,
  batch: ColumnBatch,
): Promise<DataFile> {
  return await write(lake, metadata, batch, {
    name: "",
    place: { sortOrderId: metadata["default-sort-order-id"] },
  });
}

/**
 * Writes positions of rows of a file that are gone.
 *
 * @param lake what writes files
 * @param metadata the table
 * @param batch the positions; not to be used afterwards
 * @param path the file
 */
export async function writePositions(
  lake: FileWriting,
  metadata: TableMetadata,
  batch: ColumnBatch,
  path: string,
): Promise<DataFile> {
  return await write(lake, metadata, batch, {
    name: "-deletes",
    place: { content: "position-deletes", referencedDataFile: path },
  });
}

/** What is said of a file beside what is in it. */
interface Kind {
  readonly name: string;
  readonly place: Partial<Pick<DataFile, "content" | "sortOrderId" | "referencedDataFile">>;
}

async function write(
  lake: FileWriting,
  metadata: TableMetadata,
  batch: ColumnBatch,
  { name, place }: Kind,
): Promise<DataFile> {
  const text = schemaText({ fields: batch.fields });
  const file = await lake.writer.write(batch, { metadata: new Map([["iceberg.schema", text]]) });
  const filePath = `${metadata.location}/data/${crypto.randomUUID()}${name}.parquet`;
  await lake.store.putObject(keyAt(lake, filePath), file.bytes);
  const specId = metadata["default-spec-id"];
  return dataFileOf(file, { filePath, specId, partition: [], ...place });
}
