/**
 * Where worlds keep their data: most of them in memory, some in the stores that servers use.
 *
 * @module
 */

import { openKvStores } from "../../server/store/kv.ts";
import { memoryStores } from "../../server/store/memory.ts";
import { openSqliteStores } from "../../server/store/sqlite.ts";
import type { Plan } from "./plan.ts";
import type { Stores } from "./play.ts";

/** Stores of one world, removed with the scope. */
export async function storesFor(kind: Plan["store"]): Promise<Stores & AsyncDisposable> {
  if (kind === "memory") {
    const stores = memoryStores();
    return { open: () => stores, [Symbol.asyncDispose]: async () => {} };
  }
  const folder = await Deno.makeTempDir({ prefix: "lakesync-oracle-" });
  return {
    open: () => kind === "sqlite" ? openSqliteStores(folder) : openKvStores(folder),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}
