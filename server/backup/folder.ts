/**
 * What a data folder holds that is to be kept, and where.
 *
 * @module
 */

import { isThere } from "../is_there.ts";
import { isGatewayId, LakeSyncError } from "@lakesync/core";
import { UNFINISHED_RESTORE } from "../store/lock.ts";
import { fileNameOf, gatewayIdOf } from "../store/sqlite_copy.ts";

/** The folder of the gateways' files in a data folder, and in a backup. */
export const GATEWAYS = "gateways";

/** Databases of the server beside its gateways. */
export const RECORD_FILES: readonly string[] = ["server.db"];

/** Files that only the owner may read. */
export const SECRET_FILES: readonly string[] = ["secret", "keys.json"];

/** What Deno KV keeps a data folder's gateways in. */
export const KV_FILE = "lakesync.kv";

/** The path of a gateway's file, within a data folder or a backup. */
export function gatewayFile(gatewayId: string): string {
  return `${GATEWAYS}/${fileNameOf(gatewayId)}`;
}

/** Whether a data folder is of the store `kv`. */
export async function isKv(data: string): Promise<boolean> {
  return !await isThere(`${data}/${GATEWAYS}`) && await isThere(`${data}/${KV_FILE}`);
}

async function checkFinished(data: string): Promise<void> {
  if (!await isThere(`${data}/${UNFINISHED_RESTORE}`)) return;
  throw new LakeSyncError(
    "VALIDATION_ERROR",
    `The data folder ${data} holds a restore that did not come to its end`,
  );
}

/**
 * The gateways of a data folder of the SQLite store.
 *
 * @param data the folder
 * @returns their ids, ascending
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it is no such folder
 */
export async function gatewaysIn(data: string): Promise<readonly string[]> {
  await checkFinished(data);
  if (!await isThere(`${data}/${GATEWAYS}`)) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      await isThere(`${data}/${KV_FILE}`)
        ? `The data folder ${data} is of the store kv, which is backed up whole and whose log ` +
          "is not replayed"
        : `There are no gateways in ${data}, give the data folder of a server by --data`,
    );
  }
  const ids: string[] = [];
  for await (const { name } of Deno.readDir(`${data}/${GATEWAYS}`)) {
    const id = gatewayIdOf(name);
    if (id !== undefined && isGatewayId(id)) ids.push(id);
  }
  return ids.sort();
}
