/**
 * Which snapshots of an earlier process can go on being served.
 *
 * @module
 */

import type { ObjectStore } from "@lakesync/adapters/object-store";
import type { Catalog, CatalogVersion } from "./catalog.ts";
import type { CheckpointFacts } from "./checkpoint_house.ts";
import { objectsOf, readManifest, type SnapshotManifest } from "./checkpoint_snapshot.ts";
import { familyOfBucket, type RuleBook } from "./rule_book.ts";

/** A snapshot that an earlier process has built. */
export interface KeptSnapshot {
  /** What it says of itself. */
  readonly manifest: SnapshotManifest;
  /** The schema version that it is for. */
  readonly version: CatalogVersion;
}

/** Where snapshots are kept. */
export interface KeptPlace {
  /** Keeps them. */
  readonly objects: ObjectStore;
  /** The folder that has one for each. */
  readonly folder: string;
  /** Whether other processes may keep theirs there at this moment. */
  readonly shared: boolean;
}

/**
 * Finds the snapshots that can go on being served, and deletes what is of no use.
 *
 * @param place where they are
 * @param facts of the gateway
 */
export async function takeUp(
  { objects, folder, shared }: KeptPlace,
  facts: CheckpointFacts,
): Promise<readonly KeptSnapshot[]> {
  const found = new Map<string, Map<string, number>>();
  for await (const { key, bytes } of objects.listObjects(folder)) {
    const [id = "", name = ""] = key.slice(folder.length + 1).split("/");
    let names = found.get(id);
    if (names === undefined) found.set(id, names = new Map());
    names.set(name, bytes);
  }
  const kept: KeptSnapshot[] = [];
  for (const [id, names] of found) {
    const manifest = await readManifest(objects, `${folder}/${id}`);
    // Another process may be building what has no manifest yet.
    if (manifest === undefined && shared) continue;
    // Or it has kept what it read of later commits, or writes chunks anew.
    const isAhead = manifest !== undefined &&
      (lastOf(manifest) > facts.headSeq || hasNewer(manifest, names));
    if (shared && isAhead) continue;
    const version = manifest && versionOf(manifest, id, names, facts);
    const needed = manifest && version ? objectsOf(manifest) : new Map<string, undefined>();
    const useless = [...names.keys()].filter((name) => !needed.has(name));
    await objects.deleteObjects(useless.map((name) => `${folder}/${id}/${name}`));
    if (manifest !== undefined && version !== undefined) kept.push({ manifest, version });
  }
  return kept;
}

/** The schema version of a snapshot that can go on being served. */
function versionOf(
  manifest: SnapshotManifest,
  id: string,
  names: ReadonlyMap<string, number>,
  { catalog, book, horizonSeq, headSeq, isOurs }: CheckpointFacts,
): CatalogVersion | undefined {
  const { life, cleanThrough, bucketId, version } = manifest;
  const last = lastOf(manifest);
  // A restored history has no other life before its first commit.
  if (last > headSeq) return undefined;
  if (manifest.id !== id || !isOurs(life, last) || cleanThrough < horizonSeq) return undefined;
  // A stream that resumes may have had chunks that this history does not make.
  if (hasNewer(manifest, names)) return undefined;
  for (const [name, bytes] of objectsOf(manifest)) {
    const size = names.get(name);
    if (size === undefined || (bytes !== undefined && bytes !== size)) return undefined;
  }
  return isServed(bucketId, version, catalog, book) ? catalog.version(version) : undefined;
}

/** The last commit that a snapshot knows of. */
function lastOf({ cleanThrough, through }: SnapshotManifest): number {
  return Math.max(cleanThrough, through);
}

/** Whether chunks were written anew that the manifest does not name, by the sizes of all objects. */
function hasNewer({ chunks }: SnapshotManifest, names: ReadonlyMap<string, number>): boolean {
  return [...names.keys()].some((name) => {
    const [, number, revision] = /^(\d+)\.(\d+)\.gz$/.exec(name) ?? [];
    const chunk = chunks[Number(number)];
    return chunk !== undefined && Number(revision) > chunk.revision;
  });
}

/**
 * Whether anyone may be granted a bucket under a schema version.
 *
 * @param bucketId the bucket's stored id
 * @param version the schema version
 * @param catalog the schema
 * @param book the rules
 */
export function isServed(
  bucketId: string,
  version: number,
  catalog: Catalog,
  book: RuleBook,
): boolean {
  const placed = book.family(familyOfBucket(bucketId));
  return catalog.versions.includes(version) && placed !== undefined &&
    placed.retiredSeq === undefined;
}
