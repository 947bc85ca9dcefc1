import assert from "node:assert/strict";
import { LakeSyncError } from "@lakesync/core";
import { tempFolder } from "./testing_folders.ts";
import { lockFolder, StoreLockedError } from "./lock.ts";
import { openKvStores } from "./kv.ts";
import { openSqliteStores } from "./sqlite.ts";

/** Starts another process that holds a folder and may touch nothing else, and waits for it. */
async function startHolder(folder: string): Promise<Deno.ChildProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      `--allow-read=${folder}`,
      `--allow-write=${folder}`,
      new URL("testing_holder.ts", import.meta.url).href,
      folder,
    ],
    stderr: "null",
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  assert.equal(new TextDecoder().decode(value), "held\n");
  reader.releaseLock();
  return child;
}

async function end(child: Deno.ChildProcess): Promise<void> {
  await child.stdin.close();
  await child.stdout.cancel();
  await child.status;
}

Deno.test({
  name: "lockFolder makes a folder for its owner alone, and leaves one that is there",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using folder = await tempFolder();
    const made = `${folder.path}/data`;
    for (const mode of [0o700, 0o750]) {
      const lock = await lockFolder(made);
      assert.equal(((await Deno.stat(made)).mode ?? 0) & 0o777, mode);
      lock.release();
      await Deno.chmod(made, 0o750);
    }
  },
});

Deno.test("lockFolder refuses a folder this process holds and says who it is", async () => {
  await using folder = await tempFolder();
  const lock = await lockFolder(`${folder.path}/a/b`);
  await assert.rejects(lockFolder(`${folder.path}/a/b`), (error: unknown) => {
    assert(error instanceof StoreLockedError);
    assert(error instanceof LakeSyncError);
    assert.equal(error.code, "INTERNAL_ERROR");
    assert.match(error.message, new RegExp(`process ${Deno.pid} on \\S+ since`));
    assert.match(error.message, new RegExp(Deno.hostname()));
    assert.match(error.message, /since \d{4}-\d\d-\d\dT/);
    return true;
  });
  lock.release();
  (await lockFolder(`${folder.path}/a/b`)).release();
});

Deno.test("lockFolder refuses a held folder whose file says nothing", async () => {
  await using folder = await tempFolder();
  const lock = await lockFolder(folder.path);
  for (const text of ["", "{", '{"pid":"x"}', "null"]) {
    await Deno.writeTextFile(`${folder.path}/lock`, text);
    await assert.rejects(lockFolder(folder.path), /held by another process/);
  }
  lock.release();
});

Deno.test("lockFolder refuses a folder that another process holds until it is killed", async () => {
  await using folder = await tempFolder();
  const child = await startHolder(folder.path);
  try {
    for (const open of [openSqliteStores, openKvStores]) {
      await assert.rejects(open(folder.path), (error: unknown) => {
        assert(error instanceof StoreLockedError);
        assert.match(
          error.message,
          new RegExp(`process ${child.pid} on unknown since`),
        );
        return true;
      });
    }
  } finally {
    child.kill("SIGKILL");
    await end(child);
  }
  const stores = await openSqliteStores(folder.path);
  const store = await stores.open("default", false);
  assert.equal(await store?.readMeta("by"), "the holder");
  assert.equal(await store?.readMeta("large"), "too");
  await stores.close();
});
