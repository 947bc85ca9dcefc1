import assert from "node:assert/strict";
import { readOrMakeSecret } from "./auth/secret.ts";
import { runKeys } from "./keys_command.ts";
import { tempFolder } from "./store/testing_folders.ts";

const SECRET = "a secret of at least thirty-two characters";

Deno.test("keys retire says when it has not found what may have been meant", async () => {
  await using folder = await tempFolder();
  const data = folder.path;
  const owner = { data, secret: undefined };
  const retire = async (kid: string, secret?: string) =>
    (await runKeys({ command: "keys retire", owner: { data, secret }, kid })).notes.join("\n");
  const { lines: [kid = ""] } = await runKeys({ command: "keys rotate", owner, keepMs: 1_000 });
  assert.match(await retire("a-slip"), /No key in .* had that name/);
  assert.doesNotMatch(await retire(kid), /No key in/);
  assert.match(await retire(kid), /No key in/);
  await readOrMakeSecret(data);
  assert.match(await retire("secret"), /given by --secret or LAKESYNC_SECRET stays/);
  assert.doesNotMatch(await retire("secret", SECRET), /stays/);
});
