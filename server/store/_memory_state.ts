/**
 * What the memory store keeps for one gateway, and the changes to it. Everything here is
 * synchronous, so each call is one snapshot or one atomic change.
 *
 * @module
 */

import { Entries } from "./_entries.ts";
import { headMoved, wrongRef } from "./_errors.ts";
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
  #head: Head = { epoch: crypto.randomUUID(), seq: 0, hlc: "0" };
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

  /** Publishes slices and a batch in one step, if the head is where the batch expects it. */
  commit(batch: CommitBatch, slices: readonly Writes[] = []): void {
    if (batch.expectedSeq !== this.#head.seq) throw headMoved();
    if (slices.length === 0) this.#checkRefs(batch.rows ?? []);
    for (const slice of slices) this.#apply(slice);
    this.#apply(batch);
    this.#head = { ...this.#head, ...batch.head };
  }

  /** Keeps a part. */
  stage(part: StagedPart): void {
    const key = partsKey(part.clientId, part.mutationId);
    const parts = this.#parts.get(key) ?? new Map<number, StagedPart>();
    this.#parts.set(key, parts.set(part.part, part));
  }

  /** Removes the oldest log entries through a seq. */
  trimLog(throughSeq: number, limit: number): number {
    const kept = this.#log.findIndex(({ seq }) => seq > throughSeq);
    const removed = this.#log.splice(
      0,
      Math.min(kept === -1 ? this.#log.length : kept, limit),
    );
    this.#logBytes -= sumBytes(removed);
    return removed.length;
  }

  /** Removes kept answers that have expired. */
  sweepAnswers(beforeMs: number, limit: number): number {
    const expired = [...this.#answers.values()]
      .filter(({ expiresMs }) => expiresMs < beforeMs)
      .slice(0, limit);
    for (const { key } of expired) this.#answers.delete(key);
    return expired.length;
  }

  /** Removes staged parts that came before a time. */
  sweepParts(beforeMs: number, limit: number): number {
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
