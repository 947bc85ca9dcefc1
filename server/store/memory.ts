/**
 * Stores in memory, for tests and simulations. What is committed lives as long as the factory:
 * a store that is closed and opened again has its data, as after the restart of a process.
 *
 * @module
 */

import { largeEnded, largeOpen, openTwice, storeClosed, viewEnded } from "./_errors.ts";
import { type MemoryReads, rowKey } from "./_memory_reads.ts";
import { MemoryState } from "./_memory_state.ts";
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
  StoreFactory,
  StoreStats,
  Writes,
} from "./store.ts";

/**
 * Makes stores in memory.
 *
 * @returns the stores, empty
 *
 * @example
 * ```ts
 * import { memoryStores } from "./memory.ts";
 *
 * const stores = memoryStores();
 * const store = await stores.open("default", true);
 * console.assert((await store?.head())?.seq === 0);
 * ```
 */
export function memoryStores(): StoreFactory {
  return new MemoryStores();
}

class MemoryStores implements StoreFactory {
  readonly kind = "memory";
  readonly #states = new Map<string, MemoryState>();
  readonly #taken = new Map<string, Store>();

  list(): Promise<readonly string[]> {
    return Promise.resolve([...this.#states.keys()].sort());
  }

  open(gatewayId: string, create: boolean): Promise<Store | undefined> {
    return Promise.try(() => {
      if (this.#taken.has(gatewayId)) throw openTwice(gatewayId);
      let state = this.#states.get(gatewayId);
      if (!state) {
        if (!create) return undefined;
        this.#states.set(gatewayId, state = new MemoryState());
      }
      const store = new MemoryStore(
        state,
        () => this.#taken.delete(gatewayId),
      );
      this.#taken.set(gatewayId, store);
      return store;
    });
  }

  /** Closes the stores; the factory can be used again, with what was committed. */
  async close(): Promise<void> {
    for (const store of [...this.#taken.values()]) await store.close();
  }
}

class MemoryStore implements Store {
  readonly capabilities: StoreCapabilities = {
    durable: false,
    shared: false,
    commitRows: 10_000,
  };
  readonly #state: MemoryState;
  readonly #closed: () => void;
  #statements = 0;
  #rowsRead = 0;
  #large: LargeCommit | undefined;
  /** Ends each view that is open. */
  readonly #views = new Set<() => void>();
  #open = true;

  constructor(state: MemoryState, closed: () => void) {
    this.#state = state;
    this.#closed = closed;
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
    return this.#run((state) => {
      if (this.#large) throw largeOpen();
      this.#statements += batch.rows?.length ?? 0;
      state.commit(batch);
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
    return this.#run((state) => state.stage(part));
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
    return this.#run((state) => state.trimLog(throughSeq, limit));
  }

  sweepAnswers(beforeMs: number, limit: number): Promise<number> {
    return this.#run((state) => state.sweepAnswers(beforeMs, limit));
  }

  sweepParts(beforeMs: number, limit: number): Promise<number> {
    return this.#run((state) => state.sweepParts(beforeMs, limit));
  }

  stats(): Promise<StoreStats> {
    return this.#run((state) => state.stats);
  }

  close(): Promise<void> {
    if (this.#open) {
      this.#open = false;
      this.#large = undefined;
      for (const end of this.#views) end();
      this.#closed();
    }
    return Promise.resolve();
  }

  #run<T>(work: (state: MemoryState) => T): Promise<T> {
    return Promise.try(() => {
      if (!this.#open) throw storeClosed();
      this.#statements++;
      return work(this.#state);
    });
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
        step((state) => {
          this.#large = undefined;
          state.commit(last, slices);
        }),
      abort: () => {
        if (this.#large === large) this.#large = undefined;
        return Promise.resolve();
      },
    };
    return large;
  }
}
