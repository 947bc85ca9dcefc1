/**
 * The embedded default: one SQLite file for each gateway, so that a backup or the deletion of a
 * gateway is that of a file. One process holds the folder.
 *
 * @module
 */

import { openTwice, storeClosed } from "./_errors.ts";
import { fileNameOf, gatewayIdOf } from "./_file_name.ts";
import { syncLeftLog } from "./_left_log.ts";
import { createDatabase, type SqliteOptions, syncFolder } from "./_sqlite_layout.ts";
import { SqliteRecords } from "./_sqlite_server_records.ts";
import { SqliteStore } from "./_sqlite_store.ts";
import { SqliteThread } from "./_sqlite_thread.ts";
import { type FolderLock, lockFolder } from "./lock.ts";
import type { ServerStores, Store } from "./store.ts";

/**
 * Opens the SQLite stores of a data folder, which is made if it is not there.
 *
 * @param dir the folder; gateways are in `gateways/<id>.db`, records in `server.db`
 * @param options for tests only
 * @returns the stores
 * @throws {StoreLockedError} when another process has the folder open
 */
export async function openSqliteStores(
  dir: string,
  options: SqliteOptions = {},
): Promise<ServerStores> {
  const lock = await lockFolder(dir);
  try {
    await Deno.mkdir(`${dir}/gateways`, { recursive: true });
    await syncFolder(dir);
  } catch (error) {
    lock.release();
    throw error;
  }
  return new SqliteStores(dir, lock, options);
}

export type { SqliteOptions };

class SqliteStores implements ServerStores {
  readonly kind = "sqlite";
  readonly records: SqliteRecords;
  readonly #folder: string;
  readonly #lock: FolderLock;
  readonly #options: SqliteOptions;
  readonly #thread = new SqliteThread();
  readonly #taken = new Set<string>();
  readonly #stores = new Set<Store>();
  #open = true;

  constructor(dir: string, lock: FolderLock, options: SqliteOptions) {
    this.records = new SqliteRecords(`${dir}/server.db`, options);
    this.#folder = `${dir}/gateways`;
    this.#lock = lock;
    this.#options = options;
  }

  async list(): Promise<readonly string[]> {
    const ids: string[] = [];
    for await (const { name } of Deno.readDir(this.#folder)) {
      const id = gatewayIdOf(name);
      if (id !== undefined) ids.push(id);
    }
    return ids.sort();
  }

  async open(gatewayId: string, create: boolean): Promise<Store | undefined> {
    if (!this.#open) throw storeClosed();
    if (this.#taken.has(gatewayId)) throw openTwice(gatewayId);
    this.#taken.add(gatewayId);
    try {
      const file = `${this.#folder}/${fileNameOf(gatewayId)}`;
      if (!await isThere(file)) {
        if (!create) {
          this.#taken.delete(gatewayId);
          return undefined;
        }
        await createDatabase(file, crypto.randomUUID());
      }
      await syncLeftLog(file);
      const store: Store = new SqliteStore(file, {
        options: this.#options,
        thread: this.#thread,
        closed: () => {
          this.#taken.delete(gatewayId);
          this.#stores.delete(store);
        },
      });
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
    await this.records.close();
    this.#thread.close();
    this.#lock.release();
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
