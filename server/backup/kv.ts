/**
 * Copies of a local Deno KV database, which holds all gateways. It is an SQLite file, and copied as
 * one; what is in it only Deno KV tells.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { ALL_SLICES } from "../gateway/history.ts";
import { beginEpoch } from "../gateway/new_epoch.ts";
import { openKvFile, renewKvEpoch } from "../store/kv.ts";
import { checkDatabase, copyDatabase, type FileFacts } from "../store/sqlite_copy.ts";
import type { ServerStores, Store } from "../store/store.ts";
import { KV_FILE } from "./folder.ts";
import { type CopiedGateway, sumOf } from "./manifest.ts";

/** Rows counted at once. */
const PAGE = 1_000;

function checkKv(): void {
  if (typeof Deno.openKv === "function") return;
  throw new LakeSyncError(
    "INTERNAL_ERROR",
    "Deno KV is not enabled, start Deno with --unstable-kv",
  );
}

/** Opens the file, does something and closes it; it may be written to meanwhile. */
async function within<T>(file: string, work: (stores: ServerStores) => Promise<T>): Promise<T> {
  checkKv();
  const stores = await openKvFile(file);
  try {
    return await work(stores);
  } finally {
    await stores.close();
  }
}

async function opened(stores: ServerStores, gatewayId: string): Promise<Store> {
  const store = await stores.open(gatewayId, false);
  if (store !== undefined) return store;
  throw new LakeSyncError("NOT_FOUND", `There is no gateway ${gatewayId} in the backup`);
}

async function factsOf(store: Store): Promise<FileFacts> {
  const { epoch, seq } = await store.head();
  const { logEntries, clients } = await store.stats();
  const [last] = await store.readLog({ seq: seq - 1, slice: ALL_SLICES }, 1);
  let rows = 0;
  for (let after: string | undefined = ""; after !== undefined;) {
    const page = await store.scanRows({ after, limit: PAGE });
    rows += page.rows.length;
    after = page.complete ? undefined : page.rows.at(-1)?.position;
  }
  return { epoch, seq, rows, logEntries, lastCommitMs: last?.committedMs, clients };
}

/**
 * Copies the database of a data folder, which a server may run on.
 *
 * @returns the gateways, all of one file
 */
export async function copyKv(
  { data, out }: { readonly data: string; readonly out: string },
): Promise<readonly CopiedGateway[]> {
  await copyDatabase(`${data}/${KV_FILE}`, `${out}/${KV_FILE}`);
  const copiedMs = Date.now();
  checkDatabase(`${out}/${KV_FILE}`);
  const sum = await sumOf(out, KV_FILE);
  // Opening the database writes to it, so another copy is looked into.
  const looked = `${out}/${KV_FILE}.looked-into`;
  await Deno.copyFile(`${out}/${KV_FILE}`, looked);
  try {
    return await within(looked, async (stores) => {
      const gateways: CopiedGateway[] = [];
      for (const gatewayId of await stores.list()) {
        const facts = await factsOf(await opened(stores, gatewayId));
        gateways.push({ gatewayId, ...sum, ...facts, copiedMs });
      }
      return gateways;
    });
  } finally {
    for (const suffix of ["", "-wal", "-shm"]) {
      await Deno.remove(`${looked}${suffix}`).catch(() => {});
    }
  }
}

/**
 * Begins another epoch of a gateway in a database that nobody has open.
 *
 * @returns the last commit before it
 */
export async function beginKvEpoch(
  file: string,
  gatewayId: string,
  epoch: string,
): Promise<number> {
  const seq = await within(file, async (stores) => {
    const store = await opened(stores, gatewayId);
    const head = await store.head();
    await beginEpoch(store, epoch);
    return head.seq;
  });
  await renewKvEpoch(file, gatewayId, epoch);
  return seq;
}
