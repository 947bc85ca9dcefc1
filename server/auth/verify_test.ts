import { LakeSyncError } from "@lakesync/core";
import { exportJWK, generateKeyPair, type JWTHeaderParameters, SignJWT, UnsecuredJWT } from "jose";
import assert from "node:assert/strict";
import { signToken } from "./token.ts";
import { createAuthenticator } from "./verify.ts";

const SECRET = "a secret of at least thirty-two characters";
const OTHER = "another secret of more than thirty-two characters";
const key = new TextEncoder().encode(SECRET);

function refuses(promise: Promise<unknown>, code = "AUTH_ERROR") {
  return assert.rejects(
    promise,
    (error) => error instanceof LakeSyncError && error.code === code,
  );
}

function claims(
  more: Record<string, unknown> = {},
  header: JWTHeaderParameters = { alg: "HS256" },
): SignJWT {
  const exp = Math.floor(Date.now() / 1000) + 60;
  return new SignJWT({ sub: "alice", gw: "default", exp, ...more })
    .setProtectedHeader(header);
}

Deno.test("verify reads what signToken wrote", async () => {
  const { verify } = createAuthenticator({ secrets: [SECRET] });
  const token = await signToken({
    secret: SECRET,
    sub: "alice",
    gw: "notes",
    role: "admin",
    ttlSeconds: 60,
    claims: { org: "acme" },
  });
  const verified = await verify(token);
  assert.equal(verified.sub, "alice");
  assert.equal(verified.gw, "notes");
  assert.equal(verified.role, "admin");
  assert.equal(verified.claims["org"], "acme");
});

Deno.test("verify takes a token without role as a client's", async () => {
  const { verify } = createAuthenticator({ secrets: [SECRET] });
  assert.equal((await verify(await claims().sign(key))).role, "client");
});

Deno.test("verify refuses forged, unsigned and misread tokens", async () => {
  const { verify } = createAuthenticator({ secrets: [SECRET] });
  const good = await claims().sign(key);
  const [header, payload, signature] = good.split(".");
  const admin = btoa(
    JSON.stringify({
      sub: "alice",
      gw: "*",
      role: "admin",
      exp: Math.floor(Date.now() / 1000) + 60,
    }),
  ).replaceAll("=", "");
  await refuses(verify(`${header}.${admin}.${signature}`));
  await refuses(verify(`${header}.${payload}.`));
  await refuses(verify(`${header}.${payload}.${signature}A`));
  await refuses(verify(await claims().sign(new TextEncoder().encode(OTHER))));
  const unsigned = new UnsecuredJWT({
    sub: "alice",
    gw: "default",
    exp: Math.floor(Date.now() / 1000) + 60,
  }).encode();
  await refuses(verify(unsigned));
  await refuses(
    verify(
      await claims({}, { alg: "HS512" }).sign(
        new Uint8Array(64),
      ),
    ),
  );
  for (const text of ["", "x", "a.b.c", "eyJ".repeat(5_000)]) {
    await refuses(verify(text));
  }
});

Deno.test("verify refuses tokens that lack or misuse a claim", async () => {
  const { verify } = createAuthenticator({ secrets: [SECRET] });
  const bad: Record<string, unknown>[] = [
    { sub: undefined },
    { sub: "" },
    { sub: 7 },
    { sub: "alice\0" },
    { sub: "\ud800" },
    { sub: "a".repeat(257) },
    { gw: undefined },
    { gw: "../other" },
    { gw: ["default"] },
    { exp: undefined },
    { exp: "tomorrow" },
    { role: "root" },
    { role: null },
    { nbf: Math.floor(Date.now() / 1000) + 120 },
  ];
  for (const more of bad) await refuses(verify(await claims(more).sign(key)));
});

Deno.test("verify allows 30 s of skew and not more, also for remembered tokens", async () => {
  let now = Date.now();
  const { verify } = createAuthenticator({
    secrets: [SECRET],
    now: () => now,
  });
  const exp = Math.floor(now / 1000) + 10;
  const token = await claims({ exp }).sign(key);
  const { endsMs } = await verify(token);
  assert.equal(endsMs, (exp + 30) * 1000);
  now = (exp + 29) * 1000;
  await verify(token);
  now = (exp + 31) * 1000;
  await refuses(verify(token));
});

Deno.test("verify checks iss and aud where they are configured", async () => {
  const { verify } = createAuthenticator({
    secrets: [SECRET],
    issuer: "https://issuer.example",
    audience: "lakesync",
  });
  await refuses(verify(await claims().sign(key)));
  const wrong = claims({ iss: "https://issuer.example", aud: "other" });
  await refuses(verify(await wrong.sign(key)));
  const right = claims({ iss: "https://issuer.example", aud: "lakesync" });
  assert.equal((await verify(await right.sign(key))).sub, "alice");
});

Deno.test("verify accepts each of several secrets", async () => {
  const { verify } = createAuthenticator({ secrets: [OTHER, SECRET] });
  assert.equal((await verify(await claims().sign(key))).sub, "alice");
});

Deno.test("createAuthenticator refuses to trust nothing or little", () => {
  const code = { code: "VALIDATION_ERROR" };
  assert.throws(() => createAuthenticator({}), code);
  assert.throws(() => createAuthenticator({ secrets: ["short"] }), code);
});

/** Serves keys. */
async function withKeys(
  keys: object[],
  test: (jwksUrl: string) => Promise<void>,
): Promise<void> {
  const server = Deno.serve(
    { port: 0, onListen: () => {} },
    () => Response.json({ keys }),
  );
  try {
    await test(`http://127.0.0.1:${server.addr.port}/jwks`);
  } finally {
    await server.shutdown();
  }
}

for (const alg of ["RS256", "ES256", "EdDSA"]) {
  Deno.test(`verify accepts ${alg} by the keys of a JWKS URL`, async () => {
    const { publicKey, privateKey } = await generateKeyPair(alg);
    const jwk = { ...await exportJWK(publicKey), kid: "one" };
    await withKeys([jwk], async (jwksUrl) => {
      const { verify } = createAuthenticator({ jwksUrl });
      const header = { alg, kid: "one" };
      const token = await claims({}, header).sign(privateKey);
      assert.equal((await verify(token)).sub, "alice");
      const unknown = await claims({}, { alg, kid: "two" }).sign(privateKey);
      await refuses(verify(unknown));
    });
  });
}

Deno.test("verify with a JWKS URL refuses HS256 signed by the public key", async () => {
  const { publicKey } = await generateKeyPair("RS256");
  const jwk = { ...await exportJWK(publicKey), kid: "one" };
  await withKeys([jwk], async (jwksUrl) => {
    const { verify } = createAuthenticator({ jwksUrl });
    const forged = await claims({}, { alg: "HS256", kid: "one" }).sign(
      new TextEncoder().encode(JSON.stringify(jwk)),
    );
    await refuses(verify(forged));
  });
});

Deno.test("verify with a secret refuses RS256", async () => {
  const { privateKey } = await generateKeyPair("RS256");
  const { verify } = createAuthenticator({ secrets: [SECRET] });
  await refuses(
    verify(
      await claims({}, { alg: "RS256" }).sign(privateKey),
    ),
  );
});

Deno.test("verify blames the keys, not the token, when they cannot be fetched", async () => {
  const { privateKey } = await generateKeyPair("ES256");
  const token = await claims({}, { alg: "ES256", kid: "one" }).sign(privateKey);
  let gone = "";
  await withKeys([], (jwksUrl) => {
    gone = jwksUrl;
    return Promise.resolve();
  });
  const { verify } = createAuthenticator({ jwksUrl: gone });
  await refuses(verify(token), "ADAPTER_ERROR");
});
