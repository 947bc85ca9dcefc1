/**
 * Puts a backup into an empty data folder. As long as it has not come to its end the folder says so,
 * and nothing serves it.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { beginEpoch } from "../gateway/new_epoch.ts";
import { lockFolder, UNFINISHED_RESTORE } from "../store/lock.ts";
import { openLoneStore, renewEpoch, syncFile, syncFolder } from "../store/sqlite_copy.ts";
import { verifyBackup } from "./backup.ts";
import { GATEWAYS, isThere, RECORD_FILES, SECRET_FILES } from "./folder.ts";
import type { CopiedGateway, Manifest } from "./manifest.ts";

/** What to restore. */
export interface RestoreOptions {
  /** The backup. */
  readonly from: string;
  /** The data folder: empty, or not there. */
  readonly data: string;
}

/** A gateway that was restored. */
export interface RestoredGateway {
  /** The gateway. */
  readonly gatewayId: string;
  /** Its new epoch. */
  readonly epoch: string;
  /** The last commit that is in it. */
  readonly seq: number;
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

async function copyFile(from: string, data: string, file: string, mode: number): Promise<void> {
  await Deno.copyFile(`${from}/${file}`, `${data}/${file}`);
  if (Deno.build.os !== "windows") await Deno.chmod(`${data}/${file}`, mode);
  await syncFile(`${data}/${file}`);
}

async function restoreGateway(
  { from, data }: RestoreOptions,
  { gatewayId, file }: CopiedGateway,
): Promise<RestoredGateway> {
  const path = `${data}/${file}`;
  const epoch = crypto.randomUUID();
  await copyFile(from, data, file, 0o644);
  renewEpoch(path, epoch);
  await using lone = openLoneStore(path);
  const { seq } = await lone.store.head();
  await beginEpoch(lone.store, epoch);
  return { gatewayId, epoch, seq };
}

async function fill(options: RestoreOptions, manifest: Manifest): Promise<RestoredGateway[]> {
  const { from, data } = options;
  await clear(data);
  await Deno.mkdir(`${data}/${GATEWAYS}`);
  const restored: RestoredGateway[] = [];
  for (const gateway of manifest.gateways) restored.push(await restoreGateway(options, gateway));
  for (const { kind, file } of manifest.parts) {
    const known = kind === "secret" ? SECRET_FILES : RECORD_FILES;
    if (known.includes(file)) await copyFile(from, data, file, kind === "secret" ? 0o600 : 0o644);
  }
  await syncFolder(`${data}/${GATEWAYS}`);
  await syncFolder(data);
  return restored;
}

/**
 * Restores a backup.
 *
 * @param options which, and where to
 * @returns the gateways
 * @throws {LakeSyncError} `VALIDATION_ERROR` when the backup is not whole or the folder not empty
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
    const restored = await fill(options, manifest);
    await Deno.remove(marker);
    await syncFolder(data);
    return restored;
  } finally {
    lock.release();
  }
}
