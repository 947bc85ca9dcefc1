/**
 * Checks tokens. A server trusts either secrets (HS256) or the public keys behind a JWKS URL
 * (RS256, ES256, EdDSA), never both: a public key must not pass for a secret.
 *
 * @module
 */

import { isGatewayId, LakeSyncError } from "@lakesync/core";
import {
  createRemoteJWKSet,
  errors,
  type JWTPayload,
  jwtVerify,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
} from "jose";
import { CLOCK_SKEW_SECONDS, isSubject, MIN_SECRET_CHARS, type VerifiedToken } from "./token.ts";

/** Which tokens a server trusts. */
export interface TrustOptions {
  /** Either the secrets that sign tokens, each at least 32 characters … */
  readonly secrets?: readonly string[];
  /** … or the address of a JSON Web Key Set. */
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
}

const MAX_TOKEN_CHARS = 8 * 1024;
const MAX_CACHED_TOKENS = 10_000;
/** A key that was withdrawn from a JWKS is trusted at most so much longer. */
const MAX_CACHED_MS = 5 * 60 * 1000;

interface Key {
  readonly key: Uint8Array | JWTVerifyGetKey;
  readonly algorithms: string[];
}

interface CachedToken {
  readonly verified: VerifiedToken;
  readonly untilMs: number;
}

function refused(what: string, cause?: unknown): LakeSyncError {
  return new LakeSyncError("AUTH_ERROR", what, {}, { cause });
}

function keysOf(options: TrustOptions): readonly Key[] {
  const { secrets = [], jwksUrl } = options;
  if (jwksUrl !== undefined) {
    if (secrets.length > 0) {
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        "Configure either secrets or a JWKS URL, not both",
      );
    }
    const key = createRemoteJWKSet(new URL(jwksUrl));
    return [{ key, algorithms: ["RS256", "ES256", "EdDSA"] }];
  }
  if (secrets.length === 0) {
    throw new LakeSyncError("VALIDATION_ERROR", "A server needs a secret");
  }
  return secrets.map((secret) => {
    if (secret.length < MIN_SECRET_CHARS) {
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        `A secret has at least ${MIN_SECRET_CHARS} characters`,
      );
    }
    const key = new TextEncoder().encode(secret);
    return { key, algorithms: ["HS256"] };
  });
}

/** An error of the token, or of fetching the keys that would judge it. */
function explain(error: unknown): LakeSyncError {
  if (error instanceof errors.JWTExpired) {
    return refused("The token has expired, get a new one", error);
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    return refused(`The token's claim ${error.claim} is not right here`, error);
  }
  if (
    error instanceof errors.JOSEError &&
    !(error instanceof errors.JWKSTimeout) &&
    !(error instanceof errors.JWKSInvalid) &&
    error.code !== "ERR_JOSE_GENERIC"
  ) {
    return refused("The token is not valid on this gateway", error);
  }
  return new LakeSyncError(
    "ADAPTER_ERROR",
    "The keys that check tokens cannot be fetched now, try again",
    {},
    { cause: error },
  );
}

function read(payload: JWTPayload): VerifiedToken {
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
  const endsMs = (exp + CLOCK_SKEW_SECONDS) * 1000;
  return { sub, gw, role, endsMs, claims: payload };
}

/**
 * Makes what checks tokens. Tokens that were found good are remembered for a while, since
 * checking a signature costs more than the rest of a small request.
 *
 * @param options which tokens to trust
 * @returns checks tokens
 * @throws {LakeSyncError} `VALIDATION_ERROR` when the options trust nothing or too much
 */
export function createAuthenticator(options: TrustOptions): Authenticator {
  const keys = keysOf(options);
  const now = options.now ?? Date.now;
  const cache = new Map<string, CachedToken>();
  const shared: JWTVerifyOptions = {
    clockTolerance: CLOCK_SKEW_SECONDS,
    requiredClaims: ["sub", "gw", "exp"],
    ...(options.issuer === undefined ? {} : { issuer: options.issuer }),
    ...(options.audience === undefined ? {} : { audience: options.audience }),
  };

  async function check(token: string): Promise<JWTPayload> {
    let failure: unknown;
    for (const { key, algorithms } of keys) {
      const checks = { ...shared, algorithms, currentDate: new Date(now()) };
      try {
        const { payload } = typeof key === "function"
          ? await jwtVerify(token, key, checks)
          : await jwtVerify(token, key, checks);
        return payload;
      } catch (error) {
        failure = error;
        if (!(error instanceof errors.JWSSignatureVerificationFailed)) break;
      }
    }
    throw explain(failure);
  }

  async function verify(token: string): Promise<VerifiedToken> {
    const cached = cache.get(token);
    const time = now();
    if (cached !== undefined) {
      if (time < cached.untilMs) return cached.verified;
      cache.delete(token);
    }
    if (token.length > MAX_TOKEN_CHARS) throw refused("The token is too long");
    const verified = read(await check(token));
    if (cache.size >= MAX_CACHED_TOKENS) {
      const oldest = cache.keys().next();
      if (oldest.done !== true) cache.delete(oldest.value);
    }
    const untilMs = Math.min(verified.endsMs, time + MAX_CACHED_MS);
    cache.set(token, { verified, untilMs });
    return verified;
  }

  return { verify };
}
