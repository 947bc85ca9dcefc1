/**
 * What the memory store keeps for one gateway, and the changes to it. Everything here is
 * synchronous, so each call is one snapshot or one atomic change.
 *
 * @module
 */

import { compare, Entries, type Entry } from "./_entries.ts";
import { headMoved, wrongRef } from "./_errors.ts";
import { fitPage } from "./_page.ts";
import { parseTie } from "./_position.ts";
import type {
  BucketEntry,
  BucketPage,
  BucketRecord,
  BucketScan,
  ClientRecord,
  CommitBatch,
  Head,
  KeptAnswer,
  LogEntry,
  LogPosition,
  RowKey,
  RowWrite,
  ScannedRow,
  StagedPart,
  StagedSummary,
  StoredRow,
  StoreStats,
  Writes,
} from "./store.ts";

interface Row extends RowKey {
  readonly rid: number;
  readonly data: string;
}

/** One gateway's data. */
export class MemoryState {
  #head: Head = { epoch: crypto.randomUUID(), seq: 0, hlc: "0" };
  #lastRid = 0;
  #log: LogEntry[] = [];
  #logBytes = 0;
  readonly #rows = new Map<number, Row>();
  readonly #rids = new Map<string, number>();
  readonly #index = new Map<string, Entries>();
  readonly #clients = new Map<string, ClientRecord>();
  readonly #buckets = new Map<number, BucketRecord>();
  readonly #bucketIds = new Map<string, number>();
  readonly #meta = new Map<string, string>();
  readonly #parts = new Map<string, Map<number, StagedPart>>();
  readonly #answers = new Map<string, KeptAnswer>();

  /** The head. */
  get head(): Head {
    return this.#head;
  }

  /** How much there is. */
  get stats(): StoreStats {
    return {
      logEntries: this.#log.length,
      logBytes: this.#logBytes,
      clients: this.#clients.size,
    };
  }

  /** A row by key. */
  row({ table, rowId }: RowKey): StoredRow | undefined {
    const rid = this.#rids.get(rowKey({ table, rowId }));
    const row = rid === undefined ? undefined : this.#rows.get(rid);
    return row && { table, rowId, data: row.data, ref: row.rid };
  }

  /** A client. */
  client(clientId: string): ClientRecord | undefined {
    return this.#clients.get(clientId);
  }

  /** A bucket by name. */
  bucket(id: string): BucketRecord | undefined {
    const bucket = this.#bucketIds.get(id);
    return bucket === undefined ? undefined : this.#buckets.get(bucket);
  }

  /** A small record. */
  meta(name: string): string | undefined {
    return this.#meta.get(name);
  }

  /** A kept answer. */
  answer(key: string): KeptAnswer | undefined {
    return this.#answers.get(key);
  }

  /** A page of a bucket. */
  scan(scan: BucketScan): BucketPage {
    const after: Entry = {
      seq: scan.after.seq,
      rid: parseTie(scan.after.tie),
    };
    const goneAfter: Entry = scan.goneAfterSeq < after.seq
      ? after
      : { seq: scan.goneAfterSeq, rid: Number.MAX_SAFE_INTEGER };
    const take = (gone: boolean, position: Entry) =>
      (this.#index.get(indexKey(scan.bucket, gone))
        ?.after(position, scan.limit + 1) ?? [])
        .map((entry) => ({ ...entry, gone }));
    const found = [...take(false, after), ...take(true, goneAfter)]
      .sort(compare)
      .slice(0, scan.limit + 1)
      .flatMap((entry) => this.#toScanned(entry));
    const rows = fitPage(found, scan.limit, (row) => row.data.length);
    return {
      head: this.#head,
      client: this.#clients.get(scan.clientId),
      bucket: this.#buckets.get(scan.bucket),
      rows,
      complete: rows.length === found.length,
    };
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
    for (const client of writes.clients ?? []) {
      this.#clients.set(client.clientId, client);
    }
    for (const bucket of writes.buckets ?? []) {
      const old = this.#buckets.get(bucket.bucket);
      if (old) this.#bucketIds.delete(old.id);
      this.#buckets.set(bucket.bucket, bucket);
      this.#bucketIds.set(bucket.id, bucket.bucket);
    }
    for (const [name, value] of writes.meta ?? []) {
      if (value === null) this.#meta.delete(name);
      else this.#meta.set(name, value);
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
      if ((row.ref === undefined) !== !this.#rids.has(rowKey(row))) {
        throw wrongRef();
      }
    }
  }

  #writeRow({ table, rowId, data, drop, add }: RowWrite): void {
    const key = rowKey({ table, rowId });
    const old = this.#rids.get(key);
    if (data === undefined && old === undefined) return;
    const rid = old ?? ++this.#lastRid;
    for (const entry of drop) this.#entries(entry).drop({ ...entry, rid });
    if (data === undefined) {
      this.#rids.delete(key);
      this.#rows.delete(rid);
      return;
    }
    this.#rids.set(key, rid);
    this.#rows.set(rid, { rid, table, rowId, data });
    for (const { seq, ...entry } of add) this.#entries(entry).add({ seq, rid });
  }

  #entries({ bucket, gone }: Omit<BucketEntry, "seq">): Entries {
    const key = indexKey(bucket, gone);
    const entries = this.#index.get(key) ?? new Entries();
    this.#index.set(key, entries);
    return entries;
  }

  #toScanned(entry: Entry & { readonly gone: boolean }): readonly ScannedRow[] {
    const row = this.#rows.get(entry.rid);
    if (!row) return [];
    return [{
      table: row.table,
      rowId: row.rowId,
      data: row.data,
      position: { seq: entry.seq, tie: String(entry.rid) },
      gone: entry.gone,
    }];
  }
}

/**
 * One text for a row's key.
 *
 * @param key the key
 * @returns a text that no other key has
 */
export function rowKey({ table, rowId }: RowKey): string {
  return `${table}:${rowId}`;
}

function indexKey(bucket: number, gone: boolean): string {
  return `${bucket}:${gone}`;
}

function partsKey(clientId: string, mutationId: number): string {
  return `${mutationId}:${clientId}`;
}

function sumBytes(log: readonly LogEntry[]): number {
  return log.reduce((sum, entry) => sum + entry.payload.length, 0);
}
