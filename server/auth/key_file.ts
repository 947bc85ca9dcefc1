/**
 * `<data>/keys.json`: the signing keys that `lakesync keys` makes, and which keys have ended. Only
 * their owner may read it. It is replaced whole, so that a server never reads half of it.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { join } from "node:path";
import { isKid, secretKey, type TrustedKey } from "./key.ts";
import { MIN_SECRET_CHARS } from "./token.ts";

/** Withdrawn and ended keys that are remembered, the newest. */
const MAX_PAST_KEYS = 1_000;

/** The largest file that is read, in bytes. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** A signing key of the file. */
export interface FiledKey {
  /** Its name. */
  readonly kid: string;
  /** The secret, at least 32 characters. */
  readonly secret: string;
  /** When it was made, in milliseconds since 1970. */
  readonly createdMs: number;
  /** When it stops being trusted, in milliseconds since 1970; never unless given. */
  readonly endsMs?: number;
}

/** What the file holds. */
export interface KeyFile {
  /** Signing keys, the newest last: the last one without an end signs. */
  readonly keys: readonly FiledKey[];
  /** Secrets without a name that end, by fingerprint. */
  readonly endings: readonly { readonly fingerprint: string; readonly endsMs: number }[];
  /** Names that no key may have any more, whatever is configured, and since when. */
  readonly withdrawn: readonly { readonly kid: string; readonly atMs: number }[];
}

/** A file that is not there. */
export const NO_KEYS: KeyFile = { keys: [], endings: [], withdrawn: [] };

/** Where a data folder keeps its signing keys. */
export function keyFilePath(dataDir: string): string {
  return join(dataDir, "keys.json");
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function listOf(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  if (!Array.isArray(value) || !value.every(isRecord)) throw new Error("It has another form");
  return value;
}

function timeOf(value: unknown): number {
  const ms = typeof value === "string" ? Date.parse(value) : NaN;
  if (Number.isNaN(ms)) throw new Error("A time in it is none");
  return ms;
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw new Error("It has another form");
  return value;
}

function keyOf(
  { kid, alg, secret, createdAt, endsAt }: Readonly<Record<string, unknown>>,
): FiledKey {
  if (!isKid(kid) || alg !== "HS256") throw new Error("A key in it has no kid or another alg");
  const text = textOf(secret);
  if (text.length < MIN_SECRET_CHARS) throw new Error("A secret in it is too short");
  return {
    kid,
    secret: text,
    createdMs: timeOf(createdAt),
    ...(endsAt === undefined ? {} : { endsMs: timeOf(endsAt) }),
  };
}

/**
 * Reads the text of a key file.
 *
 * @param text what is in it
 * @throws {Error} when it is none; the message holds nothing of it
 */
export function parseKeyFile(text: string): KeyFile {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    throw new Error("It is not JSON");
  }
  if (!isRecord(file)) throw new Error("It has another form");
  return {
    keys: listOf(file["keys"]).map(keyOf),
    endings: listOf(file["endings"]).map(({ fingerprint, endsAt }) => ({
      fingerprint: textOf(fingerprint),
      endsMs: timeOf(endsAt),
    })),
    withdrawn: listOf(file["withdrawn"]).map(({ kid, at }) => ({
      kid: textOf(kid),
      atMs: timeOf(at),
    })),
  };
}

/** Writes a key file as text. */
export function writeKeyFile({ keys, endings, withdrawn }: KeyFile): string {
  const iso = (ms: number) => new Date(ms).toISOString();
  const file = {
    keys: keys.map(({ kid, secret, createdMs, endsMs }) => ({
      kid,
      alg: "HS256",
      secret,
      createdAt: iso(createdMs),
      ...(endsMs === undefined ? {} : { endsAt: iso(endsMs) }),
    })),
    endings: endings.slice(-MAX_PAST_KEYS).map(({ fingerprint, endsMs }) => ({
      fingerprint,
      endsAt: iso(endsMs),
    })),
    withdrawn: withdrawn.slice(-MAX_PAST_KEYS).map(({ kid, atMs }) => ({ kid, at: iso(atMs) })),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/**
 * Reads a data folder's key file.
 *
 * @param path where it is
 * @returns what it holds; nothing when it is not there
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it cannot be read
 */
export async function readKeyFile(path: string): Promise<KeyFile> {
  try {
    if ((await Deno.stat(path)).size > MAX_FILE_BYTES) throw new Error("It is too large");
    return parseKeyFile(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return NO_KEYS;
    if (error instanceof Deno.errors.NotCapable) throw error;
    const what = error instanceof Error ? error.message : String(error);
    throw new LakeSyncError("VALIDATION_ERROR", `The keys in ${path} cannot be read: ${what}`);
  }
}

/**
 * Changes a data folder's key file. Changes of several processes come one after the other; a power
 * loss leaves the file as it was or as it is to be.
 *
 * @param dataDir the data folder, made when it is not there
 * @param change gives the new content from what it holds
 * @returns the new content
 */
export async function changeKeyFile(
  dataDir: string,
  change: (before: KeyFile) => KeyFile | Promise<KeyFile>,
): Promise<KeyFile> {
  await Deno.mkdir(dataDir, { recursive: true, mode: 0o700 });
  const path = keyFilePath(dataDir);
  using lock = await Deno.open(`${path}.lock`, { create: true, write: true, mode: 0o600 });
  await lock.lock(true);
  const after = await change(await readKeyFile(path));
  const temporary = `${path}.new`;
  await Deno.remove(temporary).catch(() => {});
  {
    using file = await Deno.open(temporary, { createNew: true, write: true, mode: 0o600 });
    const bytes = new TextEncoder().encode(writeKeyFile(after));
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    await file.sync();
  }
  await Deno.rename(temporary, path);
  using folder = await Deno.open(dataDir);
  await folder.sync().catch(() => {});
  return after;
}

/**
 * Ends the keys of a file that another one, which is newer, has ended.
 *
 * @param older the file
 * @param newer what is known since
 */
export function withEndsOf(older: KeyFile, newer: KeyFile): KeyFile {
  const ends = new Map(newer.keys.map(({ kid, endsMs }) => [kid, endsMs]));
  const withdrawn = new Map(
    [...older.withdrawn, ...newer.withdrawn].map((past) => [past.kid, past]),
  );
  const endings = new Map(
    [...older.endings, ...newer.endings].map((past) => [past.fingerprint, past]),
  );
  return {
    // A key that has ended is dropped with the next rotation; a backup without secrets has no keys.
    keys: older.keys.filter(({ kid }) => {
      return !withdrawn.has(kid) && (ends.size === 0 || ends.has(kid));
    }).map((key) => {
      const endsMs = ends.get(key.kid) ?? key.endsMs;
      return endsMs === undefined ? key : { ...key, endsMs };
    }),
    endings: [...endings.values()],
    withdrawn: [...withdrawn.values()],
  };
}

/** The keys of a file, as tokens are checked by them. */
export function trustedKeysOf({ keys }: KeyFile): readonly TrustedKey[] {
  return keys.map(({ secret, kid, endsMs }) =>
    secretKey(secret, { kid, ...(endsMs === undefined ? {} : { endsMs }) })
  );
}
