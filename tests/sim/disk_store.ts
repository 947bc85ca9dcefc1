/**
 * Stores of a simulated process on a model disk. They keep the port's promises as a real store
 * does, by a log that is fsynced before a commit's promise resolves, and can be killed or lose
 * power wherever they wait.
 *
 * @module
 */

import { openTwice, storeClosed } from "../../server/store/_errors.ts";
import { MemoryRecords } from "../../server/store/_memory_server_records.ts";
import type { MemoryChange } from "../../server/store/_memory_change.ts";
import type { MemoryState } from "../../server/store/_memory_state.ts";
import { type MemoryBacking, MemoryStore } from "../../server/store/_memory_store.ts";
import type { RecordStore } from "../../server/store/records.ts";
import type { ServerStores, Store, StoreCapabilities } from "../../server/store/store.ts";
import { DiskFull, type Mount } from "./disk.ts";
import { DiskLog } from "./disk_log.ts";

/** What a store waits for. */
export type DiskWait = "read" | "write" | "fsync";

/** The data that several processes share: those of a database that outlives each of them. */
export type SharedLogs = Map<string, DiskLog>;

/** What stores on a model disk need. */
export interface DiskStoresOptions {
  /** The process's access to the disk. When it is dead, no promise of the stores resolves. */
  readonly disk: Mount;
  /** Makes a UUID, for the epoch of a new gateway. */
  readonly randomId: () => string;
  /** Awaited before each step; time passes there, and what it throws fails the operation. */
  readonly io?: (what: DiskWait) => Promise<void>;
  /**
   * Given to several processes on one disk, the stores are shared: each gateway can be open in all
   * of them. A new one is needed after a power loss or a restore.
   */
  readonly shared?: SharedLogs;
  /** How many rows one commit should at most hold. */
  readonly commitRows?: number;
  /** So many bytes of changes are kept at least before they are replaced by their outcome. */
  readonly compactBytes?: number;
}

/**
 * Opens the stores of one process.
 *
 * @param options where they are and what happens while they wait
 * @returns the stores, with what is on the disk
 */
export function diskStores(options: DiskStoresOptions): ServerStores {
  return new DiskStores(options);
}

class DiskStores implements ServerStores {
  readonly kind: "sqlite" | "kv";
  readonly records: RecordStore = new MemoryRecords();
  readonly #wait: Waiting;
  readonly #options: DiskStoresOptions;
  readonly #capabilities: StoreCapabilities;
  /** Gateways that are open, without a store while they are being opened. */
  readonly #taken = new Map<string, Store | undefined>();
  #open = true;

  constructor(options: DiskStoresOptions) {
    const { shared, commitRows = 1_000 } = options;
    this.kind = shared ? "kv" : "sqlite";
    this.#options = options;
    this.#capabilities = { durable: true, shared: shared !== undefined, commitRows };
    this.#wait = waiting(options);
  }

  async list(): Promise<readonly string[]> {
    await this.#wait("read");
    return DiskLog.list(this.#options.disk);
  }

  async open(gatewayId: string, create: boolean): Promise<Store | undefined> {
    if (!this.#open) throw storeClosed();
    if (this.#taken.has(gatewayId)) throw openTwice(gatewayId);
    this.#taken.set(gatewayId, undefined);
    let store: Store | undefined;
    try {
      const log = this.#options.shared
        ? await this.#openShared(gatewayId, create, this.#options.shared)
        : await this.#openAlone(gatewayId, create);
      if (log) store = new MemoryStore(this.#backing(gatewayId, log));
      return store;
    } finally {
      if (store) this.#taken.set(gatewayId, store);
      else this.#taken.delete(gatewayId);
    }
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    for (const store of [...this.#taken.values()]) await store?.close();
  }

  async #openAlone(gatewayId: string, create: boolean): Promise<DiskLog | undefined> {
    const { disk, randomId, compactBytes = COMPACT_BYTES } = this.#options;
    await this.#wait("read");
    let log = DiskLog.recover(disk, gatewayId, { compactBytes });
    if (!log) {
      if (!create) return undefined;
      await this.#wait("write");
      log = DiskLog.create(disk, gatewayId, { epoch: randomId(), compactBytes });
    }
    await this.#wait("fsync");
    log.settle(disk);
    return log;
  }

  async #openShared(
    gatewayId: string,
    create: boolean,
    shared: SharedLogs,
  ): Promise<DiskLog | undefined> {
    const { disk, randomId, compactBytes = COMPACT_BYTES } = this.#options;
    await this.#wait("read");
    const open = shared.get(gatewayId);
    if (open) return open;
    let log = DiskLog.recover(disk, gatewayId, { compactBytes });
    if (!log && !create) return undefined;
    log ??= DiskLog.create(disk, gatewayId, { epoch: randomId(), compactBytes });
    log.settle(disk);
    shared.set(gatewayId, log);
    return log;
  }

  #backing(gatewayId: string, log: DiskLog): MemoryBacking {
    const { disk, shared } = this.#options;
    const parts = { capabilities: this.#capabilities, disk, wait: this.#wait, log };
    const closed = () => this.#taken.delete(gatewayId);
    return shared ? new SharedBacking(parts, closed) : new OwnBacking(parts, closed);
  }
}

const COMPACT_BYTES = 256 * 1024;

/** Waits before a step of a process; a process that has died waits for ever. */
type Waiting = (what: DiskWait) => Promise<void>;

function waiting({ disk, io }: DiskStoresOptions): Waiting {
  return async (what) => {
    await io?.(what).catch((error) => {
      if (disk.alive) throw error;
    });
    if (!disk.alive) await new Promise<never>(() => {});
  };
}

/** What keeps an open store going. */
interface Parts {
  readonly capabilities: StoreCapabilities;
  readonly disk: Mount;
  readonly wait: Waiting;
  readonly log: DiskLog;
}

/** The data of a store that no other process has open: changes come one after another. */
class OwnBacking implements MemoryBacking {
  readonly capabilities: StoreCapabilities;
  readonly #parts: Parts;
  readonly #closed: () => void;
  /** Resolves when the last change has ended, well or not. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: Parts, closed: () => void) {
    this.capabilities = parts.capabilities;
    this.#parts = parts;
    this.#closed = closed;
  }

  async read<T>(read: (state: MemoryState) => T): Promise<T> {
    await this.#parts.wait("read");
    return read(this.#parts.log.state);
  }

  async change(change: MemoryChange): Promise<number> {
    const { log } = this.#parts;
    const removed = await this.#afterOthers(() => this.#commit(change));
    if (log.isLong) void this.#afterOthers(() => this.#compact());
    return removed;
  }

  async close(): Promise<void> {
    await this.#last;
    this.#closed();
  }

  async #commit(change: MemoryChange): Promise<number> {
    const { disk, wait, log } = this.#parts;
    await wait("write");
    log.state.check(change);
    log.append(disk, change);
    await this.#sync();
    return log.state.apply(change);
  }

  async #sync(): Promise<void> {
    const { disk, wait, log } = this.#parts;
    try {
      await wait("fsync");
    } catch (error) {
      log.undo(disk);
      throw error;
    }
    log.sync(disk);
  }

  /** Replaces changes by their outcome; where that fails the changes go on to be kept. */
  async #compact(): Promise<void> {
    const { disk, wait, log } = this.#parts;
    if (!log.isLong) return;
    try {
      await wait("write");
      const next = log.begin(disk);
      await wait("fsync");
      log.turn(disk, next);
    } catch {
      log.abandon(disk);
    }
  }

  #afterOthers<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.then(() => {}, () => {});
    return result;
  }
}

/** The data of a store that other processes have open too: a change is one step of the database. */
class SharedBacking implements MemoryBacking {
  readonly capabilities: StoreCapabilities;
  readonly #parts: Parts;
  readonly #closed: () => void;

  constructor(parts: Parts, closed: () => void) {
    this.capabilities = parts.capabilities;
    this.#parts = parts;
    this.#closed = closed;
  }

  async read<T>(read: (state: MemoryState) => T): Promise<T> {
    await this.#parts.wait("read");
    return read(this.#parts.log.state);
  }

  /** The process may die before the database has the change, or before it has its answer. */
  async change(change: MemoryChange): Promise<number> {
    const { disk, wait, log } = this.#parts;
    await wait("write");
    log.state.check(change);
    log.append(disk, change);
    log.sync(disk);
    const removed = log.state.apply(change);
    if (log.isLong) compactNow(disk, log);
    await wait("fsync");
    return removed;
  }

  close(): Promise<void> {
    this.#closed();
    return Promise.resolve();
  }
}

function compactNow(disk: Mount, log: DiskLog): void {
  try {
    log.turn(disk, log.begin(disk));
  } catch (error) {
    if (!(error instanceof DiskFull)) throw error;
    log.abandon(disk);
  }
}
