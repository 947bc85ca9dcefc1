/**
 * The part of the memory store that views show, and reading it: as it is now, or as it was when a
 * snapshot was taken.
 *
 * @module
 */

import type { Entries, Entry } from "./_entries.ts";
import { fitPage } from "./_page.ts";
import { parseTie } from "./_position.ts";
import type {
  BucketEntry,
  BucketRecord,
  ClientRecord,
  IndexPage,
  IndexScan,
  RowKey,
  ScannedRow,
  StoredRow,
} from "./store.ts";
import { type Snapshot, VersionedMap } from "./_versioned_map.ts";

/** A row with its number. */
export interface MemoryRow extends RowKey {
  /** Its number, never given twice. */
  readonly rid: number;
  /** Its record. */
  readonly data: string;
}

/** What views show. */
export class MemoryTables {
  /** Rows by number. */
  readonly rows: VersionedMap<number, MemoryRow> = new VersionedMap();
  /** Numbers by {@linkcode rowKey}. */
  readonly rids: VersionedMap<string, number> = new VersionedMap();
  /** Entries by {@linkcode indexKey}. */
  readonly index: VersionedMap<string, Entries> = new VersionedMap();
  /** Clients by name. */
  readonly clients: VersionedMap<string, ClientRecord> = new VersionedMap();
  /** Buckets by number. */
  readonly buckets: VersionedMap<number, BucketRecord> = new VersionedMap();
  /** Buckets' numbers by name. */
  readonly bucketIds: VersionedMap<string, number> = new VersionedMap();
  /** Small records by name. */
  readonly meta: VersionedMap<string, string> = new VersionedMap();

  /** Takes a snapshot. */
  open(): Snapshot {
    const at = Symbol();
    this.#each((map) => map.open(at));
    return at;
  }

  /** Ends a snapshot. */
  end(at: Snapshot): void {
    this.#each((map) => map.end(at));
  }

  #each(work: (map: Pick<VersionedMap<never, unknown>, "open" | "end">) => void): void {
    work(this.rows);
    work(this.rids);
    work(this.index);
    work(this.clients);
    work(this.buckets);
    work(this.bucketIds);
    work(this.meta);
  }
}

/** Reads the tables. */
export class MemoryReads {
  readonly #tables: MemoryTables;
  readonly #at: Snapshot | undefined;

  /**
   * @param tables what to read
   * @param at a snapshot that is open; the present without one
   */
  constructor(tables: MemoryTables, at?: Snapshot) {
    this.#tables = tables;
    this.#at = at;
  }

  /** A row by key. */
  row({ table, rowId }: RowKey): StoredRow | undefined {
    const rid = this.#tables.rids.get(rowKey({ table, rowId }), this.#at);
    return rid === undefined ? undefined : this.rowOf(rid);
  }

  /** A row by number. */
  rowOf(rid: number): StoredRow | undefined {
    const row = this.#tables.rows.get(rid, this.#at);
    return row && { table: row.table, rowId: row.rowId, data: row.data, ref: rid };
  }

  /** A client. */
  client(clientId: string): ClientRecord | undefined {
    return this.#tables.clients.get(clientId, this.#at);
  }

  /** A bucket by name or number. */
  bucket(name: string | number): BucketRecord | undefined {
    const { buckets, bucketIds } = this.#tables;
    const bucket = typeof name === "number" ? name : bucketIds.get(name, this.#at);
    return bucket === undefined ? undefined : buckets.get(bucket, this.#at);
  }

  /** A small record. */
  meta(name: string): string | undefined {
    return this.#tables.meta.get(name, this.#at);
  }

  /** A page of one side of a bucket. */
  scan({ bucket, gone, after, limit }: IndexScan): IndexPage {
    const entries = this.#tables.index.get(indexKey({ bucket, gone }), this.#at);
    const position = { seq: after.seq, rid: parseTie(after.tie) };
    const found = (entries?.after(position, limit + 1) ?? [])
      .flatMap((entry) => this.#toScanned(entry, gone));
    const rows = fitPage(found, limit, (row) => row.data.length);
    return { rows, complete: rows.length === found.length };
  }

  #toScanned({ seq, rid }: Entry, gone: boolean): readonly ScannedRow[] {
    const row = this.#tables.rows.get(rid, this.#at);
    if (!row) return [];
    const { table, rowId, data } = row;
    return [{ table, rowId, data, position: { seq, tie: String(rid) }, gone }];
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

/**
 * One text for a side of a bucket.
 *
 * @param side the bucket and whether its rows have left it
 * @returns a text that no other side has
 */
export function indexKey({ bucket, gone }: Omit<BucketEntry, "seq">): string {
  return `${bucket}:${gone}`;
}
