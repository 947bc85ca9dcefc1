import assert from "node:assert/strict";
import { join } from "node:path";
import { readOrMakeSecret, readSecret, secretPath } from "./secret.ts";

async function withFolder(test: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("readOrMakeSecret makes a secret that only its owner reads, once", () =>
  withFolder(async (folder) => {
    const data = join(folder, "deep", "data");
    const secret = await readOrMakeSecret(data);
    assert.ok(secret.length >= 32);
    assert.equal(await readOrMakeSecret(data), secret);
    assert.equal(await readSecret(data), secret);
    if (Deno.build.os !== "windows") {
      const { mode } = await Deno.stat(secretPath(data));
      assert.equal((mode ?? 0) & 0o777, 0o600);
    }
  }));

Deno.test("readSecret trims, refuses a short secret and knows of none", () =>
  withFolder(async (folder) => {
    assert.equal(await readSecret(folder), undefined);
    const secret = "x".repeat(32);
    await Deno.writeTextFile(secretPath(folder), `\n ${secret} \n`);
    assert.equal(await readSecret(folder), secret);
    await Deno.writeTextFile(secretPath(folder), ` ${"x".repeat(31)} `);
    const code = { code: "VALIDATION_ERROR" };
    await assert.rejects(readSecret(folder), code);
    await assert.rejects(readOrMakeSecret(folder), code);
  }));
