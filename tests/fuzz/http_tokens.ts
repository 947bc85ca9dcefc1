/**
 * Tokens of every kind: three that are good, and those that must open nothing.
 *
 * @module
 */

import { signToken } from "@lakesync/server";
import { SignJWT, UnsecuredJWT } from "jose";

/** The secret of the server that is tried. */
export const SECRET = "the secret of the server that is tried";
/** The audience it checks. */
export const AUDIENCE = "fuzzed";
/** The issuer it checks. */
export const ISSUER = "https://issuer.test";

const key = new TextEncoder().encode(SECRET);
const good = { secret: SECRET, sub: "alice", gw: "*", audience: AUDIENCE, issuer: ISSUER };

/** A token that is right but for what `change` does. */
function almost(
  change: (jwt: SignJWT) => SignJWT,
  claims: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
  secret: Uint8Array = key,
): Promise<string> {
  const jwt = new SignJWT({ gw: "*", role: "admin", ...claims })
    .setProtectedHeader({ alg: "HS256", ...header })
    .setSubject("alice")
    .setAudience(AUDIENCE)
    .setIssuer(ISSUER)
    .setExpirationTime("1h");
  return change(jwt).sign(secret, { crit: { "urn:odd": true } });
}

const same = (jwt: SignJWT) => jwt;
const base64 = (text: string) => new TextEncoder().encode(text).toBase64({ alphabet: "base64url" });
const pieces = async () => (await almost(same)).split(".");

/** What each good kind of token may do, on all gateways. */
export const GOOD: Readonly<Record<string, () => Promise<string>>> = {
  client: () => signToken({ ...good, role: "client" }),
  "another client": () => signToken({ ...good, sub: "bob", role: "client" }),
  admin: () => signToken({ ...good, role: "admin" }),
};

/** Tokens that are good on no gateway that is tried, or nowhere. */
export const BAD: Readonly<Record<string, () => Promise<string>>> = {
  "of another gateway": () => signToken({ ...good, gw: "elsewhere", role: "admin" }),
  "of a list of gateways": () => almost(same, { gw: ["*"] }),
  "without a gateway": () => almost(same, { gw: undefined }),
  "expired": () => almost((jwt) => jwt.setExpirationTime(1)),
  "just expired": () => almost((jwt) => jwt.setExpirationTime("-31s")),
  "not valid yet": () => almost((jwt) => jwt.setNotBefore("1h")),
  "with text as exp": () => forged({ exp: "9999999999" }),
  "with a huge exp": () => forged({ exp: 1e300 }, "x".repeat(43)),
  "of another key": () => almost(same, {}, {}, new TextEncoder().encode("?".repeat(40))),
  "of an empty key": () => almost(same, {}, {}, new Uint8Array(32)),
  "for another audience": () => almost((jwt) => jwt.setAudience("elsewhere")),
  "of another issuer": () => almost((jwt) => jwt.setIssuer("https://elsewhere.test")),
  "of alg none": () =>
    Promise.resolve(
      new UnsecuredJWT({ sub: "alice", gw: "*", role: "admin", aud: AUDIENCE, iss: ISSUER })
        .setExpirationTime("1h").encode(),
    ),
  "of alg None": () => forged({}, "", { alg: "None" }),
  "of alg HS512": () => almost(same, {}, { alg: "HS512" }, concatKey()),
  "of alg RS256 signed by the secret": async () => {
    const [, payload, signature] = await pieces();
    return [base64('{"alg":"RS256"}'), payload, signature].join(".");
  },
  "with a critical header": () => almost(same, {}, { crit: ["urn:odd"], "urn:odd": 1 }),
  "with another payload": async () => {
    const [header, , signature] = await pieces();
    return [header, base64('{"sub":"root","gw":"*","exp":99999999999}'), signature].join(".");
  },
  "without a signature": async () => (await pieces()).slice(0, 2).join(".") + ".",
  "cut short": async () => (await almost(same)).slice(0, -5),
  "of two parts": async () => (await pieces()).slice(0, 2).join("."),
  "with a long signature": async () => (await almost(same)) + "A".repeat(16 * 1024),
  "of no user": () => almost((jwt) => jwt.setSubject("")),
  "of a user of control characters": () => almost((jwt) => jwt.setSubject("a\u0000b")),
  "of an unknown role": () => almost(same, { role: "root" }),
  "of a role that is no text": () => almost(same, { role: ["admin"] }),
  "that is no JWT": () => Promise.resolve("x"),
  "of odd bytes": () => Promise.resolve("\xff\xfe.\xf0.\xe9"),
  "of dots": () => Promise.resolve("....."),
};

function concatKey(): Uint8Array {
  return new Uint8Array([...key, ...key]);
}

function forged(
  claims: Record<string, unknown>,
  signature = "",
  header: Record<string, unknown> = { alg: "HS256" },
): Promise<string> {
  const payload = { sub: "alice", gw: "*", role: "admin", aud: AUDIENCE, iss: ISSUER, ...claims };
  return Promise.resolve(
    `${base64(JSON.stringify(header))}.${base64(JSON.stringify(payload))}.${signature}`,
  );
}
