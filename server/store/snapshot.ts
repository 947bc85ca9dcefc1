/**
 * Several reads of one snapshot, whatever the store: a view is opened, ended in any case, and read
 * anew where the store says that it was not one snapshot.
 *
 * @module
 */

import { snapshotLost } from "./_errors.ts";
import type { ReadView, Store } from "./store.ts";

/** How often is read anew before the caller is told to come back. */
const MAX_ATTEMPTS = 50;

/**
 * Reads what belongs together.
 *
 * @param store where to read
 * @param read reads by the view and has no other effect, since it may be called again; what it
 * returns, and what it throws, counts only when the view was one snapshot
 * @returns what `read` returned
 * @throws {LakeSyncError} `BACKPRESSURE` when others write all the while
 *
 * @example
 * ```ts
 * import { memoryStores } from "./memory.ts";
 * import { readSnapshot } from "./snapshot.ts";
 *
 * const store = await memoryStores().open("default", true);
 * if (store) {
 *   const seq = await readSnapshot(store, (view) => Promise.resolve(view.head.seq));
 *   console.assert(seq === 0);
 * }
 * ```
 */
export async function readSnapshot<T>(
  store: Pick<Store, "view">,
  read: (view: ReadView) => Promise<T>,
): Promise<T> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const view = await store.view();
    const [outcome] = await Promise.allSettled([read(view)]);
    if (!await view.end()) continue;
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  }
  throw snapshotLost();
}
