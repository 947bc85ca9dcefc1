/**
 * Which objects the snapshots of a table name. What is read of an object that never changes is
 * remembered, as far as there is room.
 *
 * @module
 */

import { entriesOf, type LakeFiles, manifestsOf } from "../iceberg/lake_files.ts";
import { isLive, type ManifestFile } from "../iceberg/manifest.ts";
import type { Snapshot, TableMetadata } from "../iceberg/metadata.ts";

/** So many names are remembered, at most. */
const MAX_NAMES = 200_000;

/** What a manifest names. */
interface Named {
  /** Files that are in the table. */
  readonly live: readonly string[];
  /** Files that it takes away. */
  readonly deleted: readonly string[];
}

/**
 * Finds the objects that properties and summaries name: alone, or in a JSON array.
 *
 * @param lake where objects are
 * @param texts properties and summaries
 */
export function locationsIn(
  { location }: Pick<LakeFiles, "location">,
  texts: readonly (Readonly<Record<string, string>> | undefined)[],
): readonly string[] {
  const found: string[] = [];
  for (const text of texts.flatMap((each) => Object.values(each ?? {}))) {
    if (!text.includes(location.root)) continue;
    for (const part of text.split(/["\s]+/)) {
      if (location.keyOf(part) !== undefined) found.push(part);
    }
  }
  return found;
}

/** Reads what snapshots name. */
export class Reach {
  readonly #lists = new Map<string, readonly ManifestFile[]>();
  readonly #manifests = new Map<string, Named>();
  #names = 0;

  /**
   * Adds what snapshots name: lists of manifests, manifests and files.
   *
   * @param lake where objects are
   * @param metadata the table
   * @param snapshots which
   * @param known locations, to which it is added
   */
  async addNamed(
    lake: LakeFiles,
    metadata: TableMetadata,
    snapshots: readonly Snapshot[],
    known: Set<string>,
  ): Promise<void> {
    for (const snapshot of snapshots) {
      known.add(snapshot["manifest-list"]);
      for (const manifest of await this.#manifestsOf(lake, snapshot)) {
        if (known.has(manifest.manifestPath)) continue;
        known.add(manifest.manifestPath);
        const { live } = await this.#namedBy(lake, metadata, manifest);
        for (const path of live) known.add(path);
      }
    }
  }

  /**
   * Finds what some snapshots name and others do not.
   *
   * @param lake where objects are
   * @param metadata the table, as long as it has all of them
   * @param gone those that go
   * @param kept those that stay
   * @returns locations of files, manifests and lists
   */
  async namedOnlyBy(
    lake: LakeFiles,
    metadata: TableMetadata,
    gone: readonly Snapshot[],
    kept: readonly Snapshot[],
  ): Promise<readonly string[]> {
    const stays = new Set<string>();
    await this.addNamed(lake, metadata, kept, stays);
    const goes = new Set<string>();
    for (const snapshot of gone) {
      for (const manifest of await this.#manifestsOf(lake, snapshot)) {
        const { manifestPath } = manifest;
        if (stays.has(manifestPath) || goes.has(manifestPath)) continue;
        goes.add(manifestPath);
        const { live, deleted } = await this.#namedBy(lake, metadata, manifest);
        for (const path of [...live, ...deleted]) goes.add(path);
      }
      goes.add(snapshot["manifest-list"]);
    }
    return [...goes].filter((path) => !stays.has(path));
  }

  async #manifestsOf(lake: LakeFiles, snapshot: Snapshot): Promise<readonly ManifestFile[]> {
    const list = snapshot["manifest-list"];
    const known = this.#lists.get(list);
    if (known !== undefined) return known;
    const manifests = await manifestsOf(lake, snapshot);
    this.#remember(this.#lists, list, manifests, manifests.length);
    return manifests;
  }

  async #namedBy(
    lake: LakeFiles,
    metadata: TableMetadata,
    manifest: ManifestFile,
  ): Promise<Named> {
    const known = this.#manifests.get(manifest.manifestPath);
    if (known !== undefined) return known;
    const named = { live: [] as string[], deleted: [] as string[] };
    for (const entry of await entriesOf(lake, metadata, manifest)) {
      (isLive(entry) ? named.live : named.deleted).push(entry.dataFile.filePath);
    }
    const names = named.live.length + named.deleted.length;
    this.#remember(this.#manifests, manifest.manifestPath, named, names);
    return named;
  }

  #remember<T>(map: Map<string, T>, name: string, value: T, names: number): void {
    this.#names += names + 1;
    if (this.#names > MAX_NAMES) {
      this.#lists.clear();
      this.#manifests.clear();
      this.#names = names + 1;
    }
    map.set(name, value);
  }
}
