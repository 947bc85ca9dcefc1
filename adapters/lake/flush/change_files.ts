/**
 * The files of a table of changes, with what is known of the commits in them.
 *
 * @module
 */

import type { LoadedTable } from "../catalog/catalog.ts";
import { entriesOf, type LakeFiles, manifestsOf } from "../iceberg/lake_files.ts";
import { type DataFile, isLive, type ManifestEntry } from "../iceberg/manifest.ts";
import { decodeValue } from "../iceberg/single_value.ts";
import { SEQ } from "./layout.ts";

/** A file of changes. */
export interface ChangesFile {
  /** The file. */
  readonly file: DataFile;
  /** Its day, in days since 1970. */
  readonly day: number;
  /** No commit of it is before this one. */
  readonly fromSeq: number;
  /** No commit of it is after this one. */
  readonly toSeq: number;
  /** The sequence number of the commit that it came with. */
  readonly sequenceNumber: number;
}

/**
 * Lists the files of a table of changes.
 *
 * @param lake where objects are
 * @param table the table
 */
export async function changesFiles(
  lake: LakeFiles,
  { metadata, snapshot }: LoadedTable,
): Promise<readonly ChangesFile[]> {
  const files: ChangesFile[] = [];
  for (const manifest of await manifestsOf(lake, snapshot)) {
    if (manifest.content !== "data") continue;
    for (const entry of await entriesOf(lake, metadata, manifest)) {
      if (isLive(entry)) files.push(changesFile(entry));
    }
  }
  return files;
}

function changesFile({ dataFile: file, sequenceNumber }: ManifestEntry): ChangesFile {
  const bound = (bytes: Uint8Array | undefined, unknown: number) =>
    bytes === undefined ? unknown : Number(decodeValue("long", bytes));
  return {
    file,
    sequenceNumber,
    day: Number(file.partition[0] ?? 0),
    fromSeq: bound(file.lowerBounds?.get(SEQ), 0),
    toSeq: bound(file.upperBounds?.get(SEQ), Infinity),
  };
}
