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

/** Writes the live files of manifests into as few as hold them; of a few files at a time. */
async function merged(
  lake: LakeFiles,
  draft: Draft,
  group: readonly ManifestFile[],
): Promise<readonly ManifestFile[]> {
  const [first] = group;
  if (first === undefined) return [];
  const files: ManifestFile[] = [];
  let open: ManifestEntry[] = [];
  const write = async () => {
    files.push(...await draft.manifests(first.partitionSpecId, first.content, open));
    open = [];
  };
  for await (const entries of readAhead(group, (file) => entriesOf(lake, draft.metadata, file))) {
    await nextTurn();
    for (const entry of entries) {
      if (!isLive(entry)) continue;
      open.push({ ...entry, status: "existing" });
      if (open.length === MAX_ENTRIES) await write();
    }
  }
  await write();
  return files;
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
    const gone = new Set(group);
    const at = left.findIndex((file) => gone.has(file));
    left = [
      ...left.slice(0, at),
      ...await merged(lake, draft, group),
      ...left.slice(at).filter((file) => !gone.has(file)),
    ];
  }
  return left;
}
