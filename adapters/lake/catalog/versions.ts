/**
 * The metadata objects of tables in a catalog that is the object store alone.
 *
 * @module
 */

import type { ObjectStore } from "../../object-store/object_store.ts";
import { folderOfName, tableFolder } from "../location.ts";
import type { TableName } from "./catalog.ts";

const VERSION = /\/metadata\/v([1-9]\d{0,14})\.metadata\.json$/;

/** So many earlier metadata objects a table names, and keeps. */
export const KEPT_VERSIONS = 20;
/** Metadata is kept for so long at least. */
const KEPT_MS = 60 * 60_000;

/** The folder with the names of a namespace's tables; no table's folder has `@` in it. */
export function tablesFolder(namespace: string): string {
  return `${folderOfName(namespace)}/@tables`;
}

/** The folder of a table's metadata. */
export function metadataFolder(table: TableName): string {
  return `${tableFolder(table)}/metadata`;
}

/**
 * The key of a metadata object.
 *
 * @param table the table
 * @param version its number, from 1
 */
export function metadataKey(table: TableName, version: number): string {
  return `${metadataFolder(table)}/v${version}.metadata.json`;
}

/**
 * The number of a metadata object; undefined when it is none.
 *
 * @param location its location or key
 */
export function versionOf(location: string): number | undefined {
  const match = VERSION.exec(location);
  return match === null ? undefined : Number(match[1]);
}

/**
 * Finds the newest metadata of a table.
 *
 * @param store where it is
 * @param table the table
 * @returns its number; undefined when there is no such table
 */
export async function newestVersion(
  store: ObjectStore,
  table: TableName,
): Promise<number | undefined> {
  let newest: number | undefined;
  for await (const { key } of store.listObjects(metadataFolder(table))) {
    const version = versionOf(key);
    if (version !== undefined && version > (newest ?? 0)) newest = version;
  }
  return newest;
}

/**
 * Deletes old metadata of a table: neither one of the last 20, nor one of the last hour.
 *
 * @param store where it is
 * @param table the table
 * @param nowMs the time, in milliseconds since 1970
 * @returns how many were deleted
 */
export async function deleteOldMetadata(
  store: ObjectStore,
  table: TableName,
  nowMs: number,
): Promise<number> {
  let newest = 0;
  const old: { readonly key: string; readonly version: number }[] = [];
  for await (const { key, modifiedMs } of store.listObjects(metadataFolder(table))) {
    const version = versionOf(key);
    if (version === undefined) continue;
    newest = Math.max(newest, version);
    if (modifiedMs < nowMs - KEPT_MS) old.push({ key, version });
  }
  const gone = old.filter(({ version }) => version < newest - KEPT_VERSIONS);
  await store.deleteObjects(gone.map(({ key }) => key));
  return gone.length;
}
