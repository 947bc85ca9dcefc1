/**
 * Folders that come and go with the files in them, whose names are on the disk before anybody is
 * told that a file in them is there.
 *
 * @module
 */

import { mkdir, open, rmdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { atOnce } from "../at_once.ts";
import { ObjectStoreError } from "./object_store.ts";

/** What systems say that cannot open or flush folders. */
const NOT_FOR_FOLDERS = ["EISDIR", "EPERM", "EACCES", "EINVAL", "ENOTSUP", "EBADF", "ENOSYS"];
/** How often a folder may be removed in the very moment in which a file comes to it. */
const TRIES = 4;

/** The system's code of an error, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** Whether an error says that there is no such file. */
export function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(codeOf(error) ?? "");
}

/** Whether an error says that this process may not open that folder, or that no folder can be. */
function isNotForUs(error: unknown): boolean {
  if (error instanceof Error && error.name === "NotCapable") return true;
  return isMissing(error) || NOT_FOR_FOLDERS.includes(codeOf(error) ?? "");
}

/** Makes the names in a folder durable, where folders can be flushed at all. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    // One that was removed meanwhile has no names.
    if (!isNotForUs(error)) throw error;
  }
}

/** What systems say where a process may not do what it asks for. */
const NOT_ALLOWED = ["EACCES", "EPERM", "EROFS"];

/**
 * Says what to do about a folder that this process may not use; all other errors are as they were.
 *
 * @param root the folder that all is in
 * @param error what went wrong, with nothing done
 * @param what what could not be done to it: read or written
 */
export function refusal(root: string, error: unknown, what: "read" | "written"): unknown {
  if (error instanceof ObjectStoreError) return error;
  const isNotCapable = error instanceof Error && error.name === "NotCapable";
  const code = isNotCapable ? "NotCapable" : codeOf(error);
  if (code === undefined || !(isNotCapable || NOT_ALLOWED.includes(code))) return error;
  const message = `The folder ${root} cannot be ${what} (${code}), ` +
    "give this process the right to it or name another";
  return new ObjectStoreError("refused", message, { cause: error, code });
}

/**
 * Makes the folder that all is in.
 *
 * @param root its path
 * @throws {ObjectStoreError} `refused` when it cannot be made where it is to be
 */
export async function makeRoot(root: string): Promise<void> {
  try {
    await makeFolder(root);
  } catch (error) {
    const code = codeOf(error);
    throw code === "ENOTDIR" || code === "EEXIST"
      ? noFolder(root, error)
      : refusal(root, error, "written");
  }
}

/**
 * Sees that nothing else is where a folder is to be made.
 *
 * @param root its path
 * @returns whether it is there
 * @throws {ObjectStoreError} `refused` when a file is there, or where a folder is to be that it is in
 */
export async function seeRoot(root: string): Promise<boolean> {
  try {
    if ((await stat(root)).isDirectory()) return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw codeOf(error) === "ENOTDIR" ? noFolder(root, error) : refusal(root, error, "read");
  }
  throw noFolder(root);
}

function noFolder(root: string, cause?: unknown): ObjectStoreError {
  const message = `${root} is no folder, or is in what is none but a file, name another`;
  return new ObjectStoreError("refused", message, { cause });
}

/** Makes a folder and those it is in, whose names are durable then. */
async function makeFolder(folder: string): Promise<void> {
  const made = await mkdir(folder, { recursive: true });
  if (made === undefined) return;
  for (let at = folder; at.length >= made.length; at = dirname(at)) await syncFolder(dirname(at));
}

/** A folder and those it is in, up to one. */
function upTo(root: string, folder: string): string[] {
  const folders: string[] = [];
  for (let at = folder; at.length > root.length; at = dirname(at)) folders.push(at);
  return folders;
}

/**
 * Brings a file to its place, and makes its name and those of the folders it is in durable. All are
 * flushed each time, since another process may have made one of them a moment ago.
 *
 * @param root the folder that all is in
 * @param path where
 * @param place brings it there, once its folder is there
 */
export async function bring(root: string, path: string, place: () => Promise<void>): Promise<void> {
  const folder = dirname(path);
  for (let tries = 1;; tries++) {
    try {
      await mkdir(folder, { recursive: true });
    } catch (error) {
      throw refusal(root, error, "written");
    }
    try {
      await place();
      break;
    } catch (error) {
      if (!isMissing(error) || tries === TRIES) throw refusal(root, error, "written");
    }
  }
  await atOnce([...upTo(root, folder), root].map((at) => () => syncFolder(at)));
}

/**
 * Removes a folder and those it is in, as far as they are empty.
 *
 * @param root the folder that all is in, which stays
 * @param folder the folder
 */
export async function prune(root: string, folder: string): Promise<void> {
  for (const at of upTo(root, folder)) {
    try {
      await rmdir(at);
    } catch {
      return;
    }
  }
}
