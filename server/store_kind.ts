/**
 * Keeps a server from beginning anew beside the data of another store.
 *
 * @module
 */

import { GATEWAYS, isKv, KV_FILE } from "./backup/folder.ts";
import { isThere } from "./is_there.ts";
import type { ServeConfig } from "./config.ts";
import { UsageError } from "./values.ts";

async function storeOf(data: string): Promise<"kv" | "sqlite" | undefined> {
  if (await isKv(data)) return "kv";
  const isSqlite = await isThere(`${data}/${GATEWAYS}`) && !await isThere(`${data}/${KV_FILE}`);
  return isSqlite ? "sqlite" : undefined;
}

/**
 * Checks that a data folder does not hold the data of another store alone: clients would find an
 * empty gateway. Where both are there, the one that is asked for is opened.
 *
 * @param config the store and the folder
 * @throws {UsageError} when it does
 */
export async function checkStoreKind(
  { store, data }: Pick<ServeConfig, "store" | "data">,
): Promise<void> {
  if (store === "memory") return;
  const found = await storeOf(data);
  if (found === undefined || found === store) return;
  throw new UsageError(
    `The data folder ${data} is of the store ${found}, give --store ${found} or another --data`,
  );
}
