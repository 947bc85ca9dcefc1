/**
 * Which files of deletes take rows away from which files of data. Pure.
 * Source: Iceberg table specification, "Scan Planning", "Position Delete Files".
 *
 * @module
 */

import type { DataFile, ManifestEntry } from "./manifest.ts";
import { compareValues } from "./single_value.ts";
import { partitionKey } from "./transform.ts";

/** The id of the column `file_path` of files of position deletes. */
export const DELETE_PATH_ID = 2_147_483_546;
/** The id of their column `pos`. */
export const DELETE_POSITION_ID = 2_147_483_545;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The one file of data that a file of position deletes is about, if it is one and known. */
function onlyPath({ referencedDataFile, lowerBounds, upperBounds }: DataFile): string | undefined {
  if (referencedDataFile !== undefined) return referencedDataFile;
  const [low, high] = [lowerBounds?.get(DELETE_PATH_ID), upperBounds?.get(DELETE_PATH_ID)];
  if (low === undefined || high === undefined || compareValues(low, high) !== 0) return undefined;
  return decoder.decode(low);
}

function mayName({ lowerBounds, upperBounds }: DataFile, path: string): boolean {
  const bytes = encoder.encode(path);
  const [low, high] = [lowerBounds?.get(DELETE_PATH_ID), upperBounds?.get(DELETE_PATH_ID)];
  return (low === undefined || compareValues(low, bytes) <= 0) &&
    (high === undefined || compareValues(high, bytes) >= 0);
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}

/** Finds deletes. */
export class DeleteIndex {
  readonly #ofPath = new Map<string, ManifestEntry[]>();
  readonly #ofPartition = new Map<string, ManifestEntry[]>();
  readonly #everywhere: ManifestEntry[] = [];

  /**
   * Adds a file of deletes.
   *
   * @param entry the file
   */
  add(entry: ManifestEntry): void {
    const { content, specId, partition } = entry.dataFile;
    const path = content === "position-deletes" ? onlyPath(entry.dataFile) : undefined;
    if (path !== undefined) push(this.#ofPath, path, entry);
    else if (content === "equality-deletes" && partition.length === 0) {
      this.#everywhere.push(entry);
    } else push(this.#ofPartition, partitionKey(specId, partition), entry);
  }

  /**
   * Finds the files that take rows away from a file of data.
   *
   * @param entry the file of data
   */
  of({ dataFile, sequenceNumber }: ManifestEntry): readonly DataFile[] {
    const { filePath, specId, partition } = dataFile;
    const candidates = [
      ...this.#ofPath.get(filePath) ?? [],
      ...this.#ofPartition.get(partitionKey(specId, partition)) ?? [],
      ...this.#everywhere,
    ];
    return candidates.filter((deletes) =>
      deletes.dataFile.content === "equality-deletes"
        ? deletes.sequenceNumber > sequenceNumber
        : deletes.sequenceNumber >= sequenceNumber && mayName(deletes.dataFile, filePath)
    ).map((deletes) => deletes.dataFile);
  }
}
