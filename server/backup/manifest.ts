/**
 * What a backup holds, as its `manifest.json` says. The manifest is written last, so a folder without
 * one is half a backup and no more.
 *
 * @module
 */

import { isGatewayId, LakeSyncError } from "@lakesync/core";
import { createHash } from "node:crypto";
import type { FileFacts } from "../store/sqlite_copy.ts";
import { gatewayFile, KV_FILE, RECORD_FILES, SECRET_FILES } from "./folder.ts";

/** The name of the manifest in a backup. */
export const MANIFEST = "manifest.json";

/** The form of a backup that this program writes and reads. */
const FORMAT = 1;

/** A file of a backup. */
export interface CopiedFile {
  /** Its path in the backup. */
  readonly file: string;
  /** Its size. */
  readonly bytes: number;
  /** SHA-256 of its content, lower-case hex. */
  readonly sha256: string;
}

/** The copy of a gateway. */
export interface CopiedGateway extends CopiedFile, FileFacts {
  /** The gateway. */
  readonly gatewayId: string;
  /** When it was copied, in milliseconds since 1970: nothing committed later is in it. */
  readonly copiedMs: number;
}

/** Another file of a data folder. */
export interface CopiedPart extends CopiedFile {
  /** `records`: a database of the server; `kv`: all gateways and the server's records; `secret`: what only the owner may read. */
  readonly kind: "records" | "kv" | "secret";
}

/** What a backup holds. */
export interface Manifest {
  /** The form of the backup. */
  readonly format: typeof FORMAT;
  /** The version of LakeSync that made it. */
  readonly lakesync: string;
  /** What kept the data. */
  readonly store: "sqlite" | "kv";
  /** Whether it holds all gateways that the data folder had. */
  readonly isWhole: boolean;
  /** The gateways. */
  readonly gateways: readonly CopiedGateway[];
  /** Other files of the data folder. */
  readonly parts: readonly CopiedPart[];
}

/**
 * Size and hash of a file.
 *
 * @param folder the backup
 * @param file its path in there
 */
export async function sumOf(folder: string, file: string): Promise<CopiedFile> {
  const sha256 = createHash("sha256");
  let bytes = 0;
  using handle = await Deno.open(`${folder}/${file}`);
  const chunk = new Uint8Array(1024 * 1024);
  for (;;) {
    const read = await handle.read(chunk);
    if (read === null) break;
    sha256.update(chunk.subarray(0, read));
    bytes += read;
  }
  return { file, bytes, sha256: sha256.digest("hex") };
}

/** Writes a manifest as a text. */
export function writeManifest(manifest: Omit<Manifest, "format">): string {
  return `${JSON.stringify({ format: FORMAT, ...manifest }, null, 2)}\n`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** Paths lead nowhere outside the backup. */
function isFile(value: unknown): value is CopiedFile & Readonly<Record<string, unknown>> {
  return isObject(value) && typeof value["bytes"] === "number" &&
    typeof value["sha256"] === "string" && typeof value["file"] === "string" &&
    /^(gateways\/)?[A-Za-z0-9_+-][A-Za-z0-9_+.-]*$/.test(value["file"]);
}

function isGateway(value: unknown): value is CopiedGateway {
  return isFile(value) && typeof value["gatewayId"] === "string" &&
    isGatewayId(value["gatewayId"]) && typeof value["epoch"] === "string" &&
    ["seq", "rows", "logEntries", "clients", "copiedMs"].every((name) =>
      typeof value[name] === "number"
    );
}

function isPart(value: unknown): value is CopiedPart {
  return isFile(value) && ["records", "kv", "secret"].includes(String(value["kind"]));
}

function isManifest(value: unknown): value is Manifest {
  return isObject(value) && value["format"] === FORMAT && typeof value["lakesync"] === "string" &&
    typeof value["isWhole"] === "boolean" && ["sqlite", "kv"].includes(String(value["store"])) &&
    Array.isArray(value["gateways"]) && value["gateways"].every(isGateway) &&
    Array.isArray(value["parts"]) && value["parts"].every(isPart);
}

/** Each gateway is once, and in the file where whoever opens the data looks for it. */
function isInPlace({ store, gateways, parts }: Manifest): boolean {
  const ids = new Set(gateways.map(({ gatewayId }) => gatewayId));
  const known = [...RECORD_FILES, ...SECRET_FILES, KV_FILE];
  return ids.size === gateways.length && parts.every(({ file }) => known.includes(file)) &&
    gateways.every(({ gatewayId, file }) =>
      file === (store === "kv" ? KV_FILE : gatewayFile(gatewayId))
    );
}

/**
 * Reads the manifest of a backup.
 *
 * @param folder the backup
 * @throws {LakeSyncError} `VALIDATION_ERROR` when there is none, or one of another form
 */
export async function readManifest(folder: string): Promise<Manifest> {
  let text: string;
  try {
    text = await Deno.readTextFile(`${folder}/${MANIFEST}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      `${folder} has no ${MANIFEST}: it is no backup, or one that was not made to its end`,
    );
  }
  let manifest: unknown;
  try {
    manifest = JSON.parse(text);
  } catch {
    manifest = undefined;
  }
  if (isManifest(manifest) && isInPlace(manifest)) return manifest;
  throw new LakeSyncError(
    "VALIDATION_ERROR",
    `${folder}/${MANIFEST} is damaged, or of another version of LakeSync`,
  );
}
