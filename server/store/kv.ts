/**
 * Stores in Deno KV: a local file, the database of Deno Deploy, or a denokv server. One database
 * holds all gateways.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { openTwice, storeClosed } from "./_errors.ts";
import { GATEWAYS, HEAD, prefixOf } from "./_kv_keys.ts";
import type { HeadRecord } from "./_kv_records.ts";
import { KvRecords } from "./_kv_server_records.ts";
import { KvSession } from "./_kv_session.ts";
import { KvStore } from "./_kv_store.ts";
import { syncLeftLog } from "./_left_log.ts";
import { type FolderLock, lockFolder } from "./lock.ts";
import type { ServerStores, Store } from "./store.ts";

/** How a database is opened. */
export interface KvOptions {
  /** Whether other processes may write too; by default where the database is not a local file. */
  readonly shared?: boolean;
}

/**
 * Opens the stores of a Deno KV database.
 *
 * @param path a folder for a local database, an `https://` address of a denokv server, or ""
 * for the database that Deno Deploy gives
 * @param options for tests only
 * @returns the stores
 * @throws {StoreLockedError} when another process has the folder open
 * @throws {LakeSyncError} `INTERNAL_ERROR` when this Deno was started without KV
 */
export async function openKvStores(
  path: string,
  options: KvOptions = {},
): Promise<ServerStores> {
  if (typeof Deno.openKv !== "function") {
    throw new LakeSyncError(
      "INTERNAL_ERROR",
      "Deno KV is not enabled, start Deno with --unstable-kv or choose the SQLite store",
    );
  }
  if (path === "" || /^https?:\/\//.test(path)) {
    const kv = await Deno.openKv(path === "" ? undefined : path);
    return new KvStores(kv, undefined, options.shared ?? true);
  }
  const lock = await lockFolder(path);
  try {
    await syncLeftLog(`${path}/lakesync.kv`);
    const kv = await Deno.openKv(`${path}/lakesync.kv`);
    return new KvStores(kv, lock, options.shared ?? false);
  } catch (error) {
    lock.release();
    throw error;
  }
}

/**
 * Opens the stores in a file of Deno KV that nobody else has open, without the folder around it.
 *
 * @param file the file
 */
export async function openKvFile(file: string): Promise<ServerStores> {
  return new KvStores(await Deno.openKv(file), undefined, false);
}

/**
 * Names another epoch of a gateway in a file that nobody has open.
 *
 * @param file the file
 * @param gatewayId the gateway
 * @param epoch the new epoch
 */
export async function renewKvEpoch(file: string, gatewayId: string, epoch: string): Promise<void> {
  const kv = await Deno.openKv(file);
  try {
    const key = [...prefixOf(gatewayId), ...HEAD];
    const { value } = await kv.get<HeadRecord>(key);
    if (value !== null) await kv.set(key, { ...value, epoch });
  } finally {
    kv.close();
  }
}

class KvStores implements ServerStores {
  readonly kind = "kv";
  readonly records: KvRecords;
  readonly #kv: Deno.Kv;
  readonly #lock: FolderLock | undefined;
  readonly #shared: boolean;
  readonly #taken = new Set<string>();
  readonly #stores = new Set<Store>();
  #open = true;

  constructor(kv: Deno.Kv, lock: FolderLock | undefined, shared: boolean) {
    this.#kv = kv;
    this.#lock = lock;
    this.#shared = shared;
    this.records = new KvRecords(kv, { shared });
  }

  async list(): Promise<readonly string[]> {
    const ids: string[] = [];
    for await (const { key } of this.#kv.list({ prefix: [...GATEWAYS] })) {
      ids.push(String(key.at(-1)));
    }
    return ids.sort();
  }

  async open(gatewayId: string, create: boolean): Promise<Store | undefined> {
    if (!this.#open) throw storeClosed();
    if (this.#taken.has(gatewayId)) throw openTwice(gatewayId);
    this.#taken.add(gatewayId);
    try {
      if (create) await this.#create(gatewayId);
      const session = new KvSession(this.#kv, gatewayId);
      if ((await session.get(HEAD)).versionstamp === null) {
        this.#taken.delete(gatewayId);
        return undefined;
      }
      const store = new KvStore(session, this.#shared, () => {
        this.#taken.delete(gatewayId);
        this.#stores.delete(store);
      });
      await store.recover();
      this.#stores.add(store);
      return store;
    } catch (error) {
      this.#taken.delete(gatewayId);
      throw error;
    }
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    for (const store of [...this.#stores]) await store.close();
    this.records.close();
    this.#kv.close();
    this.#lock?.release();
  }

  /** Makes a gateway unless it is there, perhaps made by another process meanwhile. */
  async #create(gatewayId: string): Promise<void> {
    const head: HeadRecord = {
      epoch: crypto.randomUUID(),
      seq: 0,
      hlc: "0",
      lastRid: 0,
      logEntries: 0,
      logBytes: 0,
      clients: 0,
      pending: "",
    };
    const key = [...prefixOf(gatewayId), ...HEAD];
    await this.#kv.atomic()
      .check({ key, versionstamp: null })
      .set(key, head)
      .set([...GATEWAYS, gatewayId], true)
      .commit();
  }
}
