import { LakeSyncError } from "@lakesync/core";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import assert from "node:assert/strict";
import { JWKS_LIMITS } from "./jwks.ts";
import { createAuthenticator } from "./verify.ts";

const SECRET = "a secret of at least thirty-two characters";

interface Issuer {
  readonly jwk: JWK;
  readonly token: () => Promise<string>;
}

async function issuer(kid: string): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  let n = 0;
  return {
    jwk: { ...await exportJWK(publicKey), kid },
    token: () =>
      new SignJWT({ sub: "alice", gw: "default", n: n++, exp: Date.now() / 1000 + 36_000 })
        .setProtectedHeader({ alg: "ES256", kid }).sign(privateKey),
  };
}

interface Answers {
  asked: number;
  answer: () => Response | Promise<Response>;
}

async function withKeys(
  keys: readonly JWK[],
  test: (jwksUrl: string, answers: Answers) => Promise<void>,
): Promise<void> {
  const answers: Answers = { asked: 0, answer: () => Response.json({ keys }) };
  const server = Deno.serve({ port: 0, onListen: () => {} }, () => {
    answers.asked++;
    return answers.answer();
  });
  try {
    await test(`http://127.0.0.1:${server.addr.port}/jwks`, answers);
  } finally {
    await server.shutdown();
  }
}

function refuses(promise: Promise<unknown>, code: string) {
  return assert.rejects(
    promise,
    (error) => error instanceof LakeSyncError && error.code === code,
  );
}

const down = () => new Response("", { status: 500 });

Deno.test("a JWKS is asked once for many tokens at once, and once in a while for unknown names", async () => {
  const one = await issuer("one");
  const two = await issuer("two");
  await withKeys([one.jwk], async (jwksUrl, answers) => {
    let now = Date.now();
    const { verify, close } = createAuthenticator({ jwksUrl, now: () => now });
    const tokens = await Promise.all(Array.from({ length: 20 }, () => one.token()));
    await Promise.all(tokens.map((token) => verify(token)));
    assert.equal(answers.asked, 1);
    for (let i = 0; i < 20; i++) await refuses(verify(await two.token()), "AUTH_ERROR");
    assert.equal(answers.asked, 1);
    answers.answer = () => Response.json({ keys: [one.jwk, two.jwk] });
    now += JWKS_LIMITS.unknownEveryMs;
    await Promise.all((await Promise.all([two.token(), two.token()])).map((t) => verify(t)));
    assert.equal(answers.asked, 2);
    await close();
  });
});

Deno.test("a JWKS without a key that checks tokens is asked no more often than another one", async () => {
  const one = await issuer("one");
  await withKeys([{ kty: "oct", k: "AAAA", kid: "one" }], async (jwksUrl, answers) => {
    let now = Date.now();
    const { verify, close } = createAuthenticator({ jwksUrl, now: () => now });
    const nameless = `${btoa('{"alg":"ES256"}').replaceAll("=", "")}.e30.c2ln`;
    for (let i = 0; i < 20; i++) {
      await refuses(verify(await one.token()), "AUTH_ERROR");
      await refuses(verify(nameless), "AUTH_ERROR");
    }
    assert.equal(answers.asked, 1);
    answers.answer = () => Response.json({ keys: [one.jwk] });
    now += JWKS_LIMITS.unknownEveryMs;
    await verify(await one.token());
    assert.equal(answers.asked, 2);
    await close();
  });
});

Deno.test("a JWKS that is down is asked ever less, and its last keys go on for an hour", async () => {
  const one = await issuer("one");
  const two = await issuer("two");
  await withKeys([one.jwk], async (jwksUrl, answers) => {
    let now = Date.now();
    const startMs = now;
    const { verify, trusts, close } = createAuthenticator({ jwksUrl, now: () => now });
    const verified = await verify(await one.token());
    answers.answer = down;
    answers.asked = 0;
    for (; now < startMs + JWKS_LIMITS.staleMs - 1_000; now += 10_000) {
      await verify(await one.token());
      await refuses(
        verify(await two.token()),
        now < startMs + 5_000 ? "AUTH_ERROR" : "ADAPTER_ERROR",
      );
    }
    assert.ok(answers.asked >= 50 && answers.asked <= 66, `asked ${answers.asked} times`);
    now = startMs + JWKS_LIMITS.staleMs;
    await refuses(verify(await one.token()), "ADAPTER_ERROR");
    // It is not the token's fault, so nobody is sent for another one.
    assert.equal(trusts(verified), true);
    answers.answer = () => Response.json({ keys: [one.jwk] });
    now += JWKS_LIMITS.maxBackOffMs;
    await verify(await one.token());
    await close();
  });
});

Deno.test("a key that left a JWKS is refused after the next answer, remembered tokens too", async () => {
  const one = await issuer("one");
  const two = await issuer("two");
  await withKeys([one.jwk, two.jwk], async (jwksUrl, answers) => {
    let now = Date.now();
    const { verify, trusts, onChange, close } = createAuthenticator({ jwksUrl, now: () => now });
    const token = await one.token();
    const verified = await verify(token);
    const { promise: changed, resolve } = Promise.withResolvers<unknown>();
    onChange(resolve);
    answers.answer = () => Response.json({ keys: [two.jwk] });
    now += JWKS_LIMITS.freshMs;
    await verify(await two.token());
    assert.deepEqual(await changed, {
      source: "jwks",
      added: [],
      removed: ["one"],
      ending: [],
    });
    assert.equal(trusts(verified), false);
    await refuses(verify(token), "AUTH_ERROR");
    await close();
  });
});

Deno.test("a JWKS brings no secrets, no other algorithms and no endless answers", async () => {
  const one = await issuer("one");
  const oct = { kty: "oct", k: btoa(SECRET).replaceAll("=", ""), kid: "oct", alg: "HS256" };
  await withKeys([oct, { ...one.jwk, alg: "ES384" }], async (jwksUrl, answers) => {
    let now = Date.now();
    const { verify, close } = createAuthenticator({ jwksUrl, now: () => now });
    const forged = await new SignJWT({ sub: "a", gw: "*", exp: now / 1000 + 60 })
      .setProtectedHeader({ alg: "HS256", kid: "oct" }).sign(new TextEncoder().encode(SECRET));
    await refuses(verify(forged), "AUTH_ERROR");
    await refuses(verify(await one.token()), "AUTH_ERROR");
    for (
      const answer of [
        () => new Response("x".repeat(JWKS_LIMITS.maxBytes + 1)),
        () => new Response("no JSON"),
        () => Response.json({ keys: 7 }),
        () => Response.redirect("http://127.0.0.1:1/"),
        down,
      ]
    ) {
      answers.answer = answer;
      now += JWKS_LIMITS.maxBackOffMs;
      await refuses(verify(await one.token()), "ADAPTER_ERROR");
    }
    await close();
  });
});

Deno.test("a token goes by secrets where it names none of the JWKS", async () => {
  const one = await issuer("one");
  await withKeys([one.jwk], async (jwksUrl, answers) => {
    const { verify, close } = createAuthenticator({ jwksUrl, secrets: [SECRET] });
    const own = await new SignJWT({ sub: "bob", gw: "*", exp: Date.now() / 1000 + 60 })
      .setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(SECRET));
    assert.equal((await verify(own)).sub, "bob");
    assert.equal(answers.asked, 0);
    assert.equal((await verify(await one.token())).sub, "alice");
    await close();
  });
});
