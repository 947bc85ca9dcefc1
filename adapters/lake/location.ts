/**
 * Where objects are, as other engines read it: a location is the root's text and the object's key.
 *
 * @module
 */

import { checkObjectKey } from "../object-store/object_store.ts";

/** Names objects to the world. */
export interface LakeLocation {
  /** What locations begin with, such as `file:///data/lake` or `s3://bucket/lake`. */
  readonly root: string;
  /** The location of an object or folder, by its key. */
  of(key: string): string;
  /** The key of an object by its location; undefined when it is not under the root. */
  keyOf(location: string): string | undefined;
}

const ROOT = /^[a-z][a-z0-9+.-]*:\/\/[^?#]*[^/?#]$/;

/** One slash or three behind `file:` is the same place; engines write either. */
function plain(location: string): string {
  return location.replace(/^file:\/(?!\/)/, "file:///").replace(/^s3[an]:/, "s3:");
}

/**
 * Names the objects of a store.
 *
 * @param root where the store's keys begin: `file:///folder` or `s3://bucket/prefix`; characters of
 * a folder's name are written as they are, since engines do not decode them
 * @throws {TypeError} when it is no location
 */
export function lakeLocation(root: string): LakeLocation {
  const from = plain(root).replace(/(?<=[^:/])\/+$/, "");
  if (!ROOT.test(from)) {
    throw new TypeError("A lake's location is like file:///folder or s3://bucket/prefix");
  }
  return {
    root: from,
    of: (key) => `${from}/${checkObjectKey(key)}`,
    keyOf(location) {
      const text = plain(location);
      return text.startsWith(`${from}/`) ? text.slice(from.length + 1) : undefined;
    },
  };
}

const encoder = new TextEncoder();

function escaped(text: string): string {
  return Array.from(encoder.encode(text), (byte) => `+${byte.toString(16).padStart(2, "0")}`)
    .join("");
}

/**
 * The folder of a name: the name, with what keys do not have written as `+` and its bytes.
 *
 * @param name a namespace's or a table's
 */
export function folderOfName(name: string): string {
  const folder = name.replace(/[^\w.-]/gu, escaped).replace(/^\./, escaped);
  return folder === "" ? "+" : folder;
}

/**
 * The name of a folder.
 *
 * @param folder the folder, by {@linkcode folderOfName}
 */
export function nameOfFolder(folder: string): string {
  const bytes = Uint8Array.from(
    folder === "+" ? [] : folder.match(/\+[0-9a-f]{2}|[^]/g) ?? [],
    (part) => part.length === 1 ? part.charCodeAt(0) : parseInt(part.slice(1), 16),
  );
  return new TextDecoder().decode(bytes);
}

/**
 * The folder of a table's objects, as a key.
 *
 * @param table its name
 */
export function tableFolder(
  table: { readonly namespace: string; readonly name: string },
): string {
  return `${folderOfName(table.namespace)}/${folderOfName(table.name)}`;
}
