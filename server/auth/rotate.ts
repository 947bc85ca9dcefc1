/**
 * New signing keys for old ones, on the key file of a data folder.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { fingerprintOf, isKid, SECRET_NAME } from "./key.ts";
import {
  changeKeyFile,
  type FiledKey,
  type KeyFile,
  keyFilePath,
  readKeyFile,
} from "./key_file.ts";
import { readSecret } from "./secret.ts";

/** A secret that signs, and its name. */
export interface SigningKey {
  /** At least 32 characters. */
  readonly secret: string;
  /** Its name; that of a data folder's first secret and of one that is given is none. */
  readonly kid?: string;
}

/** Whose keys are changed. */
export interface KeyOwner {
  /** The data folder. */
  readonly data: string;
  /** The secret that the server is given, if it is. */
  readonly secret: string | undefined;
}

/** What a change of keys came to. */
export interface KeysChanged {
  /** The name of the key that signs from now on. */
  readonly kid: string;
  /** Whether it was made by this. */
  readonly isNew: boolean;
  /** Names of the keys that end. */
  readonly ended: readonly string[];
  /** Whether the data folder had no key of the name that was withdrawn. */
  readonly isElsewhere?: boolean;
}

/** When a secret without a name ends, in milliseconds since 1970; Infinity when it has no end. */
function endOfSecret({ endings }: KeyFile, secret: string): number {
  const fingerprint = fingerprintOf(secret);
  return endings.find((ending) => ending.fingerprint === fingerprint)?.endsMs ?? Infinity;
}

function endedSecret(file: KeyFile, secret: string): boolean {
  return endOfSecret(file, secret) < Infinity;
}

/** The newest key that has no end. */
function newestOf({ keys }: KeyFile): FiledKey | undefined {
  return keys.findLast(({ endsMs }) => endsMs === undefined);
}

/**
 * Finds what signs tokens: a secret that is given, unless it was rotated; the newest key of the
 * data folder; its first secret.
 *
 * @param owner the data folder, and a secret that is given
 * @returns the key; undefined when there is none
 * @throws {LakeSyncError} `VALIDATION_ERROR` when keys or secret cannot be read
 */
export async function signingKey({ data, secret }: KeyOwner): Promise<SigningKey | undefined> {
  const file = await readKeyFile(keyFilePath(data));
  if (secret !== undefined && !endedSecret(file, secret)) return { secret };
  const newest = newestOf(file);
  if (newest !== undefined) return { secret: newest.secret, kid: newest.kid };
  const first = await readSecret(data);
  return first === undefined || endedSecret(file, first) ? undefined : { secret: first };
}

function newKey(createdMs: number): FiledKey {
  const secret = crypto.getRandomValues(new Uint8Array(32))
    .toBase64({ alphabet: "base64url", omitPadding: true });
  const day = new Date(createdMs).toISOString().slice(0, 10);
  const random = crypto.getRandomValues(new Uint8Array(4)).toHex();
  return { kid: `${day}-${random}`, secret, createdMs };
}

/** Ends a secret without a name, and never later than it would end anyway. */
function endSecret(file: KeyFile, secret: string | undefined, endsMs: number): KeyFile {
  if (secret === undefined) return file;
  const fingerprint = fingerprintOf(secret);
  const known = file.endings.find((ending) => ending.fingerprint === fingerprint);
  const ending = { fingerprint, endsMs: Math.min(endsMs, known?.endsMs ?? Infinity) };
  return { ...file, endings: [...file.endings.filter((other) => other !== known), ending] };
}

/**
 * Makes a new signing key. The ones before go on to check tokens for a while.
 *
 * @param owner the data folder, and the secret that the server is given, which ends too
 * @param keepMs for how long the keys before are trusted, in milliseconds
 * @param nowMs the time, in milliseconds since 1970
 * @returns the new key's name, and those that end, or do so earlier
 * @throws {LakeSyncError} `VALIDATION_ERROR` when keys or secret cannot be read
 */
export async function rotateKeys(
  owner: KeyOwner,
  keepMs: number,
  nowMs: number,
): Promise<KeysChanged> {
  const key = newKey(nowMs);
  const ended: string[] = [];
  await changeKeyFile(owner.data, async (file) => {
    const first = owner.secret ?? await readSecret(owner.data);
    const endsMs = nowMs + keepMs;
    if (first !== undefined && endOfSecret(file, first) > endsMs) ended.push(SECRET_NAME);
    const keys = file.keys.filter((old) => (old.endsMs ?? Infinity) > nowMs).map((old) => {
      if (old.endsMs !== undefined && old.endsMs <= endsMs) return old;
      ended.push(old.kid);
      return { ...old, endsMs };
    });
    return { ...endSecret(file, first, endsMs), keys: [...keys, key] };
  });
  return { kid: key.kid, isNew: true, ended };
}

/**
 * Withdraws a key at once, wherever it comes from: from now on no key of that name is trusted.
 * Where none is left that signs, a new one is made.
 *
 * @param owner the data folder, and the secret that the server is given
 * @param kid the key's name, or `secret` for the secret without one
 * @param nowMs the time, in milliseconds since 1970
 * @returns the name of the key that signs from now on, and the names of those that ended
 * @throws {LakeSyncError} `VALIDATION_ERROR` when there is no such secret, or keys cannot be read
 */
export async function retireKey(owner: KeyOwner, kid: string, nowMs: number): Promise<KeysChanged> {
  const made = newKey(nowMs);
  let isElsewhere = false;
  const after = await changeKeyFile(owner.data, async (file) => {
    isElsewhere = kid !== SECRET_NAME && !file.keys.some((key) => key.kid === kid);
    const left = kid === SECRET_NAME
      ? endSecret(file, await neededSecret(owner), nowMs)
      : withdraw(file, kid, nowMs);
    return newestOf(left) === undefined ? { ...left, keys: [...left.keys, made] } : left;
  });
  const signs = newestOf(after)?.kid ?? made.kid;
  return { kid: signs, isNew: signs === made.kid, ended: [kid], isElsewhere };
}

async function neededSecret({ data, secret }: KeyOwner): Promise<string> {
  const first = secret ?? await readSecret(data);
  if (first !== undefined) return first;
  throw new LakeSyncError(
    "VALIDATION_ERROR",
    `There is no secret without a name in ${data}, give the one that is meant by --secret`,
  );
}

function withdraw(file: KeyFile, kid: string, atMs: number): KeyFile {
  if (!isKid(kid)) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "A key's name is 1 to 128 visible ASCII characters, lakesync keys list shows them",
    );
  }
  return {
    ...file,
    keys: file.keys.filter((key) => key.kid !== kid),
    withdrawn: [...file.withdrawn.filter((gone) => gone.kid !== kid), { kid, atMs }],
  };
}
