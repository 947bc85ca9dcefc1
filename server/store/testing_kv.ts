/**
 * What the tests of the KV store share: a database without its lock, so that several stores stand
 * for several processes, sessions that fail, and a history that needs more than one atomic.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  at,
  client,
  logEntry,
  newRow,
  newRows,
  next,
  openStore,
  refOf,
  scanAll,
} from "./_conformance_tools.ts";
import { KvSession, type KvWrite } from "./_kv_session.ts";
import { KvStore } from "./_kv_store.ts";
import { openKvStores } from "./kv.ts";
import { LOG_START, type Store } from "./store.ts";

/** A database with the gateway `default` and nothing in it, and stores over it. */
export async function database(path: string): Promise<
  Disposable & {
    readonly kv: Deno.Kv;
    /** A store of its own, as another process would have it. */
    open(session?: KvSession, shared?: boolean): Promise<KvStore>;
    /** How many keys of a kind there are. */
    count(kind: string): Promise<number>;
  }
> {
  const stores = await openKvStores(path);
  await openStore(stores);
  await stores.close();
  const kv = await Deno.openKv(`${path}/lakesync.kv`);
  return {
    kv,
    async open(session = new KvSession(kv, "default"), shared = true) {
      const store = new KvStore(session, shared, () => {});
      await store.recover();
      return store;
    },
    async count(kind) {
      let count = 0;
      const prefix = ["lakesync", "g", "default", kind];
      for await (const _ of kv.list({ prefix })) count++;
      return count;
    },
    [Symbol.dispose]: () => kv.close(),
  };
}

/** Fails at a write, before it is done or after. */
export class FailingSession extends KvSession {
  #left: number;
  readonly #afterwards: boolean;

  constructor(kv: Deno.Kv, failsAt: number, afterwards: boolean) {
    super(kv, "default");
    this.#left = failsAt;
    this.#afterwards = afterwards;
  }

  /** Whether the failing write was reached. */
  get failed(): boolean {
    return this.#left < 0;
  }

  override async write(
    ...args: Parameters<KvSession["write"]>
  ): Promise<string | undefined> {
    return await this.#guard(() => super.write(...args));
  }

  override stage(writes: readonly KvWrite[]): Promise<unknown> {
    return this.#guard(() => super.stage(writes));
  }

  async #guard<T>(write: () => Promise<T>): Promise<T> {
    this.#left--;
    if (this.#left >= 0) return await write();
    if (this.#left === -1 && this.#afterwards) await write();
    throw new Error("The disk is gone");
  }
}

/** Does every write, and says of one that it failed. */
export class FailingOnce extends KvSession {
  #left: number;

  constructor(kv: Deno.Kv, failsAt: number) {
    super(kv, "default");
    this.#left = failsAt;
  }

  override async write(
    ...args: Parameters<KvSession["write"]>
  ): Promise<string | undefined> {
    const result = await super.write(...args);
    if (this.#left-- === 0) throw new Error("The answer was lost");
    return result;
  }
}

/** Lets something happen between a list and what is done with it. */
export class PausingSession extends KvSession {
  #kind = "";
  #happens: (() => Promise<unknown>) | undefined;

  /** What happens once, after the next list of keys of a kind. */
  afterList(kind: string, happens: () => Promise<unknown>): void {
    this.#happens = happens;
    this.#kind = kind;
  }

  override async list(
    range: Parameters<KvSession["list"]>[0],
  ): ReturnType<KvSession["list"]> {
    const found = await super.list(range);
    if (range.prefix[0] === this.#kind && this.#happens) {
      const happens = this.#happens;
      this.#happens = undefined;
      await happens();
    }
    return found;
  }
}

export const BIG: string = "x".repeat(130_000);

/** A commit of two atomics' worth with large values, after one that it replaces. */
export async function history(store: Store): Promise<void> {
  await store.commit(next(0, {
    rows: [newRow("t1", 1, `1${BIG}`)],
    clients: [client("phone-1", 1)],
    log: [{ ...logEntry(1), payload: new Uint8Array(70_000) }],
  }));
  await store.commit(next(1, {
    rows: [
      {
        ...newRow("t1", 2, `2${BIG}`),
        ref: await refOf(store, "t1"),
        drop: [at(1)],
      },
      ...newRows("a", 440, 2),
    ],
    clients: [client("phone-1", 2)],
    log: [logEntry(2)],
  }));
}

/** Fails unless the store is as it was after one of the commits. */
export async function assertWhole(store: Store): Promise<number> {
  const { seq } = await store.head();
  const rows = await scanAll(store);
  assert.equal(rows.length, [0, 1, 441][seq]);
  const [row] = await store.readRows([{ table: 1, rowId: "t1" }]);
  assert.equal(row?.data, seq === 0 ? undefined : `${seq}${BIG}`);
  const [known] = await store.readClients(["phone-1"]);
  assert.equal(known?.lastMutationId, seq === 0 ? undefined : seq);
  const log = await store.readLog(LOG_START, 9);
  assert.deepEqual(
    log.map(({ payload }) => payload.length),
    [70_000, 10].slice(0, seq),
  );
  assert.deepEqual(await store.stats(), {
    logEntries: seq,
    logBytes: [0, 70_000, 70_010][seq],
    clients: Math.min(seq, 1),
  });
  return seq;
}
