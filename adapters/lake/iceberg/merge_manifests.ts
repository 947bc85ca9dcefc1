/**
 * Makes few manifests of many. Manifests have a level by how many files they have, and are put
 * together when a level has too many, so each file is written into few manifests, however many
 * snapshots there are, and a list of manifests stays short.
 *
 * @module
 */

import { type Draft, MAX_ENTRIES, nextTurn } from "./draft.ts";
import { entriesOf, type LakeFiles } from "./lake_files.ts";
import { isLive, type ManifestEntry, type ManifestFile } from "./manifest.ts";
import type { TableMetadata } from "./metadata.ts";
import { readAhead } from "./read_ahead.ts";

/** So many manifests of a level are kept; with more they are put together. */
export const MAX_OF_LEVEL = 100;

/** How many live files a manifest has. */
export function liveFilesCount(file: ManifestFile): number {
  return file.addedFilesCount + file.existingFilesCount;
}

const FULL = 2;

function levelOf(file: ManifestFile): number {
  const count = liveFilesCount(file);
  return count >= MAX_ENTRIES ? FULL : count >= MAX_ENTRIES ** 0.5 ? 1 : 0;
}

/**
 * Finds manifests that are to be put together.
 *
 * @param files manifests of a snapshot
 * @param most so many of a level may be left as they are
 * @returns groups of two or more, each of one spec and content
 */
export function manifestGroups(
  files: readonly ManifestFile[],
  most: number = MAX_OF_LEVEL,
): readonly (readonly ManifestFile[])[] {
  const open = files.filter((file) => levelOf(file) < FULL);
  const levels = Map.groupBy(
    open,
    (file) => `${file.content} ${file.partitionSpecId} ${most === 1 ? "" : levelOf(file)}`,
  );
  return [...levels.values()].filter((level) => level.length > most);
}

/**
 * Reads the live files of manifests.
 *
 * @param lake where objects are
 * @param metadata the table
 * @param files the manifests
 * @returns the files, as a later snapshot has them
 */
export async function existingEntries(
  lake: LakeFiles,
  metadata: TableMetadata,
  files: readonly ManifestFile[],
): Promise<readonly ManifestEntry[]> {
  const all: ManifestEntry[] = [];
  for await (const entries of readAhead(files, (file) => entriesOf(lake, metadata, file))) {
    await nextTurn();
    for (const entry of entries) {
      if (isLive(entry)) all.push({ ...entry, status: "existing" });
    }
  }
  return all;
}

/**
 * Puts manifests together where there are too many. Those that the draft has made are left: they
 * are not written yet.
 *
 * @param lake where objects are
 * @param draft the snapshot that is being made
 * @param files manifests that it begins with
 * @param most so many of a level may be left as they are
 * @returns the manifests, fewer
 */
export async function mergeManifests(
  lake: LakeFiles,
  draft: Draft,
  files: readonly ManifestFile[],
  most: number = MAX_OF_LEVEL,
): Promise<readonly ManifestFile[]> {
  let left = files;
  const written = files.filter(({ addedSnapshotId }) => addedSnapshotId !== draft.id);
  for (const group of manifestGroups(written, most)) {
    const [first] = group;
    if (first === undefined) continue;
    const entries = await existingEntries(lake, draft.metadata, group);
    const merged = await draft.manifests(first.partitionSpecId, first.content, entries);
    const gone = new Set(group);
    const at = left.indexOf(first);
    left = [
      ...left.slice(0, at),
      ...merged,
      ...left.slice(at).filter((file) => !gone.has(file)),
    ];
  }
  return left;
}
