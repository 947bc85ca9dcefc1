/**
 * Checks tokens: by the key that a token's `kid` names, or the keys without a name, each with its one
 * algorithm. Secrets (HS256) and public keys (RS256, ES256, EdDSA) may be trusted at once, since a
 * token never chooses how a key is used.
 *
 * @module
 */

import { isGatewayId, LakeSyncError } from "@lakesync/core";
import {
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  jwtVerify,
  type JWTVerifyOptions,
} from "jose";
import { hash } from "node:crypto";
import { secretKey, type TrustedKey } from "./key.ts";
import { type KeyChange, KeyRing } from "./key_ring.ts";
import { CLOCK_SKEW_SECONDS, isSubject, type VerifiedToken } from "./token.ts";

/** Which tokens a server trusts; at least one kind of key is needed. */
export interface TrustOptions {
  /** Secrets without a name that sign tokens, each at least 32 characters. */
  readonly secrets?: readonly string[];
  /** Keys with names, as `readKeys` reads them. */
  readonly keys?: readonly TrustedKey[];
  /** The path of the file that `lakesync keys` writes; it need not be there. */
  readonly keyFile?: string;
  /** The address of a JSON Web Key Set, asked for names that no other key has. */
  readonly jwksUrl?: string;
  /** The `iss` that tokens must have. */
  readonly issuer?: string;
  /** The `aud` that tokens must have. */
  readonly audience?: string;
  /** The clock, in milliseconds since 1970. */
  readonly now?: () => number;
}

/** Checks tokens. */
export interface Authenticator {
  /**
   * Checks a token.
   *
   * @param token the JWT
   * @returns what it says
   * @throws {LakeSyncError} `AUTH_ERROR`; `ADAPTER_ERROR` when the keys cannot be fetched
   */
  verify(token: string): Promise<VerifiedToken>;
  /** Whether the key that signed a checked token is still trusted; always unless given. */
  trusts?(token: VerifiedToken): boolean;
}

/** Checks tokens by keys that may change. */
export interface KeyedAuthenticator extends Authenticator {
  /** Whether the key that signed a checked token is still trusted. */
  trusts(token: VerifiedToken): boolean;
  /**
   * Listens for other keys.
   *
   * @returns ends the listening
   */
  onChange(listener: (change: KeyChange) => void): () => void;
  /** Keeps an eye on the key file and the JWKS URL until it is closed. */
  watch(): void;
  /** Ends what is under way. */
  close(): Promise<void>;
}

const MAX_TOKEN_CHARS = 8 * 1024;
const MAX_CACHED_TOKENS = 10_000;
/** A key that was withdrawn from a JWKS is trusted at most so much longer than it is known there. */
const MAX_CACHED_MS = 5 * 60 * 1000;

interface CachedToken {
  readonly verified: VerifiedToken;
  readonly untilMs: number;
}

function refused(what: string, cause?: unknown): LakeSyncError {
  return new LakeSyncError("AUTH_ERROR", what, {}, { cause });
}

function givenKeys({ secrets = [], keys = [], keyFile, jwksUrl }: TrustOptions): TrustedKey[] {
  const given = [...secrets.map((secret) => secretKey(secret)), ...keys];
  if (given.length === 0 && keyFile === undefined && jwksUrl === undefined) {
    throw new LakeSyncError("VALIDATION_ERROR", "A server needs a secret, keys or a JWKS URL");
  }
  return given;
}

/** What is wrong with a token. */
function explain(error: unknown): LakeSyncError {
  if (error instanceof LakeSyncError) return error;
  if (error instanceof errors.JWTExpired) {
    return refused("The token has expired, get a new one", error);
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    return refused(`The token's claim ${error.claim} is not right here`, error);
  }
  return refused("The token is not valid on this gateway", error);
}

function read(
  payload: JWTPayload,
  { id, endsMs: keyEndsMs = Infinity }: TrustedKey,
): VerifiedToken {
  const { sub, exp, gw, role = "client" } = payload;
  if (!isSubject(sub)) {
    throw refused("The token's sub is not 1 to 256 printable characters");
  }
  if (gw !== "*" && !isGatewayId(gw)) {
    throw refused("The token's gw is not a gateway id or *");
  }
  if (role !== "client" && role !== "admin") {
    throw refused("The token's role is not client or admin");
  }
  if (exp === undefined) throw refused("The token has no exp");
  const endsMs = Math.min((exp + CLOCK_SKEW_SECONDS) * 1000, keyEndsMs);
  return { sub, gw, role, endsMs, claims: payload, keyId: id };
}

/** The name of the key that a token gives. */
function kidOf(token: string): string | undefined {
  const { kid } = decodeProtectedHeader(token);
  if (kid === undefined || typeof kid === "string") return kid;
  throw refused("The token's kid is not a text");
}

/**
 * Makes what checks tokens. Tokens that were found good are remembered for a while, since
 * checking a signature costs more than the rest of a small request; all are forgotten when a key
 * ends.
 *
 * @param options which tokens to trust
 * @returns checks tokens
 * @throws {LakeSyncError} `VALIDATION_ERROR` when the options trust nothing
 */
export function createAuthenticator(options: TrustOptions): KeyedAuthenticator {
  const now = options.now ?? Date.now;
  const { keyFile, jwksUrl } = options;
  const ring = new KeyRing({ keys: givenKeys(options), keyFile, jwksUrl, now });
  const cache = new Map<string, CachedToken>();
  ring.onChange(() => cache.clear());
  const shared: JWTVerifyOptions = {
    clockTolerance: CLOCK_SKEW_SECONDS,
    requiredClaims: ["sub", "gw", "exp"],
    ...(options.issuer === undefined ? {} : { issuer: options.issuer }),
    ...(options.audience === undefined ? {} : { audience: options.audience }),
  };

  async function check(token: string): Promise<VerifiedToken> {
    let failure: unknown;
    for (const trusted of await ring.find(kidOf(token))) {
      // The two names of the one algorithm (RFC 9864).
      const algorithms = trusted.alg === "EdDSA" ? ["EdDSA", "Ed25519"] : [trusted.alg];
      const checks = { ...shared, algorithms, currentDate: new Date(now()) };
      try {
        const { payload } = await jwtVerify(token, trusted.key, checks);
        return read(payload, trusted);
      } catch (error) {
        failure = error;
        const another = error instanceof errors.JWSSignatureVerificationFailed ||
          error instanceof errors.JOSEAlgNotAllowed;
        if (!another) break;
      }
    }
    throw failure;
  }

  async function verify(token: string): Promise<VerifiedToken> {
    if (token.length > MAX_TOKEN_CHARS) throw refused("The token is too long");
    const name = String(hash("sha256", token));
    const cached = cache.get(name);
    const time = now();
    if (cached !== undefined) {
      if (time < cached.untilMs) return cached.verified;
      cache.delete(name);
    }
    let verified: VerifiedToken;
    try {
      verified = await check(token);
    } catch (error) {
      throw explain(error);
    }
    // A key may have ended while the signature was checked.
    if (verified.keyId !== undefined && !ring.has(verified.keyId)) {
      throw refused("The token is not valid on this gateway");
    }
    if (cache.size >= MAX_CACHED_TOKENS) {
      const oldest = cache.keys().next();
      if (oldest.done !== true) cache.delete(oldest.value);
    }
    const untilMs = Math.min(verified.endsMs, time + MAX_CACHED_MS);
    cache.set(name, { verified, untilMs });
    return verified;
  }

  return {
    verify,
    trusts: ({ keyId }) => keyId === undefined || ring.has(keyId),
    onChange: (listener) => ring.onChange(listener),
    watch: () => ring.watch(),
    close: () => ring.close(),
  };
}
