/**
 * A snapshot of one bucket for one schema version: its chunks, which of them wait to be written anew
 * without rows that left, and those who wait for chunks that are not there yet.
 *
 * @module
 */

import type { ObjectStore } from "@lakesync/adapters/object-store";
import type { CatalogVersion } from "./catalog.ts";
import { findInIndex, hashName, readChunk, rowName, writeChunk } from "./checkpoint_chunk.ts";

/** A chunk as a manifest lists it. */
export interface ChunkFacts {
  /** How often it was written anew. */
  readonly revision: number;
  /** Its rows. */
  readonly rows: number;
  /** Its size. */
  readonly bytes: number;
}

/** What names a snapshot and says what it was made of. */
export interface SnapshotFacts {
  /** Its name. */
  readonly id: string;
  /** The bucket's number. */
  readonly bucket: number;
  /** The bucket's stored id. */
  readonly bucketId: string;
  /** The schema version. */
  readonly version: number;
  /** The head when its build began. */
  readonly seq: number;
  /** About how many rows it was to have. */
  readonly rows: number;
}

/** What a manifest says. */
export interface SnapshotManifest extends SnapshotFacts {
  /** The life of the data at `cleanThrough` or `through`, whichever is the later. */
  readonly life: string;
  /** Chunks may lack rows because of commits through this one. */
  readonly through: number;
  /** No chunk holds a row that left through this commit. */
  readonly cleanThrough: number;
  /** The last commit by then through which a row left; `seq` if none did. */
  readonly goneSeq: number;
  /** How many rows have left or changed since `seq`. */
  readonly changed: number;
  /** The chunks. */
  readonly chunks: readonly ChunkFacts[];
}

/** Rows that left a bucket, or changed in it, after a commit. */
export interface BucketChanges {
  /** The commit through which they were looked for. */
  readonly through: number;
  /** The names of the rows that left. */
  readonly gone: readonly string[];
  /** The last commit through which one left; 0 if none did. */
  readonly goneSeq: number;
  /** How many left or changed, or a number that is large enough. */
  readonly count: number;
}

interface Chunk extends ChunkFacts {
  /** Rows to be taken from it before it is read; some may not be in it. */
  pending: Set<string>;
  /** Set while it is written anew. */
  rewriting: Promise<void> | undefined;
}

/** What a snapshot stands on. */
export interface SnapshotContext {
  /** Keeps the chunks. */
  readonly objects: ObjectStore;
  /** The folder of the snapshot's objects. */
  readonly folder: string;
  /** The schema as its clients know it. */
  readonly names: CatalogVersion;
  /** A later turn of the event loop. */
  readonly nextTurn: () => Promise<void>;
  /** The revision after one; where several processes have the snapshot, no two give the same. */
  readonly nextRevision: (revision: number) => number;
}

/** How a snapshot begins that is made of rows from elsewhere. */
export interface SnapshotStart {
  /** The head at which the bucket's index was read for it; no chunk has a row that left by then. */
  readonly headSeq: number;
  /** The last commit by then through which a row left; the snapshot's seq if none did. */
  readonly goneSeq: number;
  /** How many rows have left or changed since the snapshot's seq. */
  readonly changed: number;
}

const MANIFEST = "manifest.json";

/** Chunks of a bucket. */
export class Snapshot {
  readonly facts: SnapshotFacts;
  readonly #context: SnapshotContext;
  readonly #chunks: Chunk[] = [];
  #cleanThrough: number;
  #goneSeq: number;
  /** The last head at which rows were read into chunks. */
  #readThrough: number;
  #changed = 0;
  /** Rows that left while it is built. */
  #left: Set<string> | undefined = new Set();
  #cleaning: Promise<void> = Promise.resolve();
  #done = false;
  #failure: { readonly error: unknown } | undefined;
  #moved: PromiseWithResolvers<void> = Promise.withResolvers();
  #keptThrough = -1;
  #keeping: Promise<void> = Promise.resolve();
  readonly #obsolete: string[] = [];
  /** Whether chunks that are there are kept back. */
  #isHeld: boolean;
  /** Streams that read it. */
  readers = 0;

  /**
   * Begins a snapshot that is to be built.
   *
   * @param facts what it is of
   * @param context what it stands on
   * @param start given where its rows come from elsewhere: no chunk is read until all are there, or
   * until it is begun anew
   */
  constructor(facts: SnapshotFacts, context: SnapshotContext, start?: SnapshotStart) {
    this.facts = facts;
    this.#context = context;
    this.#cleanThrough = start?.headSeq ?? facts.seq;
    this.#goneSeq = start?.goneSeq ?? facts.seq;
    this.#readThrough = start?.headSeq ?? facts.seq;
    this.#changed = start?.changed ?? 0;
    this.#isHeld = start !== undefined;
  }

  /** Takes up a snapshot that was built before. */
  static of(manifest: SnapshotManifest, context: SnapshotContext): Snapshot {
    const { id, bucket, bucketId, version, seq, rows } = manifest;
    const snapshot = new Snapshot({ id, bucket, bucketId, version, seq, rows }, context);
    for (const chunk of manifest.chunks) {
      snapshot.#chunks.push({ ...chunk, pending: new Set(), rewriting: undefined });
    }
    snapshot.#cleanThrough = manifest.cleanThrough;
    snapshot.#keptThrough = manifest.cleanThrough;
    snapshot.#goneSeq = manifest.goneSeq;
    snapshot.#readThrough = manifest.through;
    snapshot.#changed = manifest.changed;
    snapshot.#left = undefined;
    snapshot.#done = true;
    return snapshot;
  }

  /** Whether all chunks are there. */
  get done(): boolean {
    return this.#done;
  }

  /** Whether it cannot be read. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** No chunk is read with a row that left through this commit. */
  get cleanThrough(): number {
    return this.#cleanThrough;
  }

  /** The last commit by then through which a row left. */
  get goneSeq(): number {
    return this.#goneSeq;
  }

  /**
   * Chunks may lack rows because of commits through this one: rows that left, or that had changed
   * before they were read. A history without it does not tell them again.
   */
  get through(): number {
    return Math.max(this.#readThrough, this.#goneSeq);
  }

  /** Says that rows are read into chunks as they are at a head. */
  readAt(headSeq: number): void {
    this.#readThrough = Math.max(this.#readThrough, headSeq);
  }

  /** How many rows have left or changed since it was begun. */
  get changed(): number {
    return this.#changed;
  }

  /** The key of one of its objects. */
  key(name: string): string {
    return `${this.#context.folder}/${name}`;
  }

  #chunkKey(number: number, revision: number): string {
    return this.key(`${number}.${revision}.gz`);
  }

  #indexKey(number: number): string {
    return this.key(`${number}.index`);
  }

  /** Adds the next chunk; chunks are added one after the other. */
  async add(chunk: Uint8Array, index: Uint8Array, rows: readonly string[]): Promise<void> {
    const number = this.#chunks.length;
    await Promise.all([
      this.#context.objects.putObject(this.#chunkKey(number, 0), chunk),
      this.#context.objects.putObject(this.#indexKey(number), index),
    ]);
    const left = this.#left ?? new Set();
    const pending = left.size === 0 ? [] : rows.filter((name) => left.has(name));
    this.#chunks.push({
      revision: 0,
      rows: rows.length,
      bytes: chunk.length,
      pending: new Set(pending),
      rewriting: undefined,
    });
    this.#move();
  }

  /** Forgets the chunks, none of which was read, and from then on keeps none back. */
  async restart(): Promise<void> {
    const before = this.#cleaning;
    const restarted = before.catch(() => {}).then(() => {
      this.#chunks.length = 0;
      this.#isHeld = false;
    });
    this.#cleaning = restarted;
    await restarted;
  }

  /** Says that all chunks are there. */
  finish(): void {
    this.#done = true;
    this.#isHeld = false;
    this.#left = undefined;
    this.#move();
  }

  /** Says that it cannot be read, and why. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#move();
  }

  #move(): void {
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
  }

  /**
   * Sees to it that no chunk is read with a row that left through the bucket's last change.
   *
   * @param bucketSeq the bucket's last change
   * @param read reads what changed after a commit
   */
  async clean(
    bucketSeq: number,
    read: (after: number) => Promise<BucketChanges>,
  ): Promise<void> {
    const before = this.#cleaning;
    const cleaned = before.catch(() => {}).then(() => this.#clean(bucketSeq, read));
    this.#cleaning = cleaned;
    await cleaned;
  }

  async #clean(bucketSeq: number, read: (after: number) => Promise<BucketChanges>): Promise<void> {
    if (bucketSeq <= this.#cleanThrough) return;
    const { through, gone, goneSeq, count } = await read(this.#cleanThrough);
    if (gone.length > 0) await this.#mark(gone);
    this.#cleanThrough = through;
    this.#goneSeq = Math.max(this.#goneSeq, goneSeq);
    this.#changed += count;
  }

  async #mark(gone: readonly string[]): Promise<void> {
    // Before the chunks are looked at, so that one that is added meanwhile is held against them.
    for (const name of gone) this.#left?.add(name);
    const wanted = Map.groupBy(gone, hashName);
    const present = this.#chunks.length;
    for (let number = 0; number < present; number++) {
      const index = await this.#context.objects.getObject(this.#indexKey(number));
      if (index === undefined) throw this.#broken();
      const { pending } = this.#chunk(number);
      for (const name of findInIndex(index, wanted)) pending.add(name);
    }
  }

  /** Whether there is a chunk of that number; waits until that is known. */
  async has(number: number): Promise<boolean> {
    while (this.#isHeld || number >= this.#chunks.length) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#done) return false;
      await this.#moved.promise;
    }
    return true;
  }

  /** Reads a chunk; undefined behind the last one. Waits for one that is not there yet. */
  async read(number: number): Promise<Uint8Array | undefined> {
    if (!await this.has(number)) return undefined;
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error;
      const chunk = this.#chunk(number);
      if (chunk.pending.size > 0) {
        await this.#rewritten(number, chunk);
        continue;
      }
      const { revision, bytes } = chunk;
      const read = await this.#context.objects.getObject(this.#chunkKey(number, revision));
      if (revision !== this.#chunk(number).revision) continue;
      if (read?.length !== bytes) throw this.#broken();
      return read;
    }
  }

  #chunk(number: number): Chunk {
    const chunk = this.#chunks[number];
    if (chunk === undefined) throw this.#broken();
    return chunk;
  }

  #broken(): Error {
    const error = new Error(`Objects of the snapshot in ${this.#context.folder} are missing`);
    this.fail(error);
    return error;
  }

  async #rewritten(number: number, chunk: Chunk): Promise<void> {
    chunk.rewriting ??= this.#rewrite(number, chunk)
      .finally(() => chunk.rewriting = undefined);
    await chunk.rewriting;
  }

  async #rewrite(number: number, chunk: Chunk): Promise<void> {
    const { objects, names, nextTurn } = this.#context;
    const { revision } = chunk;
    const next = this.#context.nextRevision(revision);
    const taken = [...chunk.pending];
    const drop = new Set(taken);
    const old = await objects.getObject(this.#chunkKey(number, revision));
    if (old?.length !== chunk.bytes) throw this.#broken();
    const changes = await readChunk(old, nextTurn);
    const kept = changes.filter(({ shape, rowId }) => {
      const table = names.table(shape.table)?.id ?? 0;
      return !drop.has(rowName({ table, rowId }));
    });
    if (kept.length < changes.length) {
      const written = await writeChunk(kept, nextTurn);
      await objects.putObject(this.#chunkKey(number, next), written);
      this.#obsolete.push(this.#chunkKey(number, revision));
      const facts = { revision: next, rows: kept.length, bytes: written.length };
      Object.assign(chunk, facts);
    }
    for (const name of taken) chunk.pending.delete(name);
  }

  /**
   * Writes the manifest when there is something new in it and every chunk is clean. Until then the
   * one before holds, and the chunks that it names are kept.
   *
   * @param lifeAt the life of the data at a commit
   */
  async keep(lifeAt: (seq: number) => string): Promise<void> {
    const kept = this.#keeping.catch(() => {}).then(() => this.#keep(lifeAt));
    this.#keeping = kept;
    await kept;
  }

  async #keep(lifeAt: (seq: number) => string): Promise<void> {
    const cleanThrough = this.#cleanThrough;
    if (!this.#done || this.failed || cleanThrough <= this.#keptThrough) return;
    if (this.#chunks.some(({ pending }) => pending.size > 0)) return;
    const { through } = this;
    const manifest: SnapshotManifest = {
      ...this.facts,
      life: lifeAt(Math.max(cleanThrough, through)),
      cleanThrough,
      through,
      goneSeq: this.#goneSeq,
      changed: this.#changed,
      chunks: this.#chunks.map(({ revision, rows, bytes }) => ({ revision, rows, bytes })),
    };
    const obsolete = [...this.#obsolete];
    const bytes = new TextEncoder().encode(JSON.stringify(manifest));
    await this.#context.objects.putObject(this.key(MANIFEST), bytes);
    this.#keptThrough = cleanThrough;
    this.#obsolete.splice(0, obsolete.length);
    await this.#context.objects.deleteObjects(obsolete);
  }

  /** Deletes its objects, the manifest first. */
  async delete(): Promise<void> {
    const { objects, folder } = this.#context;
    await objects.deleteObject(this.key(MANIFEST));
    const heads = await Array.fromAsync(objects.listObjects(folder));
    await objects.deleteObjects(heads.map(({ key }) => key));
  }
}

/** The names of the objects that a manifest speaks of, itself too, and the sizes of the chunks. */
export function objectsOf({ chunks }: SnapshotManifest): ReadonlyMap<string, number | undefined> {
  const names = new Map<string, number | undefined>([[MANIFEST, undefined]]);
  for (const [number, { revision, bytes }] of chunks.entries()) {
    names.set(`${number}.${revision}.gz`, bytes);
    names.set(`${number}.index`, undefined);
  }
  return names;
}

/** Reads the manifest of a folder; undefined when there is none that could be read. */
export async function readManifest(
  objects: ObjectStore,
  folder: string,
): Promise<SnapshotManifest | undefined> {
  const bytes = await objects.getObject(`${folder}/${MANIFEST}`);
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
