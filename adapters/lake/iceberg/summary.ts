/**
 * What a snapshot says of itself: counts of what it did and of what there is. Pure.
 * Source: Iceberg table specification, "Appendix F: Optional Snapshot Summary Fields".
 *
 * @module
 */

import type { DataFile } from "./manifest.ts";
import type { Snapshot } from "./metadata.ts";
import { partitionKey } from "./transform.ts";

/** Files and rows, by what they are. */
interface Tally {
  files: number;
  rows: number;
}

/** What was added, or taken away. */
interface Side {
  readonly data: Tally;
  readonly position: Tally;
  readonly equality: Tally;
  bytes: number;
}

/** What a snapshot does. */
export interface FileChanges {
  /** Files that it adds. */
  readonly added: readonly DataFile[];
  /** Files that it takes away. */
  readonly removed: readonly DataFile[];
}

function tally(files: readonly DataFile[]): Side {
  const side: Side = {
    data: { files: 0, rows: 0 },
    position: { files: 0, rows: 0 },
    equality: { files: 0, rows: 0 },
    bytes: 0,
  };
  for (const { content, recordCount, fileSizeInBytes } of files) {
    const kind = content === "data"
      ? "data"
      : content === "position-deletes"
      ? "position"
      : "equality";
    side[kind].files++;
    side[kind].rows += recordCount;
    side.bytes += fileSizeInBytes;
  }
  return side;
}

function partitionsOf({ added, removed }: FileChanges): number {
  const partitions = new Set<string>();
  for (const { specId, partition } of [...added, ...removed]) {
    partitions.add(partitionKey(specId, partition));
  }
  return partitions.size;
}

/** Counts of what happened; those that are 0 are left out. */
function changed(added: Side, removed: Side): readonly (readonly [string, number])[] {
  const counts: (readonly [string, number])[] = [
    ["added-data-files", added.data.files],
    ["deleted-data-files", removed.data.files],
    ["added-delete-files", added.position.files + added.equality.files],
    ["removed-delete-files", removed.position.files + removed.equality.files],
    ["added-position-delete-files", added.position.files],
    ["removed-position-delete-files", removed.position.files],
    ["added-equality-delete-files", added.equality.files],
    ["removed-equality-delete-files", removed.equality.files],
    ["added-records", added.data.rows],
    ["deleted-records", removed.data.rows],
    ["added-position-deletes", added.position.rows],
    ["removed-position-deletes", removed.position.rows],
    ["added-equality-deletes", added.equality.rows],
    ["removed-equality-deletes", removed.equality.rows],
    ["added-files-size", added.bytes],
    ["removed-files-size", removed.bytes],
  ];
  return counts.filter(([, count]) => count > 0);
}

/** Each total, and by how much it changes. */
function deltas(added: Side, removed: Side): readonly (readonly [string, number])[] {
  const deletes = (side: Side) => side.position.files + side.equality.files;
  return [
    ["total-data-files", added.data.files - removed.data.files],
    ["total-delete-files", deletes(added) - deletes(removed)],
    ["total-records", added.data.rows - removed.data.rows],
    ["total-files-size", added.bytes - removed.bytes],
    ["total-position-deletes", added.position.rows - removed.position.rows],
    ["total-equality-deletes", added.equality.rows - removed.equality.rows],
  ];
}

/**
 * Makes the counts of a snapshot. A total that the snapshot before does not tell is not told.
 *
 * @param parent the snapshot before
 * @param changes what the new one does
 */
export function summaryCounts(
  parent: Snapshot | undefined,
  changes: FileChanges,
): Readonly<Record<string, string>> {
  const [added, removed] = [tally(changes.added), tally(changes.removed)];
  const partitions = partitionsOf(changes);
  const counts = [
    ...changed(added, removed),
    ...(partitions === 0 ? [] : [["changed-partition-count", partitions] as const]),
  ];
  for (const [name, delta] of deltas(added, removed)) {
    const before = parent === undefined ? 0 : Number(parent.summary[name] ?? NaN);
    if (Number.isSafeInteger(before)) counts.push([name, Math.max(0, before + delta)]);
  }
  return Object.fromEntries(counts.map(([name, count]) => [name, String(count)]));
}
