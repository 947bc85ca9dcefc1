/**
 * A store over data in memory, whatever keeps the data: nothing, or a log on a disk. Each read is
 * one synchronous step and each change another one.
 *
 * @module
 */

import { largeEnded, largeOpen, storeClosed, viewEnded } from "./_errors.ts";
import type { MemoryChange } from "./_memory_change.ts";
import { type MemoryReads, rowKey } from "./_memory_reads.ts";
import type { MemoryState } from "./_memory_state.ts";
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
  Writes,
} from "./store.ts";

/** What keeps the data of a store in memory. */
export interface MemoryBacking {
  /** What the store can do. */
  readonly capabilities: StoreCapabilities;
  /** Reads what is committed, all in one step. */
  read<T>(read: (state: MemoryState) => T): Promise<T>;
  /**
   * Makes a change, durable when the promise resolves.
   *
   * @returns what {@linkcode MemoryState.apply} gives
   */
  change(change: MemoryChange): Promise<number>;
  /** Called once, when the store is closed. */
  close(): Promise<void>;
}

/** A store whose data are in memory. */
export class MemoryStore implements Store {
  readonly #backing: MemoryBacking;
  #statements = 0;
  #rowsRead = 0;
  #large: LargeCommit | undefined;
  /** Ends each view that is open. */
  readonly #views = new Set<() => void>();
  #closing: Promise<void> | undefined;

  /** @param backing what keeps its data */
  constructor(backing: MemoryBacking) {
    this.#backing = backing;
  }

  /** What this store can do. */
  get capabilities(): StoreCapabilities {
    return this.#backing.capabilities;
  }

  get counters(): StoreCounters {
    return { statements: this.#statements, rowsRead: this.#rowsRead };
  }

  head(): Promise<Head> {
    return this.#run((state) => state.head);
  }

  readRows(
    keys: readonly RowKey[],
  ): Promise<readonly (StoredRow | undefined)[]> {
    return this.#runAll(keys, ({ now }, key) => now.row(key));
  }

  readClients(
    clientIds: readonly string[],
  ): Promise<readonly (ClientRecord | undefined)[]> {
    return this.#runAll(clientIds, ({ now }, id) => now.client(id));
  }

  readBuckets(
    names: readonly (string | number)[],
  ): Promise<readonly (BucketRecord | undefined)[]> {
    return this.#runAll(names, ({ now }, name) => now.bucket(name));
  }

  readMeta(name: string): Promise<string | undefined> {
    return this.#run(({ now }) => now.meta(name));
  }

  readAnswer(key: string): Promise<KeptAnswer | undefined> {
    return this.#run((state) => state.answer(key));
  }

  view(): Promise<ReadView> {
    return this.#run((state) => {
      const { head, reads, end } = state.snapshot();
      this.#views.add(end);
      const run = <T>(read: (reads: MemoryReads) => T) =>
        this.#run(() => {
          if (!this.#views.has(end)) throw viewEnded();
          return read(reads);
        });
      const all = <K, T>(
        keys: readonly K[],
        read: (reads: MemoryReads, key: K) => T | undefined,
      ) => run((reads) => this.#count(keys.map((key) => read(reads, key))));
      return {
        head,
        clients: (ids) => all(ids, (reads, id) => reads.client(id)),
        buckets: (names) => all(names, (reads, name) => reads.bucket(name)),
        rows: (keys) => all(keys, (reads, key) => reads.row(key)),
        meta: (name) => run((reads) => reads.meta(name)),
        scan: (scan) =>
          run((reads) => {
            const page = reads.scan(scan);
            this.#rowsRead += page.rows.length;
            return page;
          }),
        end: () => {
          if (this.#views.delete(end)) end();
          return Promise.resolve(true);
        },
      };
    });
  }

  scanRows(scan: RowScan): Promise<RowPage> {
    return this.#run((state) => {
      const page = state.scanRows(scan);
      this.#rowsRead += page.rows.length;
      return page;
    });
  }

  readLog(after: LogPosition, limit: number): Promise<readonly LogEntry[]> {
    return this.#run((state) => {
      const entries = state.log(after, limit);
      this.#rowsRead += entries.length;
      return entries;
    });
  }

  commit(batch: CommitBatch): Promise<void> {
    return this.#write(() => {
      if (this.#large) throw largeOpen();
      this.#statements += batch.rows?.length ?? 0;
      return { kind: "commit", batch, slices: [] };
    });
  }

  beginLarge(): Promise<LargeCommit> {
    return this.#run(() => {
      if (this.#large) throw largeOpen();
      this.#large = this.#newLarge();
      return this.#large;
    });
  }

  stagePart(part: StagedPart): Promise<void> {
    return this.#write(() => ({ kind: "stage", part }));
  }

  stagedSummary(
    clientId: string,
    mutationId: number,
  ): Promise<StagedSummary | undefined> {
    return this.#run((state) => state.staged(clientId, mutationId));
  }

  readPart(
    clientId: string,
    mutationId: number,
    part: number,
  ): Promise<StagedPart | undefined> {
    return this.#run((state) => state.part(clientId, mutationId, part));
  }

  trimLog(throughSeq: number, limit: number): Promise<number> {
    return this.#change(() => ({ kind: "trimLog", throughSeq, limit }));
  }

  sweepAnswers(beforeMs: number, limit: number): Promise<number> {
    return this.#change(() => ({ kind: "sweepAnswers", beforeMs, limit }));
  }

  sweepParts(beforeMs: number, limit: number): Promise<number> {
    return this.#change(() => ({ kind: "sweepParts", beforeMs, limit }));
  }

  stats(): Promise<StoreStats> {
    return this.#run((state) => state.stats);
  }

  close(): Promise<void> {
    return this.#closing ??= this.#end();
  }

  #end(): Promise<void> {
    this.#large = undefined;
    for (const end of this.#views) end();
    return this.#backing.close();
  }

  #begin(): void {
    if (this.#closing) throw storeClosed();
    this.#statements++;
  }

  #run<T>(work: (state: MemoryState) => T): Promise<T> {
    return this.#backing.read((state) => {
      this.#begin();
      return work(state);
    });
  }

  #change(describe: () => MemoryChange): Promise<number> {
    return Promise.try(() => {
      this.#begin();
      return this.#backing.change(describe());
    });
  }

  async #write(describe: () => MemoryChange): Promise<void> {
    await this.#change(describe);
  }

  #runAll<K, T>(
    keys: readonly K[],
    read: (state: MemoryState, key: K) => T | undefined,
  ): Promise<readonly (T | undefined)[]> {
    return this.#run((state) => this.#count(keys.map((key) => read(state, key))));
  }

  #count<T>(found: readonly (T | undefined)[]): readonly (T | undefined)[] {
    this.#statements += found.length;
    this.#rowsRead += found.filter((row) => row !== undefined).length;
    return found;
  }

  #newLarge(): LargeCommit {
    const slices: Writes[] = [];
    const rows = new Map<string, StoredRow | undefined>();
    const step = <T>(work: (state: MemoryState) => T) =>
      this.#run((state) => {
        if (this.#large !== large) throw largeEnded();
        return work(state);
      });
    const large: LargeCommit = {
      readRows: (keys) =>
        step(({ now }) =>
          keys.map((key) => rows.has(rowKey(key)) ? rows.get(rowKey(key)) : now.row(key))
        ),
      write: (writes) =>
        step(() => {
          slices.push(writes);
          for (const { table, rowId, data } of writes.rows ?? []) {
            rows.set(
              rowKey({ table, rowId }),
              data === undefined ? undefined : { table, rowId, data, ref: "written before" },
            );
          }
        }),
      commit: (last) =>
        this.#write(() => {
          if (this.#large !== large) throw largeEnded();
          this.#large = undefined;
          return { kind: "commit", batch: last, slices };
        }),
      abort: () => {
        if (this.#large === large) this.#large = undefined;
        return Promise.resolve();
      },
    };
    return large;
  }
}
