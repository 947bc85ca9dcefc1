/**
 * Makes snapshots of a table from those before. Nothing is written here: a plan has the objects
 * that must be there, and the updates that a catalog then commits.
 *
 * @module
 */

import { Draft, type Operation, type SnapshotOptions, type SnapshotPlan } from "./draft.ts";
import { entriesOf, type LakeFiles, manifestsOf, partitioningOf } from "./lake_files.ts";
import { type DataFile, isLive, type ManifestEntry, type ManifestFile } from "./manifest.ts";
import { liveFilesCount, mergeManifests } from "./merge_manifests.ts";
import { MetadataError, type TableMetadata } from "./metadata.ts";
import { readAhead } from "./read_ahead.ts";
import { compareValues, decodeValue } from "./single_value.ts";
import { type FileChanges, summaryCounts } from "./summary.ts";
import { partitionKey } from "./transform.ts";

export type { NewObject, Operation, SnapshotOptions, SnapshotPlan } from "./draft.ts";
export type { FileChanges } from "./summary.ts";

const OWN = "lakesync.";

/** What the snapshot before says of LakeSync. */
function carried({ parent }: Draft): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(parent?.summary ?? {}).filter(([name]) => name.startsWith(OWN)),
  );
}

/** The manifests that a snapshot begins with: those of its parent that have files. */
async function inherited(lake: LakeFiles, { parent }: Draft): Promise<readonly ManifestFile[]> {
  return (await manifestsOf(lake, parent)).filter((file) => liveFilesCount(file) > 0);
}

/**
 * Makes a snapshot with more files. Manifests of earlier ones are used as they are, until there are
 * too many.
 *
 * @param lake where objects are
 * @param metadata the table
 * @param files files of data
 * @param options how
 */
export async function appendFiles(
  lake: LakeFiles,
  metadata: TableMetadata,
  files: readonly DataFile[],
  options: SnapshotOptions,
): Promise<SnapshotPlan> {
  const draft = new Draft(lake, metadata, options);
  const before = await mergeManifests(lake, draft, await inherited(lake, draft));
  const added = await draft.addedManifests(files);
  return draft.finish(
    "append",
    [...before, ...added],
    summaryCounts(draft.parent, { added: files, removed: [] }),
  );
}

/**
 * Makes a snapshot that has the files of the one before, and a summary of its own. What that said
 * of LakeSync is carried on, where the options say nothing else.
 *
 * @param lake where objects are
 * @param metadata the table
 * @param options how
 */
export async function emptySnapshot(
  lake: LakeFiles,
  metadata: TableMetadata,
  options: SnapshotOptions,
): Promise<SnapshotPlan> {
  const draft = new Draft(lake, metadata, options);
  const counts = summaryCounts(draft.parent, { added: [], removed: [] });
  return draft.finish("append", await inherited(lake, draft), { ...counts, ...carried(draft) });
}

/**
 * Makes a snapshot of the same files in few manifests. What the one before said of LakeSync is
 * carried on.
 *
 * @param lake where objects are
 * @param metadata the table
 * @param options how
 */
export async function rewriteManifests(
  lake: LakeFiles,
  metadata: TableMetadata,
  options: SnapshotOptions,
): Promise<SnapshotPlan> {
  const draft = new Draft(lake, metadata, options);
  const files = await mergeManifests(lake, draft, await inherited(lake, draft), 1);
  const counts = summaryCounts(draft.parent, { added: [], removed: [] });
  return draft.finish("replace", files, { ...counts, ...carried(draft) });
}

/** Whether a manifest may have a file, by its partitions. */
function mayHave(metadata: TableMetadata, manifest: ManifestFile, file: DataFile): boolean {
  if (manifest.content !== (file.content === "data" ? "data" : "deletes")) return false;
  if (manifest.partitionSpecId !== file.specId) return false;
  const { types } = partitioningOf(metadata, file.specId);
  return manifest.partitions?.every(({ containsNull, lowerBound, upperBound }, i) => {
    const [type, value] = [types[i], file.partition[i] ?? null];
    if (value === null) return containsNull;
    if (type === undefined || lowerBound === undefined || upperBound === undefined) return false;
    return compareValues(value, decodeValue(type, lowerBound)) >= 0 &&
      compareValues(value, decodeValue(type, upperBound)) <= 0;
  }) ?? true;
}

/** Takes files out of manifests; one that has none of them is left as it is. */
async function withoutFiles(
  lake: LakeFiles,
  draft: Draft,
  manifests: readonly ManifestFile[],
  removed: readonly DataFile[],
): Promise<readonly ManifestFile[]> {
  const wanted = new Map(removed.map((file) => [file.filePath, file]));
  const places = new Map(removed.map((file) => [
    `${file.content} ${partitionKey(file.specId, file.partition)}`,
    file,
  ]));
  const candidates = manifests.filter((manifest) =>
    places.values().some((file) => mayHave(draft.metadata, manifest, file))
  );
  const left = new Map(
    manifests.map((manifest) => [manifest, [manifest] as readonly ManifestFile[]]),
  );
  const read = readAhead(candidates, async (manifest) => ({
    manifest,
    entries: await entriesOf(lake, draft.metadata, manifest),
  }));
  for await (const { manifest, entries } of read) {
    const live = [...entries].filter(isLive);
    const hit = new Set(live.filter(({ dataFile }) => wanted.delete(dataFile.filePath)));
    if (hit.size > 0) left.set(manifest, await rewritten(draft, manifest, live, hit));
    if (wanted.size === 0) break;
  }
  for (const path of wanted.keys()) throw new MetadataError(`The table does not have ${path}`);
  return [...left.values()].flat();
}

function rewritten(
  draft: Draft,
  { partitionSpecId, content }: ManifestFile,
  live: readonly ManifestEntry[],
  hit: ReadonlySet<ManifestEntry>,
): Promise<readonly ManifestFile[]> {
  const entries = live.map((entry): ManifestEntry =>
    hit.has(entry)
      ? { ...entry, status: "deleted", snapshotId: draft.id }
      : { ...entry, status: "existing" }
  );
  return draft.manifests(partitionSpecId, content, entries);
}

function operationOf({ added, removed }: FileChanges): Operation {
  if (removed.length === 0 && added.every(({ content }) => content === "data")) return "append";
  return added.every(({ content }) => content !== "data") ? "delete" : "overwrite";
}

/**
 * Makes a snapshot in which files are replaced, or rows are taken away by files of deletes. Deletes
 * act on rows of earlier snapshots only, and on files that were added by the same one.
 *
 * @param lake where objects are
 * @param metadata the table
 * @param changes files that come and go; those that go by their paths, specs and partitions
 * @param options how
 * @throws {MetadataError} when the table does not have a file that is to go
 */
export async function overwriteFiles(
  lake: LakeFiles,
  metadata: TableMetadata,
  changes: FileChanges,
  options: SnapshotOptions,
): Promise<SnapshotPlan> {
  const draft = new Draft(lake, metadata, options);
  const before = await inherited(lake, draft);
  const kept = await withoutFiles(lake, draft, before, changes.removed);
  const merged = await mergeManifests(lake, draft, kept);
  const added = await draft.addedManifests(changes.added);
  return draft.finish(
    operationOf(changes),
    [...merged, ...added],
    summaryCounts(draft.parent, changes),
  );
}
