import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFileObjects } from "./fs.ts";
import { refusal } from "./fs_folders.ts";
import { ObjectStoreError } from "./object_store.ts";

Deno.test("openFileObjects removes what nobody finishes, and leaves what another is writing", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lakesync-objects-"));
  try {
    const key = "a";
    await (await openFileObjects(folder)).putObject(key, new Uint8Array(1));
    const unfinished = join(folder, ".unfinished");
    await writeFile(join(unfinished, "young"), "a");
    await writeFile(join(unfinished, "old"), "a");
    const then = new Date(Date.now() - 2 * 3_600_000);
    await utimes(join(unfinished, "old"), then, then);
    await (await openFileObjects(folder)).putObject(key, new Uint8Array(1));
    assert.deepEqual(await readdir(unfinished), ["young"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

Deno.test("openFileObjects makes no folder before an object, whatever is asked or deleted", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lakesync-objects-"));
  try {
    const objects = await openFileObjects(join(folder, "none"));
    assert.equal(await objects.getObject("a/b"), undefined);
    assert.equal(await objects.headObject("a/b"), undefined);
    assert.deepEqual(await Array.fromAsync(objects.listObjects("")), []);
    await objects.deleteObject("a/b");
    await objects.deleteObjects(["a/b", "c"]);
    assert.deepEqual(await readdir(folder), []);
    await objects.putObject("a/b", new Uint8Array(1));
    assert.deepEqual(await readdir(join(folder, "none")), [".unfinished", "a"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

Deno.test("openFileObjects is refused where it may not write, and says what to do", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lakesync-objects-"));
  const isRefused = (message: RegExp) => (error: unknown) => {
    assert.ok(error instanceof ObjectStoreError);
    assert.equal(error.failure, "refused");
    assert.match(error.message, message);
    return true;
  };
  try {
    await writeFile(join(folder, "file"), "");
    for (const path of ["file", "file/lake"]) {
      const objects = await openFileObjects(join(folder, path));
      const put = objects.putObject("a", new Uint8Array(1));
      const told = isRefused(/file.* is no folder, or is in what is none but a file/);
      await assert.rejects(put, told);
      await assert.rejects(objects.getObject("a"), told);
      await assert.rejects(Array.fromAsync(objects.listObjects("")), told);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  for (const code of ["EACCES", "EPERM", "EROFS"]) {
    const error = Object.assign(new Error(code), { code });
    const told = refusal("/nowhere/lake", error, "written");
    const message = new RegExp(
      `^The folder /nowhere/lake cannot be written \\(${code}\\), give this`,
    );
    assert.ok(isRefused(message)(told));
  }
  const full = Object.assign(new Error("full"), { code: "ENOSPC" });
  assert.equal(refusal("/nowhere/lake", full, "written"), full);
});

Deno.test({
  name: "openFileObjects is refused where the process was not given the right to write",
  permissions: { read: true, env: true, sys: true },
  fn: async () => {
    const objects = await openFileObjects("/nowhere/lake");
    assert.equal(await objects.getObject("a"), undefined);
    const put = objects.putObject("a", new Uint8Array(1));
    await assert.rejects(put, /^ObjectStoreError: The folder \/nowhere\/lake cannot be written/);
  },
});
