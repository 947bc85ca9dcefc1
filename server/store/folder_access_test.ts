import assert from "node:assert/strict";
import { inFolder } from "./folder_access.ts";
import { lockFolder } from "./lock.ts";
import { tempFolder } from "./testing_folders.ts";

const denied = () =>
  Promise.reject(new Deno.errors.PermissionDenied("Permission denied (os error 13): open 'x'"));

Deno.test({
  name: "inFolder says which folder is closed, whose it is and what to do",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using folder = await tempFolder();
    const { path } = folder;
    await Deno.chmod(path, 0o500);
    const says = async (what: Promise<unknown>, ...texts: string[]) => {
      const error: unknown = await what.then(() => {}, (error) => error);
      assert.ok(error instanceof Error);
      for (const text of [...texts, "--data"]) assert.ok(error.message.includes(text), text);
    };
    const uid = Deno.uid();
    const owner = `belongs to user ${uid} (mode 0500)`;
    const remedy = `Give it to user ${uid} (chown -R ${uid} ${path})`;
    await says(inFolder(path, denied), `The data folder ${path} `, owner, remedy, "open 'x'");
    await says(
      inFolder(`${path}/none`, denied),
      `${path}/none `,
      "is not there and cannot be made",
    );
    const readOnly = () =>
      Promise.reject(new Error("Read-only file system (os error 30): open 'x'"));
    await says(inFolder(path, readOnly), path, "mount it writable");
    // Who may do everything is kept out of nothing.
    if (uid !== 0) await says(lockFolder(path), owner, remedy);
    await Deno.chmod(path, 0o700);
  },
});

Deno.test("inFolder leaves all other errors and answers as they are", async () => {
  const other = new Error("other");
  await assert.rejects(inFolder("x", () => Promise.reject(other)), other);
  assert.equal(await inFolder("x", () => Promise.resolve(1)), 1);
});
