/**
 * Stores in memory, for tests and simulations. What is committed lives as long as the factory:
 * a store that is closed and opened again has its data, as after the restart of a process.
 *
 * @module
 */

import { openTwice } from "./_errors.ts";
import { MemoryState } from "./_memory_state.ts";
import { MemoryStore } from "./_memory_store.ts";
import { MemoryRecords } from "./_memory_server_records.ts";
import type { RecordStore } from "./records.ts";
import type { ServerStores, Store, StoreCapabilities } from "./store.ts";

const CAPABILITIES: StoreCapabilities = { durable: false, shared: false, commitRows: 10_000 };

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
export function memoryStores(): ServerStores {
  return new MemoryStores();
}

class MemoryStores implements ServerStores {
  readonly kind = "memory";
  readonly records: RecordStore = new MemoryRecords();
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
        this.#states.set(gatewayId, state = new MemoryState(crypto.randomUUID()));
      }
      const store = this.#over(gatewayId, state);
      this.#taken.set(gatewayId, store);
      return store;
    });
  }

  #over(gatewayId: string, state: MemoryState): Store {
    return new MemoryStore({
      capabilities: CAPABILITIES,
      read: (read) => Promise.try(() => read(state)),
      change: (change) =>
        Promise.try(() => {
          state.check(change);
          return state.apply(change);
        }),
      close: () => Promise.try(() => void this.#taken.delete(gatewayId)),
    });
  }

  /** Closes the stores; the factory can be used again, with what was committed. */
  async close(): Promise<void> {
    for (const store of [...this.#taken.values()]) await store.close();
  }
}
