/**
 * Puts a backup into an empty data folder, and replays the log of newer data onto it where that is
 * asked for. As long as it has not come to its end the folder says so, and nothing serves it.
 *
 * @module
 */

import { isThere } from "../is_there.ts";
import { LakeSyncError } from "@lakesync/core";
import { changeKeyFile, keyFilePath, readKeyFile, withEndsOf } from "../auth/key_file.ts";
import { DENO_ENVIRONMENT } from "../environment.ts";
import { loadBase } from "../gateway/base.ts";
import type { Life } from "../gateway/lives.ts";
import { beginEpoch } from "../gateway/new_epoch.ts";
import { type Moment, replayLog } from "../gateway/replay_log.ts";
import { lockFolder, UNFINISHED_RESTORE } from "../store/lock.ts";
import {
  copyDatabase,
  createDatabase,
  openLoneStore,
  renewEpoch,
  syncFile,
  syncFolder,
} from "../store/sqlite_copy.ts";
import { verifyBackup } from "./backup.ts";
import { gatewayFile, GATEWAYS, KV_FILE, RECORD_FILES, SECRET_FILES } from "./folder.ts";
import { beginKvEpoch } from "./kv.ts";
import { findLogs, type LogSource } from "./log_source.ts";
import type { Manifest } from "./manifest.ts";

/** What to restore. */
export interface RestoreOptions {
  /** The backup. */
  readonly from: string;
  /** The data folder: empty, or not there. */
  readonly data: string;
  /** Up to when the log is replayed; nothing is replayed unless given. */
  readonly to?: Moment | undefined;
  /** The data folder or newer backup whose log it is. */
  readonly log?: string | undefined;
}

/** A gateway that was restored. */
export interface RestoredGateway {
  /** The gateway. */
  readonly gatewayId: string;
  /** Its new epoch. */
  readonly epoch: string;
  /** The last commit that is in it. */
  readonly seq: number;
  /** What was replayed onto the backup, where that was asked for. */
  readonly replayed?: {
    /** How many transactions. */
    readonly transactions: number;
    /** When the last of them was committed, in milliseconds since 1970. */
    readonly lastMs: number | undefined;
  };
}

/** A log, and up to when it is replayed. */
interface Replaying {
  readonly logs: LogSource;
  readonly until: Moment;
}

/** What else is in a data folder that nobody has used. */
const OWN = ["lock", UNFINISHED_RESTORE];

async function checkEmpty(data: string): Promise<void> {
  if (await isThere(`${data}/${UNFINISHED_RESTORE}`) || !await isThere(data)) return;
  for await (const { name } of Deno.readDir(data)) {
    if (name === "lock") continue;
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      `${data} is not empty, restore into a new folder and keep the old one`,
    );
  }
}

/** Removes what a restore that was interrupted has left. */
async function clear(data: string): Promise<void> {
  for await (const { name } of Deno.readDir(data)) {
    if (!OWN.includes(name)) await Deno.remove(`${data}/${name}`, { recursive: true });
  }
}

async function copyFile(from: string, to: string, mode: number): Promise<void> {
  await Deno.copyFile(from, to);
  if (Deno.build.os !== "windows") await Deno.chmod(to, mode);
  await syncFile(to);
}

async function replay(
  path: string,
  gatewayId: string,
  { logs, until }: Replaying,
  isNew: boolean,
): Promise<Pick<RestoredGateway, "replayed"> & { readonly lives: readonly Life[] }> {
  using log = logs.open(gatewayId);
  await using lone = openLoneStore(path);
  const { source, endMs } = log;
  const env = DENO_ENVIRONMENT;
  try {
    const done = await replayLog({ store: lone.store, source, until, endMs, env, isNew });
    const { transactions, lastMs, lives } = done;
    return { replayed: { transactions, lastMs }, lives };
  } catch (error) {
    if (!(error instanceof LakeSyncError)) throw error;
    throw new LakeSyncError(error.code, `Gateway ${gatewayId}: ${error.message}`, error.details, {
      cause: error,
    });
  }
}

/** Begins an epoch after the lives that the old one names; gives the last commit before it. */
async function begin(
  path: string,
  epoch: string,
  lives: readonly Life[] | undefined,
): Promise<number> {
  await using lone = openLoneStore(path);
  const { seq } = await lone.store.head();
  await beginEpoch(lone.store, epoch, lives);
  return seq;
}

async function restoreGateway(
  path: string,
  gatewayId: string,
  replaying: Replaying | undefined,
  isNew = false,
): Promise<RestoredGateway> {
  const { lives, ...done } = replaying === undefined
    ? { lives: undefined }
    : await replay(path, gatewayId, replaying, isNew);
  const epoch = crypto.randomUUID();
  const seq = await begin(path, epoch, lives);
  renewEpoch(path, epoch);
  return { gatewayId, epoch, seq, ...done };
}

/** Whether there was such a gateway: it is one from its first schema on. */
async function hasSchema(path: string): Promise<boolean> {
  await using lone = openLoneStore(path);
  return (await loadBase(lone.store)).catalog !== undefined;
}

async function restoreGateways(
  { from, data }: RestoreOptions,
  { gateways, isWhole }: Manifest,
  replaying: Replaying | undefined,
): Promise<RestoredGateway[]> {
  const restored: RestoredGateway[] = [];
  for (const { gatewayId, file } of gateways) {
    const path = `${data}/${file}`;
    await copyFile(`${from}/${file}`, path, 0o644);
    restored.push(await restoreGateway(path, gatewayId, replaying));
  }
  const known = new Set(gateways.map(({ gatewayId }) => gatewayId));
  const later = isWhole ? replaying?.logs.gatewayIds ?? [] : [];
  for (const gatewayId of later.filter((id) => !known.has(id))) {
    const path = `${data}/${gatewayFile(gatewayId)}`;
    await createDatabase(path, crypto.randomUUID());
    const gateway = await restoreGateway(path, gatewayId, replaying, true);
    if (await hasSchema(path)) restored.push(gateway);
    else await Deno.remove(path);
  }
  return restored;
}

/**
 * Who was kept out after the backup was made stays out, and a key that was ended stays so, so records
 * are the newest there are.
 */
async function restoreParts(
  { from, data }: RestoreOptions,
  { parts }: Manifest,
  logs: LogSource | undefined,
): Promise<void> {
  for (const file of RECORD_FILES) {
    const newer = `${logs?.folder}/${file}`;
    const isNewer = logs !== undefined && await isThere(newer);
    if (isNewer) await copyDatabase(newer, `${data}/${file}`);
    else if (parts.some((part) => part.file === file)) {
      await copyFile(`${from}/${file}`, `${data}/${file}`, 0o644);
    }
  }
  for (const { kind, file } of parts) {
    if (kind === "secret" && SECRET_FILES.includes(file)) {
      await copyFile(`${from}/${file}`, `${data}/${file}`, 0o600);
    }
  }
  if (logs === undefined) return;
  const newer = await readKeyFile(keyFilePath(logs.folder));
  if (newer.keys.length + newer.endings.length + newer.withdrawn.length === 0) return;
  await changeKeyFile(data, (keys) => withEndsOf(keys, newer));
}

async function fill(options: RestoreOptions, manifest: Manifest): Promise<RestoredGateway[]> {
  const { data, to: until, log } = options;
  if (manifest.store === "kv") return await fillKv(options, manifest);
  const logs = log === undefined ? undefined : await findLogs(log);
  const replaying = logs === undefined || until === undefined ? undefined : { logs, until };
  await clear(data);
  await Deno.mkdir(`${data}/${GATEWAYS}`);
  const restored = await restoreGateways(options, manifest, replaying);
  await restoreParts(options, manifest, logs);
  await syncFolder(`${data}/${GATEWAYS}`);
  await syncFolder(data);
  return restored;
}

async function fillKv(
  options: RestoreOptions,
  manifest: Manifest,
): Promise<RestoredGateway[]> {
  const { from, data } = options;
  if (options.to !== undefined) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "No log is replayed onto a backup of the store kv, restore it without --to",
    );
  }
  await clear(data);
  const file = `${data}/${KV_FILE}`;
  await copyFile(`${from}/${KV_FILE}`, file, 0o644);
  const restored: RestoredGateway[] = [];
  for (const { gatewayId } of manifest.gateways) {
    const epoch = crypto.randomUUID();
    restored.push({ gatewayId, epoch, seq: await beginKvEpoch(file, gatewayId, epoch) });
  }
  await restoreParts(options, manifest, undefined);
  await syncFile(file);
  return restored;
}

/**
 * Restores a backup.
 *
 * @param options which, up to when, and where to
 * @returns the gateways
 * @throws {LakeSyncError} `VALIDATION_ERROR` when the backup is not whole, the folder not empty, or
 * the log lacks what is to be replayed
 * @throws {StoreLockedError} when a server holds the folder
 */
export async function restoreBackup(
  options: RestoreOptions,
): Promise<readonly RestoredGateway[]> {
  const { from, data } = options;
  const manifest = await verifyBackup(from);
  await checkEmpty(data);
  await Deno.mkdir(data, { recursive: true, mode: 0o700 });
  const lock = await lockFolder(data, true);
  try {
    await checkEmpty(data);
    const marker = `${data}/${UNFINISHED_RESTORE}`;
    await Deno.writeTextFile(marker, "");
    await syncFile(marker);
    const restored = await fill(options, manifest).catch(async (error) => {
      // Whoever could not be helped finds the folder as it was.
      await clear(data);
      await Deno.remove(marker);
      throw error;
    });
    await Deno.remove(marker);
    await syncFolder(data);
    return restored;
  } finally {
    lock.release();
  }
}
