/**
 * A snapshot that is being made: its manifests, their list, and the updates that bring it in.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { keyAt, type LakeFiles, partitioningOf } from "./lake_files.ts";
import { type ManifestHead, writeManifest, writeManifestList } from "./manifest_file.ts";
import type { DataFile, ManifestEntry, ManifestFile } from "./manifest.ts";
import {
  currentSchema,
  type Long,
  MAIN,
  MetadataError,
  type Snapshot,
  snapshotById,
  type SnapshotRef,
  type TableMetadata,
} from "./metadata.ts";
import type { TableUpdate } from "./updates.ts";

/** What a snapshot does, as engines tell it apart: `replace` changes files but no rows. */
export type Operation = "append" | "replace" | "overwrite" | "delete";

/** How a snapshot is made. */
export interface SnapshotOptions {
  /** The time, in milliseconds since 1970. */
  readonly nowMs: number;
  /** What its summary says beside the counts. */
  readonly summary?: Readonly<Record<string, string>>;
  /** The branch that it is put on; `main` when not given. */
  readonly branch?: string;
  /** Begins with no files, whatever the branch has. */
  readonly fromNothing?: boolean;
  /** What it does; found by its files when not given. */
  readonly operation?: Operation;
  /**
   * The sequence number of the files that it adds, or those of some by their paths, when they have
   * rows of files up to that one which are replaced; the snapshot's own when not given.
   */
  readonly dataSequence?: number | ReadonlyMap<string, number>;
}

/** An object that is to be written. */
export interface NewObject {
  /** Its key. */
  readonly key: string;
  /** What is in it. */
  readonly bytes: Uint8Array;
}

/** A snapshot that can be committed. */
export interface SnapshotPlan {
  /** The snapshot. */
  readonly snapshot: Snapshot;
  /** What must be there before the commit; all have new names. */
  readonly objects: readonly NewObject[];
  /** What the commit changes. */
  readonly updates: readonly TableUpdate[];
}

/** Manifests have a folder of their own, so that metadata is found by a short listing. */
const MANIFESTS = "manifests";

/** So many files a manifest has at most, so that one is read and written in a few milliseconds. */
export const MAX_ENTRIES = 1024;

/** The next turn of the event loop, after others had theirs. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** Longer numbers are read with more care, and slower. */
const MAX_ID_DIGITS = 15;

/** Makes a number that no other snapshot has, well below 2^53. */
function newSnapshotId(metadata: TableMetadata): number {
  for (;;) {
    const [random = 0n] = crypto.getRandomValues(new BigUint64Array(1));
    const id = Number(random % 10n ** BigInt(MAX_ID_DIGITS));
    if (id > 0 && snapshotById(metadata, id) === undefined) return id;
  }
}

/** A snapshot that is being made. */
export class Draft {
  /** The table. */
  readonly metadata: TableMetadata;
  /** The snapshot whose files it begins with. */
  readonly parent: Snapshot | undefined;
  /** Its number. */
  readonly id: number;
  /** Its sequence number. */
  readonly sequenceNumber: number;
  readonly #lake: LakeFiles;
  readonly #options: SnapshotOptions;
  readonly #ref: SnapshotRef | undefined;
  readonly #uuid: string = crypto.randomUUID();
  readonly #objects: NewObject[] = [];

  /**
   * Begins a snapshot.
   *
   * @param lake where objects are
   * @param metadata the table
   * @param options how
   */
  constructor(lake: LakeFiles, metadata: TableMetadata, options: SnapshotOptions) {
    const { branch = MAIN, fromNothing = false } = options;
    this.#lake = lake;
    this.#options = options;
    this.metadata = metadata;
    this.#ref = metadata.refs?.[branch];
    if (this.#ref?.type === "tag") throw new MetadataError(`${branch} is a tag, not a branch`);
    const parent: Long | undefined = this.#ref?.["snapshot-id"];
    this.parent = fromNothing || parent === undefined ? undefined : snapshotById(metadata, parent);
    this.id = newSnapshotId(metadata);
    this.sequenceNumber = metadata["last-sequence-number"] + 1;
  }

  #newLocation(name: string): string {
    return `${this.metadata.location}/${MANIFESTS}/${name}`;
  }

  #write(location: string, bytes: Uint8Array): void {
    this.#objects.push({ key: keyAt(this.#lake, location), bytes });
  }

  /**
   * Writes manifests, as many as the entries need.
   *
   * @param specId the partition spec of the files
   * @param content whether they are of data or of deletes
   * @param entries the files
   */
  async manifests(
    specId: number,
    content: ManifestFile["content"],
    entries: readonly ManifestEntry[],
  ): Promise<readonly ManifestFile[]> {
    const head: Omit<ManifestHead, "manifestPath"> = {
      ...partitioningOf(this.metadata, specId),
      content,
      snapshotId: this.id,
      sequenceNumber: this.sequenceNumber,
      schema: currentSchema(this.metadata),
    };
    const files: ManifestFile[] = [];
    const each = Math.ceil(entries.length / Math.ceil(entries.length / MAX_ENTRIES));
    for (let from = 0; from < entries.length; from += each) {
      const name = `${this.#uuid}-m${this.#objects.length}.avro`;
      const manifestPath = this.#newLocation(name);
      if (from > 0) await nextTurn();
      const part = entries.slice(from, from + each);
      const { bytes, file } = writeManifest({ ...head, manifestPath }, part);
      this.#write(manifestPath, bytes);
      files.push(file);
    }
    return files;
  }

  #added(files: readonly DataFile[]): readonly ManifestEntry[] {
    const { dataSequence: given } = this.#options;
    const sequenceOf = (path: string) => typeof given === "object" ? given.get(path) : given;
    return files.map((dataFile) => ({
      status: "added",
      snapshotId: this.id,
      sequenceNumber: sequenceOf(dataFile.filePath) ?? this.sequenceNumber,
      fileSequenceNumber: this.sequenceNumber,
      dataFile,
    }));
  }

  /**
   * Writes manifests of files that the snapshot adds.
   *
   * @param files the files, of whatever content and spec
   */
  async addedManifests(files: readonly DataFile[]): Promise<readonly ManifestFile[]> {
    const kinds = Map.groupBy(
      files,
      ({ content, specId }) => `${content === "data" ? "data" : "deletes"} ${specId}`,
    );
    const manifests: ManifestFile[] = [];
    for (const kind of kinds.values()) {
      const [first] = kind;
      if (first === undefined) continue;
      const content = first.content === "data" ? "data" : "deletes";
      manifests.push(...await this.manifests(first.specId, content, this.#added(kind)));
    }
    return manifests;
  }

  /**
   * Writes the list, and ends the snapshot.
   *
   * @param operation what it does, unless the options say
   * @param files its manifests
   * @param counts what its summary says beside what the options give
   */
  finish(
    operation: Operation,
    files: readonly ManifestFile[],
    counts: Readonly<Record<string, string>>,
  ): SnapshotPlan {
    const { metadata, parent } = this;
    const { nowMs, summary, branch = MAIN } = this.#options;
    const snapshot: Snapshot = {
      "snapshot-id": this.id,
      ...(parent === undefined ? {} : { "parent-snapshot-id": parent["snapshot-id"] }),
      "sequence-number": this.sequenceNumber,
      // Readers find a snapshot by time, so times go one way whatever the clock does.
      "timestamp-ms": Math.max(metadata["last-updated-ms"], Math.floor(nowMs)),
      "manifest-list": this.#newLocation(`snap-${this.id}-1-${this.#uuid}.avro`),
      summary: { operation: this.#options.operation ?? operation, ...counts, ...summary },
      "schema-id": metadata["current-schema-id"],
    };
    this.#write(snapshot["manifest-list"], writeManifestList(snapshot, files));
    return {
      snapshot,
      objects: this.#objects,
      updates: [
        { action: "add-snapshot", snapshot },
        {
          ...this.#ref,
          action: "set-snapshot-ref",
          "ref-name": branch,
          type: "branch",
          "snapshot-id": this.id,
        },
      ],
    };
  }
}
