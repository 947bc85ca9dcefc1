/**
 * One gateway in Deno KV: who may read and write when.
 *
 * Within this process readers share the gate and writers have it alone, so no reader sees a head
 * move. Where other processes write too, a read is repeated when the head has moved meanwhile:
 * every commit gives the head a new version.
 *
 * @module
 */

import {
  headMoved,
  isDiskFull,
  largeEnded,
  largeOpen,
  storeClosed,
  writeFailed,
} from "./_errors.ts";
import {
  carry,
  commitPlanned,
  marksBefore,
  readHead,
  sweep,
  type VersionedHead,
} from "./_kv_commit.ts";
import { KvDraft } from "./_kv_content.ts";
import { KvLarge } from "./_kv_large.ts";
import { Gate } from "./_kv_gate.ts";
import type { GatewayKey } from "./_kv_keys.ts";
import { countsFrom, KvPlan, type ReadKeys } from "./_kv_plan.ts";
import {
  readAnswer,
  readBuckets,
  readClients,
  readLog,
  readMeta,
  readPart,
  readRows,
  scanRows,
  stagedSummary,
} from "./_kv_reads.ts";
import type { HeadRecord } from "./_kv_records.ts";
import type { KvSession } from "./_kv_session.ts";
import { openView } from "./_kv_view.ts";
import { stagePart, sweepAnswers, sweepParts, trimLog } from "./_kv_upkeep.ts";
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

/** How often a read is repeated because another process has written meanwhile. */
const MAX_ATTEMPTS = 50;

/** In a shared database a write that has taken so long is given up by others, in milliseconds. */
const MAX_DRAFT_MS = 60 * 60 * 1_000;

/** A store over one gateway's keys. */
export class KvStore implements Store {
  /** What this store can do. */
  readonly capabilities: StoreCapabilities;
  readonly #session: KvSession;
  readonly #closed: () => void;
  readonly #gate = new Gate();
  /** Marks of what this process has freed, swept before its next write. */
  readonly #freed: GatewayKey[] = [];
  #large: KvLarge | undefined;
  #open = true;

  /**
   * @param session the gateway's keys, with a head
   * @param shared whether other processes may write too
   * @param closed called once it is closed
   */
  constructor(session: KvSession, shared: boolean, closed: () => void) {
    this.#session = session;
    this.#closed = closed;
    this.capabilities = { durable: true, shared, commitRows: 250 };
  }

  /** Finishes what was published and removes what was not, after a crash. */
  recover(): Promise<void> {
    return this.#write(async () => {
      const oldest = this.capabilities.shared ? Date.now() - MAX_DRAFT_MS : Infinity;
      await sweep(this.#session, await marksBefore(this.#session, oldest));
    });
  }

  /** What this store has done. */
  get counters(): StoreCounters {
    const { statements, rowsRead } = this.#session;
    return { statements, rowsRead };
  }

  /** Reads the head. */
  head(): Promise<Head> {
    return this.#read(({ epoch, seq, hlc }) => Promise.resolve({ epoch, seq, hlc }));
  }

  /** Reads rows. */
  readRows(
    keys: readonly RowKey[],
  ): Promise<readonly (StoredRow | undefined)[]> {
    return this.#read(() => readRows(this.#session, keys));
  }

  /** Reads clients. */
  readClients(
    clientIds: readonly string[],
  ): Promise<readonly (ClientRecord | undefined)[]> {
    return this.#read(() => readClients(this.#session, clientIds));
  }

  /** Reads buckets by name or number. */
  readBuckets(
    names: readonly (string | number)[],
  ): Promise<readonly (BucketRecord | undefined)[]> {
    return this.#read(() => readBuckets(this.#session, names));
  }

  /** Reads a small record. */
  readMeta(name: string): Promise<string | undefined> {
    return this.#read(() => readMeta(this.#session, name));
  }

  /** Reads a kept answer. */
  readAnswer(key: string): Promise<KeptAnswer | undefined> {
    return this.#read(() => readAnswer(this.#session, key));
  }

  /** Opens a view. */
  view(): Promise<ReadView> {
    return this.#untilCarried(() =>
      openView({
        session: this.#session,
        gate: this.#gate,
        shared: this.capabilities.shared,
        isOpen: () => this.#open,
      })
    );
  }

  /** Reads all rows page by page. */
  scanRows(scan: RowScan): Promise<RowPage> {
    return this.#read(() => scanRows(this.#session, scan));
  }

  /** Reads log entries. */
  readLog(after: LogPosition, limit: number): Promise<readonly LogEntry[]> {
    return this.#read(() => readLog(this.#session, after, limit));
  }

  /** Commits a batch. */
  commit(batch: CommitBatch): Promise<void> {
    return this.#write(async (head) => {
      if (this.#large) throw largeOpen();
      if (head.record.seq !== batch.expectedSeq) throw headMoved();
      const draft = new KvDraft(this.#session);
      const counts = countsFrom(head.record);
      const read: ReadKeys = (keys) => this.#session.getMany(keys);
      const plan = new KvPlan(this.#session, read, draft, counts);
      try {
        await plan.add(batch);
        const publication = { batch, draft, counts };
        const freed = await commitPlanned(
          this.#session,
          head,
          publication,
          plan.writes,
        );
        this.#freed.push(...freed);
      } catch (error) {
        this.#giveUp(draft);
        throw error;
      }
    });
  }

  /** Begins a large commit. */
  beginLarge(): Promise<LargeCommit> {
    return this.#write(({ record }) => {
      if (this.#large) throw largeOpen();
      this.#large = new KvLarge(this.#session, record);
      return Promise.resolve(this.#guard(this.#large));
    });
  }

  /** Keeps a part. */
  stagePart(part: StagedPart): Promise<void> {
    return this.#write(async () => {
      this.#freed.push(...await stagePart(this.#session, part));
    });
  }

  /** What parts of a transaction are there. */
  stagedSummary(
    clientId: string,
    mutationId: number,
  ): Promise<StagedSummary | undefined> {
    return this.#read(() => stagedSummary(this.#session, clientId, mutationId));
  }

  /** Reads one part. */
  readPart(
    clientId: string,
    mutationId: number,
    part: number,
  ): Promise<StagedPart | undefined> {
    return this.#read(() => readPart(this.#session, clientId, mutationId, part));
  }

  /** Removes log entries through a seq. */
  trimLog(throughSeq: number, limit: number): Promise<number> {
    return this.#write(async () => {
      const { count, freed } = await trimLog(this.#session, throughSeq, limit);
      this.#freed.push(...freed);
      return count;
    });
  }

  /** Removes kept answers that expired. */
  sweepAnswers(beforeMs: number, limit: number): Promise<number> {
    return this.#write(async () => {
      const { count, freed } = await sweepAnswers(
        this.#session,
        beforeMs,
        limit,
      );
      this.#freed.push(...freed);
      return count;
    });
  }

  /** Removes staged parts that came before a time. */
  sweepParts(beforeMs: number, limit: number): Promise<number> {
    return this.#write(async () => {
      const { count, freed } = await sweepParts(this.#session, beforeMs, limit);
      this.#freed.push(...freed);
      return count;
    });
  }

  /** How much it holds. */
  stats(): Promise<StoreStats> {
    return this.#read(({ logEntries, logBytes, clients }) =>
      Promise.resolve({ logEntries, logBytes, clients })
    );
  }

  /** Closes it; a large commit that is open is forgotten. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#large = undefined;
    await this.#gate.exclusive(() => Promise.resolve());
    this.#closed();
  }

  async #read<T>(work: (head: HeadRecord) => Promise<T>): Promise<T> {
    const { result } = await this.#untilCarried(() => this.#gate.shared(() => this.#attempt(work)));
    return result;
  }

  /** Tries until there is an answer, and finishes meanwhile what others have published. */
  async #untilCarried<T>(attempt: () => Promise<T | undefined>): Promise<T> {
    for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
      const answer = await attempt();
      if (answer !== undefined) return answer;
      await this.#write(() => Promise.resolve());
    }
    throw headMoved();
  }

  /** Reads once; nothing when a published write is not carried yet or the head has moved. */
  async #attempt<T>(
    work: (head: HeadRecord) => Promise<T>,
  ): Promise<{ readonly result: T } | undefined> {
    if (!this.#open) throw storeClosed();
    const before = await readHead(this.#session);
    if (before.record.pending !== "") return undefined;
    if (!this.capabilities.shared) return { result: await work(before.record) };
    const [outcome] = await Promise.allSettled([work(before.record)]);
    const after = await readHead(this.#session);
    if (after.versionstamp !== before.versionstamp) return undefined;
    if (outcome.status === "rejected") throw outcome.reason;
    return { result: outcome.value };
  }

  /** Runs alone, on a head that has nothing pending. */
  #write<T>(work: (head: VersionedHead) => Promise<T>): Promise<T> {
    return this.#gate.exclusive(async () => {
      if (!this.#open) throw storeClosed();
      try {
        return await work(await this.#prepare());
      } catch (error) {
        throw isDiskFull(error) ? writeFailed(error) : error;
      }
    });
  }

  /** Finishes what is published and sweeps what is freed; gives the head then. */
  async #prepare(): Promise<VersionedHead> {
    let head = await readHead(this.#session);
    while (head.record.pending !== "") {
      this.#freed.push(...await carry(this.#session, head));
      head = await readHead(this.#session);
    }
    const freed = [...this.#freed];
    await sweep(this.#session, freed);
    this.#freed.splice(0, freed.length);
    return head;
  }

  #giveUp(draft: KvDraft): void {
    if (draft.markVersion !== undefined) this.#freed.push(draft.markKey);
  }

  /** Ends a large commit with its first failure. */
  #guard(large: KvLarge): LargeCommit {
    const end = () => {
      if (this.#large !== large) return;
      this.#large = undefined;
      this.#giveUp(large.draft);
    };
    const step = async <T>(work: () => Promise<T>): Promise<T> => {
      if (this.#large !== large) throw largeEnded();
      try {
        return await work();
      } catch (error) {
        end();
        throw error;
      }
    };
    return {
      readRows: (keys) => step(() => large.readRows(keys)),
      write: (writes) => step(() => large.write(writes)),
      commit: (batch) =>
        step(() =>
          this.#write(async (head) => {
            await large.publish(head, batch);
            this.#large = undefined;
          })
        ),
      abort: async () => {
        if (this.#large !== large) return;
        end();
        await this.#write(() => Promise.resolve());
      },
    };
  }
}
