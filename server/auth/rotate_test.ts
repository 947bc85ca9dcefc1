import assert from "node:assert/strict";
import { join } from "node:path";
import { fingerprintOf } from "./key.ts";
import { changeKeyFile, keyFilePath, parseKeyFile, readKeyFile, writeKeyFile } from "./key_file.ts";
import { type KeyOwner, retireKey, rotateKeys, signingKey } from "./rotate.ts";
import { readOrMakeSecret } from "./secret.ts";

const SECRET = "a secret of at least thirty-two characters";
const NOW = Date.UTC(2026, 10, 21);
const DAY = 86_400_000;

async function withOwner(test: (owner: KeyOwner) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test({ data: join(folder, "data"), secret: undefined });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const fileOf = ({ data }: KeyOwner) => readKeyFile(keyFilePath(data));

Deno.test("rotateKeys ends the first secret and each key before, none later than it would end", () =>
  withOwner(async (owner) => {
    const first = await readOrMakeSecret(owner.data);
    assert.deepEqual(await signingKey(owner), { secret: first });
    const one = await rotateKeys(owner, DAY, NOW);
    assert.deepEqual([one.isNew, one.ended], [true, ["secret"]]);
    assert.equal((await signingKey(owner))?.kid, one.kid);
    const two = await rotateKeys(owner, 2 * DAY, NOW);
    assert.deepEqual(two.ended, [one.kid]);
    const { keys, endings } = await fileOf(owner);
    assert.deepEqual(keys.map(({ kid, endsMs }) => [kid, endsMs]), [
      [one.kid, NOW + 2 * DAY],
      [two.kid, undefined],
    ]);
    assert.deepEqual(endings, [{ fingerprint: fingerprintOf(first), endsMs: NOW + DAY }]);
    assert.ok(!(await Deno.readTextFile(keyFilePath(owner.data))).includes(first));
    // A key that has ended is forgotten with its secret.
    const three = await rotateKeys(owner, DAY, NOW + 3 * DAY);
    assert.deepEqual((await fileOf(owner)).keys.map(({ kid }) => kid), [two.kid, three.kid]);
  }));

Deno.test("a secret that is given signs until it is rotated", () =>
  withOwner(async (owner) => {
    const given = { ...owner, secret: SECRET };
    await rotateKeys(owner, DAY, NOW);
    assert.deepEqual(await signingKey(given), { secret: SECRET });
    const { kid, ended } = await rotateKeys(given, DAY, NOW);
    assert.ok(ended.includes("secret"));
    assert.equal((await signingKey(given))?.kid, kid);
  }));

Deno.test("retireKey forgets the secret, and makes a key where none is left that signs", () =>
  withOwner(async (owner) => {
    const { kid } = await rotateKeys(owner, DAY, NOW);
    const other = await retireKey(owner, "key-of-a-jwks", NOW);
    assert.deepEqual([other.kid, other.isNew, other.isElsewhere], [kid, false, true]);
    const retired = await retireKey(owner, kid, NOW);
    assert.deepEqual([retired.isNew, retired.isElsewhere], [true, false]);
    const { keys, withdrawn } = await fileOf(owner);
    assert.deepEqual(keys.map((key) => key.kid), [retired.kid]);
    assert.deepEqual(withdrawn.map((gone) => gone.kid), ["key-of-a-jwks", kid]);
    for (const name of ["", "a b", "x".repeat(129)]) {
      await assert.rejects(retireKey(owner, name, NOW), { code: "VALIDATION_ERROR" });
    }
    await assert.rejects(retireKey(owner, "secret", NOW), { code: "VALIDATION_ERROR" });
    const first = await readOrMakeSecret(owner.data);
    await retireKey(owner, "secret", NOW);
    const [ending] = (await fileOf(owner)).endings;
    assert.deepEqual(ending, { fingerprint: fingerprintOf(first), endsMs: NOW });
    assert.equal((await signingKey(owner))?.kid, retired.kid);
  }));

Deno.test("a change that fails leaves the key file as it was", () =>
  withOwner(async (owner) => {
    await rotateKeys(owner, DAY, NOW);
    const before = await Deno.readTextFile(keyFilePath(owner.data));
    await assert.rejects(changeKeyFile(owner.data, () => Promise.reject(new Error("no"))), /no/);
    assert.equal(await Deno.readTextFile(keyFilePath(owner.data)), before);
    await rotateKeys(owner, DAY, NOW);
  }));

Deno.test("parseKeyFile reads what writeKeyFile wrote, and tells nothing of what it cannot read", () => {
  const file = {
    keys: [{ kid: "a", secret: SECRET, createdMs: NOW, endsMs: NOW + 1 }, {
      kid: "b",
      secret: SECRET,
      createdMs: NOW,
    }],
    endings: [{ fingerprint: "f", endsMs: NOW }],
    withdrawn: [{ kid: "c", atMs: NOW }],
  };
  const text = writeKeyFile(file);
  assert.deepEqual(parseKeyFile(text), file);
  for (
    const bad of [
      "",
      text.slice(0, -20),
      "[]",
      "{}",
      text.replace('"HS256"', '"none"'),
      text.replace('"kid": "a"', '"kid": "secret"'),
      text.replace(SECRET, "stumpy"),
      text.replace("2026-", "soon-"),
    ]
  ) {
    assert.throws(() => parseKeyFile(bad), (error) => {
      assert.ok(error instanceof Error);
      assert.doesNotMatch(error.message, /thirty-two|stumpy/);
      return true;
    }, bad.slice(0, 80));
  }
});
