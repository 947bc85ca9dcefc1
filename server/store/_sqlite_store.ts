/**
 * One gateway in one SQLite file: who may use which connection when. Reads and writes themselves
 * are in `_sqlite_reads.ts` and `_sqlite_writes.ts`.
 *
 * SQLite is synchronous here: between two awaits nothing else runs, so a read needs no lock. What
 * takes long is done by another thread: a large commit, which is one transaction on a connection
 * of its own while reads here see what was committed last, and the copying of a write-ahead log
 * that has grown.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { largeEnded, largeOpen, storeClosed, writeFailed } from "./_errors.ts";
import { asNumber, type Connection, type SqlCounters, type Statement } from "./_sqlite.ts";
import { openDatabase, openForViews, type SqliteOptions } from "./_sqlite_layout.ts";
import { SqliteReads } from "./_sqlite_reads.ts";
import type { SqliteThread } from "./_sqlite_thread.ts";
import { SqliteViews } from "./_sqlite_views.ts";
import { SqliteWrites } from "./_sqlite_writes.ts";
import type {
  BucketRecord,
  ClientRecord,
  CommitBatch,
  Head,
  KeptAnswer,
  LargeCommit,
  LogEntry,
  LogPosition,
  ReadView,
  RowKey,
  RowPage,
  RowScan,
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
  commit: LargeCommit | undefined;
  readonly ended: PromiseWithResolvers<void>;
}

/** What a store needs of its factory. */
export interface SqliteContext {
  /** How files are opened. */
  readonly options: SqliteOptions;
  /** Does what takes long. */
  readonly thread: SqliteThread;
  /** Called once the store is closed. */
  closed(): void;
}

/** A write-ahead log of so many pages of 4 KiB is copied into the database. */
const CHECKPOINT_PAGES = 4_000;

/** With so many pages in the write-ahead log a commit waits for the checkpoint that is under way. */
const MAX_LOG_PAGES = 8_000;

const logger = getLogger(["lakesync", "store"]);

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
  readonly #context: SqliteContext;
  readonly #db: Connection;
  readonly #reads: SqliteReads;
  readonly #writes: SqliteWrites;
  readonly #views: SqliteViews;
  readonly #walState: Statement;
  #checkpoint: Promise<void> | undefined;
  #logPages = 0;
  #large: OpenLarge | undefined;
  #open = true;

  /**
   * @param file the path of a database that exists
   * @param context what it needs of its factory
   */
  constructor(file: string, context: SqliteContext) {
    this.#file = file;
    this.#context = context;
    this.#db = openDatabase(file, this.#counters, context.options);
    this.#walState = this.#db.prepare("PRAGMA wal_checkpoint(NOOP)");
    this.#reads = new SqliteReads(this.#db);
    this.#writes = new SqliteWrites(this.#db);
    this.#views = new SqliteViews({
      file,
      reads: this.#reads,
      maxHeldMs: context.options.maxViewMs,
      connect: () => openForViews(file, this.#counters),
    });
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

  /** Reads buckets by name or number. */
  readBuckets(
    names: readonly (string | number)[],
  ): Promise<readonly (BucketRecord | undefined)[]> {
    return this.#read((reads) => reads.buckets(names));
  }

  /** Reads a small record. */
  readMeta(name: string): Promise<string | undefined> {
    return this.#read((reads) => reads.meta(name));
  }

  /** Reads a kept answer. */
  readAnswer(key: string): Promise<KeptAnswer | undefined> {
    return this.#read((reads) => reads.answer(key));
  }

  /** Opens a view. */
  view(): Promise<ReadView> {
    return Promise.try(() => {
      this.#assertOpen();
      return this.#views.view();
    });
  }

  /** Reads all rows page by page. */
  scanRows(scan: RowScan): Promise<RowPage> {
    return this.#read((reads) => reads.scanRows(scan));
  }

  /** Reads log entries. */
  readLog(after: LogPosition, limit: number): Promise<readonly LogEntry[]> {
    return this.#read((reads) => reads.log(after, limit));
  }

  /** Commits a batch. */
  async commit(batch: CommitBatch): Promise<void> {
    this.#assertOpen();
    if (this.#large) throw largeOpen();
    if (this.#logPages >= MAX_LOG_PAGES && this.#checkpoint) {
      await this.#checkpoint;
      this.#assertOpen();
      if (this.#large) throw largeOpen();
    }
    this.#views.beforeCommit();
    this.#write(() => {
      this.#writes.moveHead(batch);
      this.#writes.apply(batch);
    });
  }

  /** Begins a large commit. */
  async beginLarge(): Promise<LargeCommit> {
    this.#assertOpen();
    if (this.#large) throw largeOpen();
    const large: OpenLarge = {
      commit: undefined,
      ended: Promise.withResolvers(),
    };
    this.#large = large;
    try {
      large.commit = await this.#context.thread.begin(
        this.#file,
        this.#context.options,
        this.#counters,
      );
      if (this.#large !== large) {
        await large.commit.abort();
        throw storeClosed();
      }
      return this.#guard(large, large.commit);
    } catch (cause) {
      await this.#endLarge(large);
      throw writeFailed(cause);
    }
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

  /** Removes staged parts that came before a time. */
  sweepParts(beforeMs: number, limit: number): Promise<number> {
    return this.#afterLarge(() => this.#writes.sweepParts(beforeMs, limit));
  }

  /** How much it holds. */
  stats(): Promise<StoreStats> {
    return this.#read((reads) => reads.stats());
  }

  /** Closes it; a large commit that is open is forgotten. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    if (this.#large) await this.#endLarge(this.#large);
    await this.#checkpoint;
    this.#views.close();
    this.#db.close();
    this.#context.closed();
  }

  #assertOpen(): void {
    if (!this.#open) throw storeClosed();
  }

  #read<T>(read: (reads: SqliteReads) => T): Promise<T> {
    return Promise.try(() => {
      this.#assertOpen();
      return read(this.#reads);
    });
  }

  #write<T>(work: () => T): T {
    try {
      const result = this.#db.transaction("IMMEDIATE", work);
      this.#afterCommit();
      return result;
    } catch (cause) {
      throw writeFailed(cause);
    }
  }

  async #afterLarge<T>(work: () => T): Promise<T> {
    while (this.#large) await this.#large.ended.promise;
    this.#assertOpen();
    return this.#write(work);
  }

  /** Ends a large commit with its first failure, and tells those who wait. */
  #guard(large: OpenLarge, inner: LargeCommit): LargeCommit {
    const step = async <T>(work: () => Promise<T>): Promise<T> => {
      if (this.#large !== large) throw largeEnded();
      try {
        return await work();
      } catch (cause) {
        await this.#endLarge(large);
        throw writeFailed(cause);
      }
    };
    return {
      readRows: (keys) => step(() => inner.readRows(keys)),
      write: (writes) => step(() => inner.write(writes)),
      commit: async (last) => {
        await step(() => this.#views.during(() => inner.commit(last)));
        await this.#endLarge(large);
        this.#afterCommit();
      },
      abort: () => this.#endLarge(large),
    };
  }

  async #endLarge(large: OpenLarge): Promise<void> {
    if (this.#large !== large) return;
    try {
      await large.commit?.abort();
    } finally {
      this.#large = undefined;
      large.ended.resolve();
    }
  }

  #afterCommit(): void {
    if (!this.#open) return;
    this.#logPages = asNumber(this.#walState.get()?.[1]);
    if (this.#logPages < CHECKPOINT_PAGES || this.#checkpoint) return;
    this.#checkpoint = this.#runCheckpoint();
  }

  /**
   * The other thread copies nearly everything; what was written meanwhile is copied here, so that
   * the log begins anew with the next commit.
   */
  async #runCheckpoint(): Promise<void> {
    try {
      await this.#context.thread.checkpoint(this.#file, this.#counters);
    } catch (error) {
      logger.warn("Checkpoint of {file} in its own thread failed: {error}", {
        file: this.#file,
        error,
      });
    }
    try {
      if (this.#open && !this.#large) {
        this.#db.upkeep("PRAGMA wal_checkpoint(PASSIVE)");
      }
    } catch (error) {
      logger.warn("Checkpoint of {file} failed: {error}", {
        file: this.#file,
        error,
      });
    }
    this.#checkpoint = undefined;
  }
}
