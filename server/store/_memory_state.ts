/**
 * What the memory store keeps for one gateway, and the changes to it. Everything here is
 * synchronous, so each call is one snapshot or one atomic change.
 *
 * @module
 */

import { Entries } from "./_entries.ts";
import { headMoved, wrongRef } from "./_errors.ts";
import type { MemoryChange, MemoryContent } from "./_memory_change.ts";
import { indexKey, MemoryReads, MemoryTables, rowKey } from "./_memory_reads.ts";
import { fitPage } from "./_page.ts";
import { parseTie } from "./_position.ts";
import type {
  BucketEntry,
  BucketRecord,
  CommitBatch,
  Head,
  KeptAnswer,
  LogEntry,
  LogPosition,
  RowPage,
  RowScan,
  RowWrite,
  StagedPart,
  StagedSummary,
  StoreStats,
  Writes,
} from "./store.ts";

/** What a view shows until it is ended. */
export interface MemorySnapshot {
  /** The head. */
  readonly head: Head;
  /** Everything else. */
  readonly reads: MemoryReads;
  /** Forgets what was kept for it. */
  end(): void;
}

/** One gateway's data. */
export class MemoryState {
  #head: Head;
  #lastRid = 0;
  #log: LogEntry[] = [];
  #logBytes = 0;
  readonly #tables = new MemoryTables();
  /** Numbers of all rows, in the order they were given. */
  readonly #rowOrder = new Entries();
  readonly #parts = new Map<string, Map<number, StagedPart>>();
  readonly #answers = new Map<string, KeptAnswer>();
  /** Reads what is there now. */
  readonly now: MemoryReads = new MemoryReads(this.#tables);

  /** @param epoch names the life of the data, random */
  constructor(epoch: string) {
    this.#head = { epoch, seq: 0, hlc: "0" };
  }

  /** Data as {@linkcode content} gave it, row numbers too. */
  static from(content: MemoryContent): MemoryState {
    const state = new MemoryState(content.head.epoch);
    state.#load(content);
    return state;
  }

  /** The head. */
  get head(): Head {
    return this.#head;
  }

  /** How much there is. */
  get stats(): StoreStats {
    return {
      logEntries: this.#log.length,
      logBytes: this.#logBytes,
      clients: this.#tables.clients.size,
    };
  }

  /** Keeps what is there now. */
  snapshot(): MemorySnapshot {
    const at = this.#tables.open();
    return {
      head: this.#head,
      reads: new MemoryReads(this.#tables, at),
      end: () => this.#tables.end(at),
    };
  }

  /** A kept answer. */
  answer(key: string): KeptAnswer | undefined {
    return this.#answers.get(key);
  }

  /** A page of all rows. */
  scanRows({ after, limit }: RowScan): RowPage {
    const found = this.#rowOrder.after({ seq: 0, rid: parseTie(after) }, limit + 1)
      .flatMap(({ rid }) => {
        const row = this.now.rowOf(rid);
        return row ? [{ ...row, position: String(rid) }] : [];
      });
    const rows = fitPage(found, limit, (row) => row.data.length);
    return { rows, complete: rows.length === found.length };
  }

  /** Log entries after a seq. */
  log(after: LogPosition, limit: number): readonly LogEntry[] {
    const start = this.#log.findIndex(({ seq, slice }) =>
      seq > after.seq || (seq === after.seq && slice > after.slice)
    );
    return start === -1 ? [] : this.#log.slice(start, start + limit);
  }

  /** What parts of a transaction are there. */
  staged(clientId: string, mutationId: number): StagedSummary | undefined {
    const parts = this.#parts.get(partsKey(clientId, mutationId));
    if (!parts) return undefined;
    const present = [...parts.keys()].sort((a, b) => a - b);
    const all = present.flatMap((part) => parts.get(part) ?? []);
    return {
      present,
      parts: all.at(-1)?.parts ?? 0,
      deltas: all.reduce((sum, part) => sum + part.deltas, 0),
      bytes: all.reduce((sum, part) => sum + part.payload.length, 0),
    };
  }

  /** One part. */
  part(
    clientId: string,
    mutationId: number,
    part: number,
  ): StagedPart | undefined {
    return this.#parts.get(partsKey(clientId, mutationId))?.get(part);
  }

  /**
   * Says whether a change may be applied.
   *
   * @throws {LakeSyncError} `BACKPRESSURE` when the head is not where a commit expects it,
   * `INTERNAL_ERROR` when a row is written with a handle that is not its own
   */
  check(change: MemoryChange): void {
    if (change.kind !== "commit") return;
    if (change.batch.expectedSeq !== this.#head.seq) throw headMoved();
    if (change.slices.length === 0) this.#checkRefs(change.batch.rows ?? []);
  }

  /**
   * Applies a change that was checked. The same changes in the same order on the same content give
   * the same content.
   *
   * @returns how much a trim or a sweep has removed, else 0
   */
  apply(change: MemoryChange): number {
    switch (change.kind) {
      case "commit":
        this.#commit(change.batch, change.slices);
        return 0;
      case "stage":
        this.#stage(change.part);
        return 0;
      case "trimLog":
        return this.#trimLog(change.throughSeq, change.limit);
      case "sweepAnswers":
        return this.#sweepAnswers(change.beforeMs, change.limit);
      case "sweepParts":
        return this.#sweepParts(change.beforeMs, change.limit);
    }
  }

  /** Everything, to be kept elsewhere; it shares nothing that changes. */
  content(): MemoryContent {
    const { rows, index, clients, buckets, meta } = this.#tables;
    return {
      head: this.#head,
      lastRid: this.#lastRid,
      rows: [...rows.values()],
      index: [...index.entries()].map(([side, entries]) => [side, entries.all()]),
      clients: [...clients.values()],
      buckets: [...buckets.values()],
      meta: [...meta.entries()],
      log: [...this.#log],
      parts: [...this.#parts.values()].flatMap((parts) => [...parts.values()]),
      answers: [...this.#answers.values()],
    };
  }

  #load(content: MemoryContent): void {
    const { rows, rids, index } = this.#tables;
    for (const row of content.rows) {
      rows.set(row.rid, row);
      rids.set(rowKey(row), row.rid);
      this.#rowOrder.add({ seq: 0, rid: row.rid });
    }
    for (const [side, entries] of content.index) index.set(side, new Entries(entries));
    const { head, clients, buckets, meta, log, answers } = content;
    this.#commit({ expectedSeq: 0, head, clients, buckets, meta, log, answers }, []);
    for (const part of content.parts) this.#stage(part);
    this.#lastRid = content.lastRid;
  }

  #commit(batch: CommitBatch, slices: readonly Writes[]): void {
    for (const slice of slices) this.#apply(slice);
    this.#apply(batch);
    this.#head = { ...this.#head, ...batch.head };
  }

  #stage(part: StagedPart): void {
    const key = partsKey(part.clientId, part.mutationId);
    const parts = this.#parts.get(key) ?? new Map<number, StagedPart>();
    this.#parts.set(key, parts.set(part.part, part));
  }

  #trimLog(throughSeq: number, limit: number): number {
    const kept = this.#log.findIndex(({ seq }) => seq > throughSeq);
    const removed = this.#log.splice(
      0,
      Math.min(kept === -1 ? this.#log.length : kept, limit),
    );
    this.#logBytes -= sumBytes(removed);
    return removed.length;
  }

  #sweepAnswers(beforeMs: number, limit: number): number {
    const expired = [...this.#answers.values()]
      .filter(({ expiresMs }) => expiresMs < beforeMs)
      .slice(0, limit);
    for (const { key } of expired) this.#answers.delete(key);
    return expired.length;
  }

  #sweepParts(beforeMs: number, limit: number): number {
    const old = [...this.#parts.values()].flatMap((parts) => [...parts.values()])
      .filter(({ stagedMs }) => stagedMs < beforeMs)
      .slice(0, limit);
    for (const { clientId, mutationId, part } of old) {
      const key = partsKey(clientId, mutationId);
      const parts = this.#parts.get(key);
      parts?.delete(part);
      if (parts?.size === 0) this.#parts.delete(key);
    }
    return old.length;
  }

  #apply(writes: Writes): void {
    for (const row of writes.rows ?? []) this.#writeRow(row);
    const log = writes.log ?? [];
    this.#log.push(...log);
    this.#logBytes += sumBytes(log);
    const { clients, meta } = this.#tables;
    for (const client of writes.clients ?? []) clients.set(client.clientId, client);
    for (const bucket of writes.dropBuckets ?? []) this.#dropBucket(bucket);
    for (const bucket of writes.buckets ?? []) this.#writeBucket(bucket);
    for (const [name, value] of writes.meta ?? []) {
      if (value === null) meta.delete(name);
      else meta.set(name, value);
    }
    for (const { clientId, mutationId } of writes.dropParts ?? []) {
      this.#parts.delete(partsKey(clientId, mutationId));
    }
    for (const answer of writes.answers ?? []) {
      this.#answers.set(answer.key, answer);
    }
  }

  #checkRefs(rows: readonly RowWrite[]): void {
    for (const row of rows) {
      if ((row.ref === undefined) !== (this.now.row(row) === undefined)) throw wrongRef();
    }
  }

  #writeRow({ table, rowId, data, drop, add }: RowWrite): void {
    const { rows, rids } = this.#tables;
    const key = rowKey({ table, rowId });
    const old = rids.get(key);
    if (data === undefined && old === undefined) return;
    const rid = old ?? ++this.#lastRid;
    for (const entry of drop) this.#entries(entry).drop({ seq: entry.seq, rid });
    if (data === undefined) {
      rids.delete(key);
      rows.delete(rid);
      this.#rowOrder.drop({ seq: 0, rid });
      return;
    }
    if (old === undefined) {
      rids.set(key, rid);
      this.#rowOrder.add({ seq: 0, rid });
    }
    rows.set(rid, { rid, table, rowId, data });
    for (const entry of add) this.#entries(entry).add({ seq: entry.seq, rid });
  }

  #dropBucket(bucket: number): void {
    const { buckets, bucketIds } = this.#tables;
    const old = buckets.get(bucket);
    if (!old) return;
    buckets.delete(bucket);
    bucketIds.delete(old.id);
  }

  #writeBucket(record: BucketRecord): void {
    this.#dropBucket(record.bucket);
    this.#tables.buckets.set(record.bucket, record);
    this.#tables.bucketIds.set(record.id, record.bucket);
  }

  /** The entries of a side, to be changed: a copy where a snapshot shows them. */
  #entries(side: Omit<BucketEntry, "seq">): Entries {
    const { index } = this.#tables;
    const key = indexKey(side);
    const old = index.get(key);
    if (old && !index.isShown(key)) return old;
    const entries = old?.copy() ?? new Entries();
    index.set(key, entries);
    return entries;
  }
}

function partsKey(clientId: string, mutationId: number): string {
  return `${mutationId}:${clientId}`;
}

function sumBytes(log: readonly LogEntry[]): number {
  return log.reduce((sum, entry) => sum + entry.payload.length, 0);
}
