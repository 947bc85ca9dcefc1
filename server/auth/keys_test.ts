import { LakeSyncError } from "@lakesync/core";
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from "jose";
import assert from "node:assert/strict";
import { join } from "node:path";
import { fingerprintOf, type KeySpec, readKeys, secretKey } from "./key.ts";
import { changeKeyFile, type KeyFile, keyFilePath, NO_KEYS } from "./key_file.ts";
import { createAuthenticator } from "./verify.ts";

const SECRET = "a secret of at least thirty-two characters";
const OTHER = "another secret of more than thirty-two characters";

interface Signed {
  readonly alg: string;
  readonly key: CryptoKey | Uint8Array;
  readonly kid?: string;
  readonly claims?: Record<string, unknown>;
}

function sign({ alg, key, kid, claims = {} }: Signed): Promise<string> {
  const exp = Math.floor(Date.now() / 1000) + 60;
  return new SignJWT({ sub: "alice", gw: "default", exp, ...claims })
    .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
    .sign(key);
}

const bytes = (text: string) => new TextEncoder().encode(text);

function refuses(promise: Promise<unknown>, code = "AUTH_ERROR") {
  return assert.rejects(
    promise,
    (error) => error instanceof LakeSyncError && error.code === code,
  );
}

async function withFolder(test: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("verify holds a token against the key that its kid names and no other", async () => {
  const keys = await readKeys([
    { kid: "a", alg: "HS256", secret: SECRET },
    { kid: "b", alg: "HS256", secret: OTHER },
  ]);
  const { verify } = createAuthenticator({ keys, secrets: ["x".repeat(32)] });
  const hs = (text: string, kid?: string) =>
    sign({ alg: "HS256", key: bytes(text), ...(kid === undefined ? {} : { kid }) });
  assert.equal((await verify(await hs(SECRET, "a"))).sub, "alice");
  assert.equal((await verify(await hs(OTHER, "b"))).sub, "alice");
  assert.equal((await verify(await hs("x".repeat(32)))).sub, "alice");
  await refuses(verify(await hs(SECRET, "b")));
  await refuses(verify(await hs(OTHER, "a")));
  await refuses(verify(await hs(SECRET)));
  await refuses(verify(await hs(SECRET, "c")));
  await refuses(verify(await hs("x".repeat(32), "a")));
  for (const alg of ["HS384", "HS512"]) {
    await refuses(verify(await sign({ alg, key: bytes(SECRET.repeat(2)), kid: "a" })));
    const [long] = await readKeys([{ kid: "long", alg: "HS256", secret: SECRET.repeat(2) }]);
    assert.ok(long !== undefined);
    const { verify: other } = createAuthenticator({ keys: [long] });
    await refuses(other(await sign({ alg, key: bytes(SECRET.repeat(2)), kid: "long" })));
  }
});

Deno.test("verify never takes a public key for a secret, whatever a token's header says", async () => {
  for (const alg of ["RS256", "ES256", "EdDSA"] as const) {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    const pem = await exportSPKI(publicKey);
    const jwk = await exportJWK(publicKey);
    for (const given of [pem, jwk] as const) {
      const specs: KeySpec[] = [{ kid: "p", alg, publicKey: given as string }];
      const { verify } = createAuthenticator({ keys: await readKeys(specs), secrets: [SECRET] });
      assert.equal((await verify(await sign({ alg, key: privateKey, kid: "p" }))).sub, "alice");
      await refuses(verify(await sign({ alg, key: privateKey })));
      for (const text of [pem, pem.trim(), JSON.stringify(jwk)]) {
        await refuses(verify(await sign({ alg: "HS256", key: bytes(text), kid: "p" })));
        await refuses(verify(await sign({ alg: "HS256", key: bytes(text) })));
      }
      const none = (await sign({ alg, key: privateKey, kid: "p" })).split(".");
      const header = btoa(JSON.stringify({ alg: "none", kid: "p" })).replaceAll("=", "");
      await refuses(verify(`${header}.${none[1]}.`));
    }
  }
});

Deno.test("readKeys says which key is wrong and nothing of what is in it", async () => {
  const { publicKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk = await exportJWK(publicKey);
  const bad: unknown[] = [
    {},
    [7],
    [{ alg: "HS256", secret: SECRET }],
    [{ kid: "secret", alg: "HS256", secret: SECRET }],
    [{ kid: "a b", alg: "HS256", secret: SECRET }],
    [{ kid: "a", alg: "HS512", secret: SECRET }],
    [{ kid: "a", alg: "HS256", secret: "zu kurzes" }],
    [{ kid: "a", alg: "HS256", secret: SECRET, secretFile: "x" }],
    [{ kid: "a", alg: "HS256", publicKey: jwk }],
    [{ kid: "a", alg: "RS256", publicKey: jwk }],
    [{ kid: "a", alg: "ES256", publicKey: "-----BEGIN zu kurzes" }],
    [{ kid: "a", alg: "ES256", publicKey: { ...jwk, x: "zu kurzes" } }],
    [{ kid: "a", alg: "ES256", publicKey: { kty: "oct", k: "zu kurzes" } }],
    [{ kid: "a", alg: "HS256", secret: SECRET }, { kid: "a", alg: "HS256", secret: OTHER }],
  ];
  for (const specs of bad) {
    await assert.rejects(readKeys(specs), (error) => {
      assert.ok(error instanceof LakeSyncError && error.code === "VALIDATION_ERROR");
      assert.match(error.message, /^keys/);
      assert.doesNotMatch(error.message, /zu kurzes|thirty-two/);
      return true;
    }, JSON.stringify(specs));
  }
  await withFolder(async (folder) => {
    const secretFile = join(folder, "s");
    await Deno.writeTextFile(secretFile, `${SECRET}\n`);
    const [key] = await readKeys([{ kid: "a", alg: "HS256", secretFile }]);
    assert.equal(key?.id, fingerprintOf(SECRET));
    await refuses(readKeys([{ kid: "a", alg: "HS256", secretFile: folder }]), "VALIDATION_ERROR");
  });
});

const filed = (kid: string, secret: string) => ({ kid, secret, createdMs: Date.now() });

Deno.test("a key that is made while the server runs is known with its first token", () =>
  withFolder(async (folder) => {
    const authenticator = createAuthenticator({
      secrets: [SECRET],
      keyFile: keyFilePath(folder),
    });
    const old = await sign({ alg: "HS256", key: bytes(SECRET) });
    await authenticator.verify(old);
    const token = await sign({ alg: "HS256", key: bytes(OTHER), kid: "new" });
    await refuses(authenticator.verify(token));
    await changeKeyFile(folder, (before) => ({ ...before, keys: [filed("new", OTHER)] }));
    assert.equal((await authenticator.verify(token)).sub, "alice");
    await authenticator.verify(old);
    const { mode } = await Deno.stat(keyFilePath(folder));
    assert.equal((mode ?? 0) & 0o777, 0o600);
    await authenticator.close();
  }));

Deno.test("a withdrawn key is refused wherever it comes from, remembered tokens too", () =>
  withFolder(async (folder) => {
    const authenticator = createAuthenticator({
      secrets: [SECRET],
      keys: [secretKey(OTHER, { kid: "leaked" })],
      keyFile: keyFilePath(folder),
    });
    const token = await sign({ alg: "HS256", key: bytes(OTHER), kid: "leaked" });
    const verified = await authenticator.verify(token);
    assert.equal(authenticator.trusts(verified), true);
    const { promise: told, resolve } = Promise.withResolvers<void>();
    authenticator.onChange(() => {
      if (!authenticator.trusts(verified)) resolve();
    });
    authenticator.watch();
    await changeKeyFile(folder, (before) => ({
      ...before,
      withdrawn: [{ kid: "leaked", atMs: Date.now() }],
    }));
    await told;
    await refuses(authenticator.verify(token));
    await authenticator.verify(await sign({ alg: "HS256", key: bytes(SECRET) }));
    await authenticator.close();
  }));

Deno.test("a key that ends takes its tokens with it, to the millisecond", () =>
  withFolder(async (folder) => {
    let now = Date.now();
    const endsMs = now + 10_000;
    const file: KeyFile = {
      ...NO_KEYS,
      keys: [{ ...filed("k", OTHER), endsMs }],
      endings: [{ fingerprint: fingerprintOf(SECRET), endsMs }],
    };
    await changeKeyFile(folder, () => file);
    const authenticator = createAuthenticator({
      secrets: [SECRET],
      keyFile: keyFilePath(folder),
      now: () => now,
    });
    const tokens = [
      await sign({ alg: "HS256", key: bytes(OTHER), kid: "k" }),
      await sign({ alg: "HS256", key: bytes(SECRET) }),
    ];
    for (const token of tokens) {
      const verified = await authenticator.verify(token);
      assert.equal(verified.endsMs, endsMs);
      now = endsMs - 1;
      await authenticator.verify(token);
      assert.equal(authenticator.trusts(verified), true);
      now = endsMs;
      await refuses(authenticator.verify(token));
      assert.equal(authenticator.trusts(verified), false);
      now = endsMs - 5_000;
    }
    await authenticator.close();
  }));

Deno.test("each end of a key is told, also when those that ended before are forgotten", () =>
  withFolder(async (folder) => {
    let now = Date.now();
    const [first, second, third] = [now + 1_000, now + 5_000, now + 9_000];
    const keys = [
      { ...filed("a", OTHER), endsMs: first },
      { ...filed("b", `${OTHER} b`), endsMs: second },
      { ...filed("c", `${OTHER} c`), endsMs: third },
    ];
    await changeKeyFile(folder, () => ({ ...NO_KEYS, keys }));
    const authenticator = createAuthenticator({
      secrets: [SECRET],
      keyFile: keyFilePath(folder),
      now: () => now,
    });
    const told: string[] = [];
    authenticator.onChange(({ removed }) => void told.push(...removed));
    const unknown = await sign({ alg: "HS256", key: bytes(OTHER), kid: "unknown" });
    // A name that is not known is looked for in the file.
    const look = () => refuses(authenticator.verify(unknown));
    await look();
    now = first;
    await look();
    assert.deepEqual(told, ["a"]);
    await changeKeyFile(folder, (file) => ({ ...file, keys: file.keys.slice(1) }));
    await look();
    now = second;
    await look();
    assert.deepEqual(told, ["a", "b"]);
    // One that ended since the last look, and is gone from the file at this one.
    now = third;
    await changeKeyFile(folder, (file) => ({ ...file, keys: [] }));
    await look();
    assert.deepEqual(told, ["a", "b", "c"]);
    await authenticator.close();
  }));

Deno.test("a key file that cannot be read changes nothing", () =>
  withFolder(async (folder) => {
    const path = keyFilePath(folder);
    await changeKeyFile(folder, (before) => ({ ...before, keys: [filed("k", OTHER)] }));
    const authenticator = createAuthenticator({ secrets: [SECRET], keyFile: path });
    const token = await sign({ alg: "HS256", key: bytes(OTHER), kid: "k" });
    await authenticator.verify(token);
    await Deno.writeTextFile(path, '{"keys": [');
    await refuses(authenticator.verify(await sign({ alg: "HS256", key: bytes(OTHER), kid: "l" })));
    await authenticator.verify(token);
    await authenticator.close();
  }));

Deno.test("changes of a key file by several at once are all kept", () =>
  withFolder(async (folder) => {
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        changeKeyFile(folder, (before) => ({
          ...before,
          keys: [...before.keys, filed(`k${i}`, OTHER)],
        }))),
    );
    const { keys } = await changeKeyFile(folder, (before) => before);
    assert.equal(keys.length, 20);
  }));
