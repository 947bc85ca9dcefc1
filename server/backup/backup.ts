/**
 * Copies a data folder while a server runs on it: each gateway as of one commit. What was copied is read again before the manifest says that it is there.
 *
 * @module
 */

import { isThere } from "../is_there.ts";
import { LakeSyncError } from "@lakesync/core";
import { basename } from "node:path";
import { keyFilePath, readKeyFile, writeKeyFile } from "../auth/key_file.ts";
import {
  checkDatabase,
  copyDatabase,
  inspectGateway,
  syncFile,
  syncFolder,
} from "../store/sqlite_copy.ts";
import {
  gatewayFile,
  GATEWAYS,
  gatewaysIn,
  isKv,
  KV_FILE,
  RECORD_FILES,
  SECRET_FILES,
} from "./folder.ts";
import { copyKv } from "./kv.ts";
import {
  type CopiedGateway,
  type CopiedPart,
  MANIFEST,
  type Manifest,
  readManifest,
  sumOf,
  writeManifest,
} from "./manifest.ts";

/** What to copy. */
export interface BackupOptions {
  /** The data folder. */
  readonly data: string;
  /** The backup, which must not be there. */
  readonly out: string;
  /** The one gateway to copy; all of them unless given. */
  readonly gw?: string | undefined;
  /** Whether secrets are copied too. */
  readonly withSecrets: boolean;
  /** The version of LakeSync. */
  readonly version: string;
}

async function makeFolder(out: string): Promise<void> {
  try {
    await Deno.mkdir(out, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      `${out} is there already, a backup is made in a new folder`,
    );
  }
  await Deno.mkdir(`${out}/${GATEWAYS}`, { mode: 0o700 });
}

async function chosen({ data, gw }: BackupOptions): Promise<readonly string[]> {
  const ids = await gatewaysIn(data);
  if (gw === undefined) return ids;
  if (ids.includes(gw)) return [gw];
  throw new LakeSyncError("NOT_FOUND", `There is no gateway ${gw} in ${data}`);
}

async function copyGateway(
  { data, out }: BackupOptions,
  gatewayId: string,
): Promise<CopiedGateway> {
  const file = gatewayFile(gatewayId);
  await copyDatabase(`${data}/${file}`, `${out}/${file}`);
  const copiedMs = Date.now();
  const facts = inspectGateway(`${out}/${file}`);
  return { gatewayId, ...await sumOf(out, file), ...facts, copiedMs };
}

async function copyParts({ data, out, withSecrets }: BackupOptions): Promise<CopiedPart[]> {
  const parts: CopiedPart[] = [];
  for (const file of RECORD_FILES) {
    if (!await isThere(`${data}/${file}`)) continue;
    await copyDatabase(`${data}/${file}`, `${out}/${file}`);
    checkDatabase(`${out}/${file}`);
    parts.push({ kind: "records", ...await sumOf(out, file) });
  }
  const files = withSecrets ? await secretsOf(data) : await endsOf(data);
  for (const [file, content] of files) {
    await Deno.writeFile(`${out}/${file}`, content, { createNew: true, mode: 0o600 });
    await syncFile(`${out}/${file}`);
    parts.push({ kind: "secret", ...await sumOf(out, file) });
  }
  return parts;
}

type FileContents = ReadonlyMap<string, Uint8Array>;

async function secretsOf(data: string): Promise<FileContents> {
  const files = new Map<string, Uint8Array>();
  for (const file of SECRET_FILES) {
    if (await isThere(`${data}/${file}`)) files.set(file, await Deno.readFile(`${data}/${file}`));
  }
  return files;
}

/** Which keys were withdrawn or end, without keys: no restore may trust one of them again. */
async function endsOf(data: string): Promise<FileContents> {
  const path = keyFilePath(data);
  const { endings, withdrawn } = await readKeyFile(path);
  if (endings.length + withdrawn.length === 0) return new Map();
  const text = writeKeyFile({ keys: [], endings, withdrawn });
  return new Map([[basename(path), new TextEncoder().encode(text)]]);
}

/**
 * Makes a backup.
 *
 * @param options what to copy, and where to
 * @returns what it holds
 * @throws {LakeSyncError} `VALIDATION_ERROR` when the backup is there already or the data folder is
 * none of the SQLite store, `NOT_FOUND` for an unknown gateway, `INTERNAL_ERROR` when what was
 * copied is damaged
 */
export async function makeBackup(options: BackupOptions): Promise<Manifest> {
  const { data, out, version } = options;
  if (await isThere(`${data}/${MANIFEST}`)) {
    // What is done to a data folder is noted in it, and the backup would be one no more.
    throw new LakeSyncError("VALIDATION_ERROR", `${data} is a backup, copy it as any other folder`);
  }
  const isOfKv = options.gw === undefined && await isKv(data);
  const ids = isOfKv ? [] : await chosen(options);
  await makeFolder(out);
  const gateways: CopiedGateway[] = isOfKv ? [...await copyKv(options)] : [];
  for (const id of ids) gateways.push(await copyGateway(options, id));
  const isWhole = options.gw === undefined;
  const store = isOfKv ? "kv" : "sqlite";
  const parts = isWhole ? await copyParts(options) : [];
  const unfinished = `${out}/${MANIFEST}.new`;
  await Deno.writeTextFile(
    unfinished,
    writeManifest({ lakesync: version, store, isWhole, gateways, parts }),
  );
  await syncFile(unfinished);
  await Deno.rename(unfinished, `${out}/${MANIFEST}`);
  await syncFolder(out);
  return await readManifest(out);
}

function changed(folder: string, file: string): LakeSyncError {
  return new LakeSyncError(
    "VALIDATION_ERROR",
    `${folder}/${file} is not what the backup's manifest says, use another backup`,
  );
}

/**
 * Reads a backup whole and holds it to its manifest.
 *
 * @param folder the backup
 * @returns what it holds
 * @throws {LakeSyncError} `VALIDATION_ERROR` or `INTERNAL_ERROR` when it is not whole
 */
export async function verifyBackup(folder: string): Promise<Manifest> {
  const manifest = await readManifest(folder);
  const files = new Map(
    [...manifest.gateways, ...manifest.parts].map((copied) => [copied.file, copied]),
  );
  for (const { file, bytes, sha256 } of files.values()) {
    if (!await isThere(`${folder}/${file}`)) throw changed(folder, file);
    const sum = await sumOf(folder, file);
    if (sum.bytes !== bytes || sum.sha256 !== sha256) throw changed(folder, file);
  }
  if (manifest.store === "kv") {
    checkDatabase(`${folder}/${KV_FILE}`);
    return manifest;
  }
  for (const gateway of manifest.gateways) {
    const { epoch, seq, rows } = inspectGateway(`${folder}/${gateway.file}`);
    if (epoch !== gateway.epoch || seq !== gateway.seq || rows !== gateway.rows) {
      throw changed(folder, gateway.file);
    }
  }
  for (const { kind, file } of manifest.parts) {
    if (kind === "records") checkDatabase(`${folder}/${file}`);
  }
  return manifest;
}
