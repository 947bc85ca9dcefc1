/**
 * What a token says, and making one. Checking one is `verify.ts`.
 *
 * @module
 */

import { isGatewayId, LakeSyncError } from "@lakesync/core";
import { SignJWT } from "jose";

/** What a token's holder may do: sync, or also administer. */
export type Role = "client" | "admin";

/** A token that was checked. */
export interface VerifiedToken {
  /** The user. */
  readonly sub: string;
  /** The gateway it is for, or `*` for all. */
  readonly gw: string;
  /** What its holder may do. */
  readonly role: Role;
  /** When it stops being accepted, skew included, in milliseconds since 1970. */
  readonly endsMs: number;
  /** Every claim. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** Which key signed it, without telling what the key is. */
  readonly keyId?: string;
}

/** The least length of a secret, in characters. */
export const MIN_SECRET_CHARS = 32;

/** How far the clocks of a token's maker and of the gateway may differ, in seconds. */
export const CLOCK_SKEW_SECONDS = 30;

/** What {@linkcode signToken} puts into a token. */
export interface SignTokenOptions {
  /** The gateway's secret, at least 32 characters. */
  readonly secret: string;
  /** The name of the secret, where it has one. */
  readonly kid?: string;
  /** The user, 1 to 256 characters. */
  readonly sub: string;
  /** The gateway the token is for, or `*` for all. */
  readonly gw: string;
  /** What its holder may do; `client` unless given. */
  readonly role?: Role;
  /** How long it is valid, in seconds; an hour unless given. */
  readonly ttlSeconds?: number;
  /** Further claims, which sync rules read as `jwt:<claim>`. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** The `iss` claim, where the gateway checks one. */
  readonly issuer?: string;
  /** The `aud` claim, where the gateway checks one. */
  readonly audience?: string;
}

/** Claims that have an option of their own and cannot come with the others. */
export const RESERVED_CLAIMS: readonly string[] = [
  "sub",
  "gw",
  "role",
  "exp",
  "iat",
  "iss",
  "aud",
];

/**
 * Tells whether a text can name a user: 1 to 256 characters, no control characters and no lone
 * surrogates, since some stores would not give those back as they were.
 *
 * @param sub a text
 * @returns whether it can be the `sub` of a token
 */
export function isSubject(sub: unknown): sub is string {
  return typeof sub === "string" && sub.isWellFormed() &&
    /^\P{Cc}{1,256}$/u.test(sub);
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new LakeSyncError("VALIDATION_ERROR", what);
}

/**
 * Makes a token, for an app's own backend. The secret must never reach a client.
 *
 * @param options what the token says
 * @returns the token, an HS256 JWT
 * @throws {LakeSyncError} `VALIDATION_ERROR`
 *
 * @example
 * ```ts
 * import { signToken } from "@lakesync/server";
 *
 * const token = await signToken({
 *   secret: "a secret of at least thirty-two characters",
 *   sub: "alice",
 *   gw: "default",
 *   claims: { org: "acme" },
 * });
 * console.assert(token.split(".").length === 3);
 * ```
 */
export async function signToken(options: SignTokenOptions): Promise<string> {
  const { secret, sub, gw, role = "client", ttlSeconds = 3600 } = options;
  const claims = options.claims ?? {};
  check(
    secret.length >= MIN_SECRET_CHARS,
    `A secret has at least ${MIN_SECRET_CHARS} characters`,
  );
  check(isSubject(sub), "A sub is 1 to 256 printable characters");
  check(gw === "*" || isGatewayId(gw), "A gw is a gateway id or *");
  check(role === "client" || role === "admin", "A role is client or admin");
  check(
    Number.isSafeInteger(ttlSeconds) && ttlSeconds > 0,
    "A token lives a whole number of seconds, at least one",
  );
  for (const name of RESERVED_CLAIMS) {
    check(!Object.hasOwn(claims, name), `The claim ${name} has its own option`);
  }
  const now = Math.floor(Date.now() / 1000);
  const jwt = new SignJWT({ ...claims, gw, role })
    .setProtectedHeader({
      alg: "HS256",
      typ: "JWT",
      ...(options.kid === undefined ? {} : { kid: options.kid }),
    })
    .setSubject(sub)
    .setIssuedAt(now)
    .setExpirationTime(now + ttlSeconds);
  if (options.issuer !== undefined) jwt.setIssuer(options.issuer);
  if (options.audience !== undefined) jwt.setAudience(options.audience);
  return await jwt.sign(new TextEncoder().encode(secret));
}
