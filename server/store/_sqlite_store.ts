/**
 * One gateway in one SQLite file: who may use which connection when. Reads and writes themselves
 * are in `_sqlite_reads.ts` and `_sqlite_writes.ts`.
 *
 * SQLite is synchronous here: between two awaits nothing else runs, so a read needs no lock. A
 * large commit is one transaction that stays open on the writing connection from slice to slice;
 * meanwhile reads go by a connection of their own and see what was committed last.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { largeEnded, largeOpen, storeClosed } from "./_errors.ts";
import type { Connection, SqlCounters } from "./_sqlite.ts";
import { openDatabase, type SqliteOptions } from "./_sqlite_layout.ts";
import { SqliteReads } from "./_sqlite_reads.ts";
import { SqliteWrites } from "./_sqlite_writes.ts";
import type {
  BucketPage,
  BucketRecord,
  BucketScan,
  ClientRecord,
  CommitBatch,
  Head,
  KeptAnswer,
  LargeCommit,
  LogEntry,
  RowKey,
  StagedPart,
  StagedSummary,
  Store,
  StoreCapabilities,
  StoreCounters,
  StoredRow,
  StoreStats,
} from "./store.ts";

/** A large commit that is open, and how those who wait learn of its end. */
interface OpenLarge {
  readonly reader: Connection;
  readonly reads: SqliteReads;
  readonly ended: PromiseWithResolvers<void>;
}

/** A store over one SQLite file. */
export class SqliteStore implements Store {
  /** What this store can do. */
  readonly capabilities: StoreCapabilities = {
    durable: true,
    shared: false,
    commitRows: 1_000,
  };
  readonly #counters: SqlCounters = { statements: 0, rowsRead: 0 };
  readonly #file: string;
  readonly #options: SqliteOptions;
  readonly #db: Connection;
  readonly #reads: SqliteReads;
  readonly #writes: SqliteWrites;
  readonly #closed: () => void;
  #large: OpenLarge | undefined;
  #open = true;

  /**
   * @param file the path of a database that exists
   * @param options how it is opened
   * @param closed called once it is closed
   */
  constructor(file: string, options: SqliteOptions, closed: () => void) {
    this.#file = file;
    this.#options = options;
    this.#closed = closed;
    this.#db = openDatabase(file, this.#counters, options);
    this.#reads = new SqliteReads(this.#db);
    this.#writes = new SqliteWrites(this.#db);
  }

  /** What this store has done. */
  get counters(): StoreCounters {
    return { ...this.#counters };
  }

  /** Reads the head. */
  head(): Promise<Head> {
    return this.#read((reads) => reads.head());
  }

  /** Reads rows. */
  readRows(
    keys: readonly RowKey[],
  ): Promise<readonly (StoredRow | undefined)[]> {
    return this.#read((reads) => reads.rows(keys));
  }

  /** Reads clients. */
  readClients(
    clientIds: readonly string[],
  ): Promise<readonly (ClientRecord | undefined)[]> {
    return this.#read((reads) => reads.clients(clientIds));
  }

  /** Reads buckets by name. */
  readBuckets(
    ids: readonly string[],
  ): Promise<readonly (BucketRecord | undefined)[]> {
    return this.#read((reads) => reads.buckets(ids));
  }

  /** Reads a small record. */
  readMeta(name: string): Promise<string | undefined> {
    return this.#read((reads) => reads.meta(name));
  }

  /** Reads a kept answer. */
  readAnswer(key: string): Promise<KeptAnswer | undefined> {
    return this.#read((reads) => reads.answer(key));
  }

  /** Reads rows of a bucket in one snapshot. */
  scanBucket(scan: BucketScan): Promise<BucketPage> {
    return this.#read((reads) => reads.scan(scan));
  }

  /** Reads log entries. */
  readLog(afterSeq: number, limit: number): Promise<readonly LogEntry[]> {
    return this.#read((reads) => reads.log(afterSeq, limit));
  }

  /** Commits a batch. */
  commit(batch: CommitBatch): Promise<void> {
    return Promise.try(() => {
      this.#assertOpen();
      if (this.#large) throw largeOpen();
      this.#write(() => {
        this.#writes.moveHead(batch);
        this.#writes.apply(batch);
      });
    });
  }

  /** Begins a large commit. */
  beginLarge(): Promise<LargeCommit> {
    return Promise.try(() => {
      this.#assertOpen();
      if (this.#large) throw largeOpen();
      const reader = openDatabase(this.#file, this.#counters, this.#options);
      const large: OpenLarge = {
        reader,
        reads: new SqliteReads(reader),
        ended: Promise.withResolvers(),
      };
      this.#db.exec("BEGIN IMMEDIATE");
      this.#large = large;
      return this.#largeCommit(large);
    });
  }

  /** Keeps a part. */
  stagePart(part: StagedPart): Promise<void> {
    return this.#afterLarge(() => this.#writes.stage(part));
  }

  /** What parts of a transaction are there. */
  stagedSummary(
    clientId: string,
    mutationId: number,
  ): Promise<StagedSummary | undefined> {
    return this.#read((reads) => reads.staged(clientId, mutationId));
  }

  /** Reads one part. */
  readPart(
    clientId: string,
    mutationId: number,
    part: number,
  ): Promise<StagedPart | undefined> {
    return this.#read((reads) => reads.part(clientId, mutationId, part));
  }

  /** Removes log entries through a seq. */
  trimLog(throughSeq: number, limit: number): Promise<number> {
    return this.#afterLarge(() => this.#writes.trimLog(throughSeq, limit));
  }

  /** Removes kept answers that expired. */
  sweepAnswers(beforeMs: number, limit: number): Promise<number> {
    return this.#afterLarge(() => this.#writes.sweepAnswers(beforeMs, limit));
  }

  /** How much it holds. */
  stats(): Promise<StoreStats> {
    return this.#read((reads) => reads.stats());
  }

  /** Closes it; a large commit that is open is forgotten. */
  close(): Promise<void> {
    return Promise.try(() => {
      if (!this.#open) return;
      this.#open = false;
      if (this.#large) this.#endLarge(this.#large);
      this.#db.close();
      this.#closed();
    });
  }

  #assertOpen(): void {
    if (!this.#open) throw storeClosed();
  }

  #read<T>(read: (reads: SqliteReads) => T): Promise<T> {
    return Promise.try(() => {
      this.#assertOpen();
      return read(this.#large?.reads ?? this.#reads);
    });
  }

  #write<T>(work: () => T): T {
    try {
      return this.#db.transaction("IMMEDIATE", work);
    } catch (cause) {
      throw writeFailed(cause);
    }
  }

  async #afterLarge<T>(work: () => T): Promise<T> {
    while (this.#large) await this.#large.ended.promise;
    this.#assertOpen();
    return this.#write(work);
  }

  #largeCommit(large: OpenLarge): LargeCommit {
    const step = <T>(work: () => T) =>
      Promise.try(() => {
        if (this.#large !== large) throw largeEnded();
        try {
          return work();
        } catch (cause) {
          this.#endLarge(large);
          throw writeFailed(cause);
        }
      });
    return {
      readRows: (keys) => step(() => this.#reads.rows(keys)),
      write: (writes) => step(() => this.#writes.apply(writes)),
      commit: (last) =>
        step(() => {
          this.#writes.moveHead(last);
          this.#writes.apply(last);
          this.#db.exec("COMMIT");
          this.#endLarge(large);
        }),
      abort: () =>
        Promise.try(() => {
          if (this.#large === large) this.#endLarge(large);
        }),
    };
  }

  #endLarge(large: OpenLarge): void {
    this.#db.rollback();
    large.reader.close();
    this.#large = undefined;
    large.ended.resolve();
  }
}

function writeFailed(cause: unknown): LakeSyncError {
  if (cause instanceof LakeSyncError) return cause;
  return new LakeSyncError(
    "INTERNAL_ERROR",
    "The store could not write and has written nothing, see the log",
    {},
    { cause },
  );
}
