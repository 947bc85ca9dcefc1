/**
 * Backups of a server's disk, one gateway at a time, and what `lakesync restore` makes of one: the
 * data as they were, in an epoch that nobody has seen.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { GatewayEnvironment } from "../../server/gateway/environment.ts";
import type { Life } from "../../server/gateway/lives.ts";
import { beginEpoch } from "../../server/gateway/new_epoch.ts";
import { type Moment, replayLog } from "../../server/gateway/replay_log.ts";
import type { Store } from "../../server/store/store.ts";
import { type DiskSnapshot, SimDisk } from "./disk.ts";
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

/** A log that is replayed onto a backup: that of the data that it takes the place of. */
export interface Replaying {
  /** The world. */
  readonly env: GatewayEnvironment;
  /** Picks a moment, from the last commits of the backup and of the log. */
  readonly until: (firstSeq: number, lastSeq: number) => Moment;
}

/**
 * Puts a gateway back to a backup, in a new epoch, and replays the log onto it where that is asked
 * for and the log goes on from the backup. No virtual time passes, so that nobody finds half
 * of it: a real folder says that it is not whole, and nothing serves it.
 *
 * @param disk where it is; no server may have it open
 * @param backup what to put there
 * @param epoch the name of the epoch
 * @param replaying which log is replayed, if any is
 * @returns whether it was
 * @throws {LakeSyncError} when a log goes on from the backup and comes to something else
 */
export async function restoreGateway(
  disk: SimDisk,
  { gateway, files }: GatewayBackup,
  epoch: string,
  replaying?: Replaying,
): Promise<boolean> {
  disk.limitBytes = Infinity;
  const before = replaying === undefined ? undefined : copyOf(disk, gateway);
  disk.restore(files, (path) => isFileOf(gateway, path));
  const mount = disk.mount();
  const stores = diskStores({ disk: mount, randomId: () => epoch });
  const store = await stores.open(gateway, false);
  if (store === undefined) throw new Error(`The backup of ${gateway} holds nothing`);
  const lives = before && replaying && await replay(store, before, gateway, replaying);
  await beginEpoch(store, epoch, lives);
  await stores.close();
  DiskLog.renewEpoch(mount, gateway, epoch);
  mount.kill();
  return lives !== undefined;
}

/** A disk with a gateway alone, as a process would find it now. */
function copyOf(disk: SimDisk, gateway: string): SimDisk {
  const mount = disk.mount();
  const paths = mount.list().filter((path) => isFileOf(gateway, path));
  const copy = new SimDisk();
  copy.restore(new Map(paths.map((path) => [path, mount.read(path) ?? new Uint8Array()])));
  mount.kill();
  return copy;
}

/** Replays a log, and gives the lives up to there; undefined when the log does not go on from here. */
async function replay(
  store: Store,
  disk: SimDisk,
  gateway: string,
  { env, until }: Replaying,
): Promise<readonly Life[] | undefined> {
  const mount = disk.mount();
  const clients = DiskLog.recover(mount, gateway, { compactBytes: 0 })?.state.content().clients;
  const stores = diskStores({ disk: mount, randomId: env.randomId });
  const newer = await stores.open(gateway, false);
  if (newer === undefined || clients === undefined) return undefined;
  const source = {
    head: () => newer.head(),
    readClients: (ids: readonly string[]) => newer.readClients(ids),
    readMeta: (name: string) => newer.readMeta(name),
    readLog: (...place: Parameters<Store["readLog"]>) => newer.readLog(...place),
    clientIds: () => Promise.resolve(clients.map(({ clientId }) => clientId).sort()),
  };
  const moment = until((await store.head()).seq, (await newer.head()).seq);
  try {
    return (await replayLog({ store, source, until: moment, endMs: env.now(), env })).lives;
  } catch (error) {
    const isRefused = error instanceof LakeSyncError && error.code === "VALIDATION_ERROR" &&
      !error.message.includes("replayed exactly");
    if (!isRefused) throw error;
    return undefined;
  } finally {
    await stores.close();
    mount.kill();
  }
}
