/**
 * The snapshots of one gateway: found again after a start, built when first asked for, replaced when
 * much has changed, deleted when nobody needs them.
 *
 * @module
 */

import type { CursorSeal } from "./cursor_seal.ts";
import { LakeSyncError } from "@lakesync/core";
import type { BucketRecord, ReadView, Store } from "../store/store.ts";
import type { Catalog, CatalogVersion } from "./catalog.ts";
import {
  type BuildContext,
  buildFromRows,
  buildSnapshot,
  readChanges,
} from "./checkpoint_build.ts";
import { ChunkRows } from "./checkpoint_chunk.ts";
import type { RowPlan } from "./checkpoint_rows.ts";
import type { CheckpointSettings } from "./checkpoint_settings.ts";
import { RowFinder } from "./checkpoint_source.ts";
import { isServed, takeUp } from "./checkpoint_kept.ts";
import { Snapshot } from "./checkpoint_snapshot.ts";
import type { GatewayEnvironment } from "./environment.ts";
import type { Past } from "./pull.ts";
import type { PlacedFamily, RuleBook } from "./rule_book.ts";

/** After a build in the background has failed, the next one waits so long, in milliseconds. */
const RETRY_MS = 60_000;

/** What the gateway is at the moment of a request. */
export interface CheckpointFacts extends Past {
  /** The schema. */
  readonly catalog: Catalog;
  /** The rules. */
  readonly book: RuleBook;
  /** Seals cursors. */
  readonly seal: CursorSeal;
  /** The last commit of the data as it was read. */
  readonly headSeq: number;
  /**
   * Tells of the past as it is known in a later read.
   *
   * @throws {RulesChanged} when other rules were put in force before it
   */
  readonly past: (view: ReadView) => Promise<Past>;
}

/** A bucket that is served by chunks. */
export interface ChunkedBucket {
  /** Its record. */
  readonly record: BucketRecord;
  /** Its family. */
  readonly placed: PlacedFamily;
}

/** The snapshots of one bucket for one schema version. */
interface Entry {
  current: Snapshot;
  /** What is to replace it. */
  next?: Snapshot;
  /** Whether it is being replaced. */
  isRenewed: boolean;
  /** Before this time nothing is to replace it, in milliseconds since 1970. */
  retryMs: number;
}

/** What the house stands on. */
export interface HouseContext {
  /** The gateway. */
  readonly gatewayId: string;
  /** Its data. */
  readonly store: Store;
  /** Time and chance. */
  readonly env: GatewayEnvironment;
  /** How checkpoints are kept. */
  readonly settings: CheckpointSettings;
}

function draining(): LakeSyncError {
  return new LakeSyncError("DRAINING", "The gateway is closing, try again", {
    retryAfterSeconds: 1,
  });
}

/** Keeps the snapshots of one gateway. */
export class CheckpointHouse {
  readonly #context: HouseContext;
  readonly #finder: RowFinder;
  readonly #entries = new Map<string, Entry>();
  /** Entries that are being made, by those who came first. */
  readonly #entering = new Map<string, Promise<Entry>>();
  readonly #replaced = new Map<Snapshot, number>();
  readonly #work = new Set<Promise<void>>();
  #loading: Promise<void> | undefined;
  #cancelSweep: (() => void) | undefined;
  #streams = 0;
  #closed = false;

  constructor(context: HouseContext) {
    this.#context = context;
    this.#finder = new RowFinder(context);
  }

  /** Whether something is built or read. */
  get busy(): boolean {
    return this.#work.size > 0 || this.#streams > 0;
  }

  /** How checkpoints are kept. */
  get settings(): CheckpointSettings {
    return this.#context.settings;
  }

  /** Counts a stream that begins; gives what ends it, and what throws when it has gone on too long. */
  stream(): { readonly end: () => void; readonly check: () => void } {
    const { env, settings } = this.#context;
    const untilMs = env.now() + settings.maxStreamMs;
    this.#streams++;
    const check = () => {
      if (env.now() <= untilMs) return;
      throw new LakeSyncError("BACKPRESSURE", "The stream has gone on too long, resume it");
    };
    return { end: () => this.#streams--, check };
  }

  /**
   * Finds the snapshot of a bucket, or begins one, and cleans it of what has left the bucket.
   *
   * @param bucket the bucket, by a snapshot that is at least as new as the caller's grant
   * @param headSeq the head of that snapshot
   * @param names the schema version
   * @param facts of the gateway
   */
  async obtain(
    bucket: ChunkedBucket,
    headSeq: number,
    names: CatalogVersion,
    facts: CheckpointFacts,
  ): Promise<Snapshot> {
    await this.#loaded(facts);
    this.#dropUnserved(facts);
    const { record } = bucket;
    const entry = await this.#entry(bucket, headSeq, names, facts);
    const { current } = entry;
    await this.#clean(current, record);
    this.#renew(entry, bucket, headSeq, names, facts);
    return current;
  }

  /** The entry of a bucket; of several callers at once the first one makes it. */
  async #entry(
    bucket: ChunkedBucket,
    headSeq: number,
    names: CatalogVersion,
    facts: CheckpointFacts,
  ): Promise<Entry> {
    const { record } = bucket;
    const key = entryKey(record.bucket, names.schema.version);
    for (;;) {
      const entering = this.#entering.get(key);
      if (entering !== undefined) {
        await entering.catch(() => {});
        continue;
      }
      const entry = this.#entries.get(key);
      if (entry !== undefined && this.#usable(entry.current, record, facts)) return entry;
      if (entry !== undefined) this.#drop(key, entry);
      const entered = this.#enter(key, bucket, headSeq, names, facts)
        .finally(() => this.#entering.delete(key));
      this.#entering.set(key, entered);
      return await this.#track(entered);
    }
  }

  async #enter(
    key: string,
    bucket: ChunkedBucket,
    headSeq: number,
    names: CatalogVersion,
    facts: CheckpointFacts,
  ): Promise<Entry> {
    const plan = await this.#finder.find(bucket, names, facts);
    const entry = {
      current: this.#begin(bucket, headSeq, names, plan),
      isRenewed: false,
      retryMs: 0,
    };
    this.#entries.set(key, entry);
    void this.#build(entry.current, bucket, names, facts, plan);
    return entry;
  }

  /** Finds the snapshot that a stream was broken off from, and cleans it; undefined when it is gone. */
  async resumed(
    id: string,
    record: BucketRecord,
    names: CatalogVersion,
    facts: CheckpointFacts,
  ): Promise<Snapshot | undefined> {
    await this.#loaded(facts);
    this.#dropUnserved(facts);
    const current = this.#entries.get(entryKey(record.bucket, names.schema.version))?.current;
    const found = [current, ...this.#replaced.keys()].find((snapshot) => snapshot?.facts.id === id);
    if (found === undefined || found.facts.bucket !== record.bucket) return undefined;
    if (found.facts.version !== names.schema.version) return undefined;
    if (!this.#usable(found, record, facts)) return undefined;
    await this.#clean(found, record);
    return found;
  }

  /** Keeps what streams have cleaned, and deletes what is no longer needed. */
  async settle(
    snapshots: readonly Snapshot[] = [],
    lifeAt: CheckpointFacts["lifeAt"] = () => "",
  ): Promise<void> {
    try {
      for (const snapshot of snapshots) await snapshot.keep(lifeAt);
      await this.#sweep();
    } catch (error) {
      this.#context.env.onError?.("Chunks of checkpoints were not kept", error);
    }
  }

  /** Ends what is built; streams end with an error. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelSweep?.();
    for (const { current, next } of this.#entries.values()) {
      if (!current.done) current.fail(draining());
      next?.fail(draining());
    }
    await this.#loading?.catch(() => {});
    await Promise.all(this.#work);
  }

  async #clean(snapshot: Snapshot, { bucket, seq }: BucketRecord): Promise<void> {
    const { store, settings } = this.#context;
    await snapshot.clean(seq, (after) => {
      const left = settings.staleShare * snapshot.facts.rows - snapshot.changed;
      const enough = snapshot.done ? Math.max(0, Math.floor(left) + 1) : 0;
      return readChanges(store, bucket, after, enough);
    });
  }

  #usable(snapshot: Snapshot, record: BucketRecord, { horizonSeq }: CheckpointFacts): boolean {
    if (snapshot.failed) return false;
    return snapshot.cleanThrough >= horizonSeq || record.seq <= snapshot.cleanThrough;
  }

  #begin(
    { record }: ChunkedBucket,
    headSeq: number,
    names: CatalogVersion,
    plan: RowPlan | undefined,
  ): Snapshot {
    if (this.#closed) throw draining();
    const { bucket, id: bucketId, rows } = record;
    const { version } = names.schema;
    const id = this.#context.env.randomId();
    return new Snapshot(
      { id, bucket, bucketId, version, seq: plan?.rows.seq ?? headSeq, rows },
      this.#snapshotContext(id, names),
      plan && { ...plan, changed: plan.moved.size },
    );
  }

  #snapshotContext(id: string, names: CatalogVersion) {
    const { settings, store, env } = this.#context;
    const { nextTurn } = env;
    const { shared } = store.capabilities;
    const nextRevision = (revision: number) => revision + 1 + (shared ? randomStep(env) : 0);
    const folder = `${this.#folder}/${id}`;
    return { objects: settings.objects, folder, names, nextTurn, nextRevision };
  }

  /** Capitals are written as `+` and the small letter, for folders that do not tell them apart. */
  get #folder(): string {
    const { gatewayId } = this.#context;
    return `${gatewayId.replace(/[A-Z]/g, (letter) => `+${letter.toLowerCase()}`)}/checkpoints`;
  }

  #build(
    snapshot: Snapshot,
    { placed }: ChunkedBucket,
    names: CatalogVersion,
    facts: CheckpointFacts,
    plan: RowPlan | undefined,
  ): Promise<void> {
    const { store, settings, env } = this.#context;
    const check = () => {
      if (this.#closed) throw draining();
      if (snapshot.failed) throw new Error("The snapshot is no longer needed");
    };
    const work = settings.builds.run(async () => {
      const rows = new ChunkRows(facts.catalog, names, placed);
      const { nextTurn } = env;
      const context = { store, settings, rows, nextTurn, check };
      const isBuilt = plan !== undefined &&
        await this.#buildFrom(plan, snapshot, placed, facts, context);
      if (!isBuilt) await buildSnapshot(snapshot, context);
      check();
      snapshot.finish();
      await snapshot.keep(facts.lifeAt);
    }).catch(async (error) => {
      const wanted = !this.#closed && !snapshot.failed;
      snapshot.fail(error);
      if (wanted) env.onError?.("A checkpoint's chunks could not be built", error);
      await snapshot.delete().catch((cause) =>
        env.onError?.("Chunks of a failed build were not deleted", cause)
      );
    });
    return this.#track(work);
  }

  /** Builds a snapshot of rows from elsewhere; where that fails it can be built of our own. */
  async #buildFrom(
    plan: RowPlan,
    snapshot: Snapshot,
    placed: PlacedFamily,
    { catalog }: CheckpointFacts,
    context: BuildContext,
  ): Promise<boolean> {
    const { bucketId } = snapshot.facts;
    try {
      if (await buildFromRows(snapshot, { plan, catalog, placed }, context)) return true;
      this.#finder.refuse(bucketId, new Error("They are not the rows that the gateway has"));
    } catch (error) {
      context.check();
      this.#finder.refuse(bucketId, error);
    }
    await snapshot.restart();
    return false;
  }

  #track<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(() => {}, () => {}).finally(() => this.#work.delete(settled));
    this.#work.add(settled);
    return work;
  }

  /** Begins to replace a snapshot of which too much has left or changed. */
  #renew(
    entry: Entry,
    bucket: ChunkedBucket,
    headSeq: number,
    names: CatalogVersion,
    facts: CheckpointFacts,
  ): void {
    const { settings, env } = this.#context;
    const { current } = entry;
    if (!current.done || entry.isRenewed || env.now() < entry.retryMs) return;
    if (current.changed <= settings.staleShare * current.facts.rows) return;
    entry.isRenewed = true;
    void this.#track(this.#replaceCurrent(entry, bucket, headSeq, names, facts))
      .catch((error) => {
        if (!this.#closed) env.onError?.("A checkpoint's chunks could not be replaced", error);
      })
      .finally(() => entry.isRenewed = false);
  }

  async #replaceCurrent(
    entry: Entry,
    bucket: ChunkedBucket,
    headSeq: number,
    names: CatalogVersion,
    facts: CheckpointFacts,
  ): Promise<void> {
    const { current } = entry;
    const plan = await this.#finder.find(bucket, names, facts);
    const next = this.#begin(bucket, headSeq, names, plan);
    entry.next = next;
    await this.#build(next, bucket, names, facts, plan);
    delete entry.next;
    const held = this.#entries.get(entryKey(next.facts.bucket, next.facts.version)) === entry;
    if (next.failed || !next.done) {
      entry.retryMs = this.#context.env.now() + RETRY_MS;
      return;
    }
    if (!held) return this.#replace(next);
    this.#replace(current);
    entry.current = next;
  }

  /** Keeps a snapshot for streams that resume, and no longer. */
  #replace(snapshot: Snapshot): void {
    const { settings, env } = this.#context;
    this.#replaced.set(snapshot, env.now() + settings.keepReplacedMs);
    this.#sweepLater();
  }

  #drop(key: string, { current, next }: Entry): void {
    this.#entries.delete(key);
    if (!current.done) current.fail(new Error("The snapshot is no longer needed"));
    if (next !== undefined && !next.done) next.fail(new Error("The snapshot is no longer needed"));
    this.#replaced.set(current, 0);
    this.#sweepLater();
  }

  /** Drops snapshots of buckets and schema versions that nobody is granted any more. */
  #dropUnserved({ catalog, book }: CheckpointFacts): void {
    for (const [key, entry] of this.#entries) {
      const { bucketId, version } = entry.current.facts;
      if (!isServed(bucketId, version, catalog, book)) this.#drop(key, entry);
    }
  }

  #sweepLater(): void {
    const { settings, env } = this.#context;
    if (this.#closed) return;
    this.#cancelSweep ??= env.setTimer(settings.keepReplacedMs, () => {
      this.#cancelSweep = undefined;
      void this.#track(this.settle());
    });
  }

  async #sweep(): Promise<void> {
    const now = this.#context.env.now();
    for (const [snapshot, untilMs] of [...this.#replaced]) {
      if (snapshot.readers > 0 || now < untilMs) continue;
      this.#replaced.delete(snapshot);
      await snapshot.delete();
    }
    if (this.#replaced.size > 0) this.#sweepLater();
  }

  async #loaded(facts: CheckpointFacts): Promise<void> {
    if (this.#closed) throw draining();
    this.#loading ??= this.#load(facts);
    try {
      await this.#loading;
    } catch (error) {
      this.#loading = undefined;
      throw error;
    }
  }

  /** Takes up what an earlier process has built, and deletes what it left behind. */
  async #load(facts: CheckpointFacts): Promise<void> {
    const { settings: { objects }, store: { capabilities: { shared } } } = this.#context;
    const kept = await takeUp({ objects, folder: this.#folder, shared }, facts);
    const snapshots = kept.map(({ manifest, version }) =>
      Snapshot.of(manifest, this.#snapshotContext(manifest.id, version))
    );
    for (const snapshot of snapshots.sort((a, b) => a.facts.seq - b.facts.seq)) {
      const key = entryKey(snapshot.facts.bucket, snapshot.facts.version);
      const older = this.#entries.get(key)?.current;
      if (older !== undefined) this.#replace(older);
      this.#entries.set(key, { current: snapshot, isRenewed: false, retryMs: 0 });
    }
  }
}

/** A number below 2^40 that no other process gives. */
function randomStep({ hash, randomId }: GatewayEnvironment): number {
  return parseInt(hash(randomId()).slice(0, 10), 16);
}

function entryKey(bucket: number, version: number): string {
  return `${bucket}/${version}`;
}
