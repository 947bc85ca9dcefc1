/**
 * One key that tokens are checked by. It has one algorithm: what a token says of its own never
 * chooses another one, so that a public key cannot pass for a secret.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { importJWK, importSPKI, type JWK } from "jose";
import { createHash } from "node:crypto";
import { hideSecret } from "../observe/redact.ts";
import { MIN_SECRET_CHARS } from "./token.ts";

/** What a secret without a name is called where people read of it; no key has it as `kid`. */
export const SECRET_NAME = "secret";

/** An algorithm of a public key. */
export type PublicAlgorithm = "RS256" | "ES256" | "EdDSA";

/** Algorithms of public keys. */
export const PUBLIC_ALGORITHMS: readonly PublicAlgorithm[] = ["RS256", "ES256", "EdDSA"];

/** A key that checks tokens. */
export interface TrustedKey {
  /** Its name, which a token's `kid` gives; tokens without `kid` go to keys without a name. */
  readonly kid?: string;
  /** The only algorithm it is used with. */
  readonly alg: "HS256" | PublicAlgorithm;
  /** What signatures are checked with. */
  readonly key: Uint8Array | CryptoKey;
  /** Tells keys apart without telling what they are. */
  readonly id: string;
  /** When it stops being trusted, in milliseconds since 1970; never unless given. */
  readonly endsMs?: number;
}

/** A secret as a configuration gives it. */
export interface HmacKeySpec {
  /** Its name, which tokens give as `kid`. */
  readonly kid: string;
  /** The algorithm. */
  readonly alg: "HS256";
  /** The secret, at least 32 characters; or … */
  readonly secret?: string;
  /** … the path of a file that holds it. */
  readonly secretFile?: string;
}

/** A public key as a configuration gives it. */
export interface PublicKeySpec {
  /** Its name, which tokens give as `kid`. */
  readonly kid: string;
  /** The algorithm. */
  readonly alg: PublicAlgorithm;
  /** The public key as JSON Web Key or PEM text. */
  readonly publicKey: JsonWebKey | string;
}

/** A key as a configuration gives it. */
export type KeySpec = HmacKeySpec | PublicKeySpec;

/**
 * Tells whether a text can name a key.
 *
 * @param kid a text
 */
export function isKid(kid: unknown): kid is string {
  return typeof kid === "string" && kid !== SECRET_NAME && /^[\x21-\x7e]{1,128}$/.test(kid);
}

/**
 * A text that is the same for the same secret and says nothing about it.
 *
 * @param secret a secret, which nobody can guess
 */
export function fingerprintOf(secret: string): string {
  return createHash("sha256").update("lakesync key ").update(secret).digest("hex").slice(0, 32);
}

/**
 * Makes a key of a secret, which the log never tells from then on.
 *
 * @param secret at least 32 characters, whose UTF-8 bytes are the key
 * @param more name and end
 * @throws {LakeSyncError} `VALIDATION_ERROR`
 */
export function secretKey(
  secret: string,
  more: Pick<TrustedKey, "kid" | "endsMs"> = {},
): TrustedKey {
  if (secret.length < MIN_SECRET_CHARS) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      `A secret has at least ${MIN_SECRET_CHARS} characters`,
    );
  }
  hideSecret(secret);
  return {
    alg: "HS256",
    key: new TextEncoder().encode(secret),
    id: fingerprintOf(secret),
    ...more,
  };
}

/** The algorithm that a JSON Web Key is for; undefined for one that checks no tokens here. */
export function algorithmOf(
  { kty, crv, alg, use, key_ops: ops }: JWK,
): PublicAlgorithm | undefined {
  if (use !== undefined && use !== "sig") return undefined;
  if (ops !== undefined && !ops.includes("verify")) return undefined;
  const fits = kty === "RSA"
    ? "RS256"
    : kty === "EC" && crv === "P-256"
    ? "ES256"
    : kty === "OKP" && crv === "Ed25519"
    ? "EdDSA"
    : undefined;
  if (alg === undefined || alg === fits) return fits;
  return fits === "EdDSA" && alg === "Ed25519" ? fits : undefined;
}

/** The members that make a public key what it is; nothing private is taken over. */
const PUBLIC_MEMBERS = ["kty", "crv", "n", "e", "x", "y"] as const;

/**
 * Makes a key of a JSON Web Key.
 *
 * @param jwk the public key; private members are not read
 * @param alg its algorithm
 * @param kid its name
 * @throws {Error} when it is no such key
 */
export async function jwkKey(
  jwk: JWK,
  alg: PublicAlgorithm,
  kid: string | undefined,
): Promise<TrustedKey> {
  const own = Object.fromEntries(
    PUBLIC_MEMBERS.flatMap((name) => jwk[name] === undefined ? [] : [[name, jwk[name]]]),
  );
  const key = await importJWK({ ...own, kty: String(jwk.kty) }, alg);
  const id = createHash("sha256").update(JSON.stringify([alg, own])).digest("hex").slice(0, 32);
  return { alg, key, id, ...(kid === undefined ? {} : { kid }) };
}

/** Why a key cannot be used, with its place. */
function wrong(place: string, what: string, cause?: unknown): LakeSyncError {
  return new LakeSyncError("VALIDATION_ERROR", `${place} ${what}`, {}, { cause });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkFields(place: string, fields: object, known: readonly string[]): void {
  const unknown = Object.keys(fields).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw wrong(
    place,
    `has the unknown field ${unknown.slice(0, 64)}, there are ${known.join(", ")}`,
  );
}

async function secretOf(
  place: string,
  { secret, secretFile }: Readonly<Record<string, unknown>>,
  readText: (path: string) => Promise<string>,
): Promise<string> {
  if (typeof secret === "string" && secretFile === undefined) return secret.trim();
  if (typeof secretFile !== "string" || secret !== undefined) {
    throw wrong(place, "must have either secret or secretFile, a text");
  }
  try {
    return (await readText(secretFile)).trim();
  } catch (cause) {
    throw wrong(place, `names the secretFile ${secretFile}, which cannot be read`, cause);
  }
}

/**
 * Reads keys of a configuration.
 *
 * @param specs an array of {@linkcode KeySpec}
 * @param readText reads a file
 * @returns the keys
 * @throws {LakeSyncError} `VALIDATION_ERROR` with the place, never with what is in a key
 */
export async function readKeys(
  specs: unknown,
  readText: (path: string) => Promise<string> = (path) => Deno.readTextFile(path),
): Promise<readonly TrustedKey[]> {
  if (!Array.isArray(specs)) throw wrong("keys", "must be an array");
  const keys: TrustedKey[] = [];
  for (const [i, spec] of specs.entries()) {
    const place = `keys[${i}]`;
    if (!isRecord(spec)) throw wrong(place, "must be an object");
    const { kid, alg, publicKey } = spec;
    if (!isKid(kid)) {
      throw wrong(place, "needs a kid of 1 to 128 visible ASCII characters, not secret");
    }
    if (keys.some((key) => key.kid === kid)) throw wrong(place, "has the kid of another key");
    if (alg === "HS256") {
      checkFields(place, spec, ["kid", "alg", "secret", "secretFile"]);
      const secret = await secretOf(place, spec, readText);
      if (secret.length < MIN_SECRET_CHARS) {
        throw wrong(place, `has a secret of fewer than ${MIN_SECRET_CHARS} characters`);
      }
      keys.push(secretKey(secret, { kid }));
      continue;
    }
    const known = PUBLIC_ALGORITHMS.find((name) => name === alg);
    if (known === undefined) {
      throw wrong(place, `needs an alg, HS256 or ${PUBLIC_ALGORITHMS.join(", ")}`);
    }
    checkFields(place, spec, ["kid", "alg", "publicKey"]);
    try {
      keys.push(await publicKeyOf(publicKey, known, kid));
    } catch (cause) {
      throw wrong(place, `has no publicKey for ${known}, give a JSON Web Key or PEM`, cause);
    }
  }
  return keys;
}

async function publicKeyOf(
  publicKey: unknown,
  alg: PublicAlgorithm,
  kid: string,
): Promise<TrustedKey> {
  if (typeof publicKey === "string") {
    const key = await importSPKI(publicKey, alg);
    const bytes = new Uint8Array(await crypto.subtle.exportKey("spki", key));
    const id = createHash("sha256").update(bytes).digest("hex").slice(0, 32);
    return { kid, alg, key, id };
  }
  if (!isRecord(publicKey) || algorithmOf(publicKey as JWK) !== alg) throw new Error("No such key");
  return await jwkKey(publicKey as JWK, alg, kid);
}
