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

Deno.test("keys rotate tells of every key that it ends, and of one that it ends earlier", async () => {
  await using folder = await tempFolder();
  const owner = { data: folder.path, secret: undefined };
  const rotate = async (keepMs: number) => {
    const { lines, notes } = await runKeys({ command: "keys rotate", owner, keepMs });
    return { kid: lines.join(), told: notes.join("\n") };
  };
  assert.match((await rotate(60_000)).told, /No other key/);
  await readOrMakeSecret(folder.path);
  const slow = await rotate(3_600_000);
  assert.match(slow.told, /^secret, \S+ check tokens until /m);
  const leaked = await rotate(0);
  assert.match(leaked.told, new RegExp(`signed by secret, .*${slow.kid} are refused from now on`));
});
