/**
 * Stores in memory whose data can be put back to what they were.
 *
 * @module
 */

import type { MemoryContent } from "./_memory_change.ts";
import { MemoryState } from "./_memory_state.ts";
import { MemoryStore } from "./_memory_store.ts";
import type { Store, StoreFactory } from "./store.ts";

/** The data of all gateways at one moment. */
export type Backup = ReadonlyMap<string, MemoryContent>;

/** Stores that outlive the processes that open them. */
export class BackedUpStores {
  #states = new Map<string, MemoryState>();

  /** Keeps what is there now. */
  backup(): Backup {
    return new Map([...this.#states].map(([id, state]) => [id, state.content()]));
  }

  /** Puts the data back; no process may have them open. */
  restore(backup: Backup): void {
    this.#states = new Map([...backup].map(([id, content]) => [id, MemoryState.from(content)]));
  }

  /** The stores as one process opens them. */
  open(): StoreFactory {
    return {
      kind: "memory",
      list: () => Promise.resolve([...this.#states.keys()].sort()),
      open: (id, create) => Promise.resolve(this.#open(id, create)),
      close: () => Promise.resolve(),
    };
  }

  #open(id: string, create: boolean): Store | undefined {
    const state = this.#states.get(id) ??
      (create ? new MemoryState(crypto.randomUUID()) : undefined);
    if (state === undefined) return undefined;
    this.#states.set(id, state);
    return new MemoryStore({
      capabilities: { durable: true, shared: false, commitRows: 10_000 },
      read: (read) => Promise.try(() => read(state)),
      change: (change) =>
        Promise.try(() => {
          state.check(change);
          return state.apply(change);
        }),
      close: () => Promise.resolve(),
    });
  }
}
