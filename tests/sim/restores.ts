/**
 * Backups of a server's disk, one gateway at a time, and what `lakesync restore` makes of one: the
 * data as they were, in an epoch that nobody has seen.
 *
 * @module
 */

import { beginEpoch } from "../../server/gateway/new_epoch.ts";
import type { DiskSnapshot, SimDisk } from "./disk.ts";
import { DiskLog, isFileOf } from "./disk_log.ts";
import { diskStores } from "./disk_store.ts";

/** A gateway as of one commit. */
export interface GatewayBackup {
  /** The gateway. */
  readonly gateway: string;
  /** Its files. */
  readonly files: DiskSnapshot;
}

/**
 * Copies a gateway as it is committed at this moment; its server goes on.
 *
 * @param disk where it is
 * @param gateway its id
 * @returns the backup; undefined when there is no such gateway yet
 */
export function backUp(disk: SimDisk, gateway: string): GatewayBackup | undefined {
  const files = new Map([...disk.snapshot()].filter(([path]) => isFileOf(gateway, path)));
  const mount = disk.mount();
  const isThere = DiskLog.list(mount).includes(gateway);
  mount.kill();
  return isThere ? { gateway, files } : undefined;
}

/**
 * Puts a gateway back to a backup, in a new epoch. No virtual time passes, so that nobody finds half
 * of it: a real folder says that it is not whole, and nothing serves it.
 *
 * @param disk where it is; no server may have it open
 * @param backup what to put there
 * @param epoch the name of the epoch
 */
export async function restoreGateway(
  disk: SimDisk,
  { gateway, files }: GatewayBackup,
  epoch: string,
): Promise<void> {
  disk.limitBytes = Infinity;
  disk.restore(files, (path) => isFileOf(gateway, path));
  const mount = disk.mount();
  const stores = diskStores({ disk: mount, randomId: () => epoch });
  const store = await stores.open(gateway, false);
  if (store === undefined) throw new Error(`The backup of ${gateway} holds nothing`);
  await beginEpoch(store, epoch);
  await stores.close();
  DiskLog.renewEpoch(mount, gateway, epoch);
  mount.kill();
}
