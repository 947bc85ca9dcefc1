import assert from "node:assert/strict";
import { openFileObjects } from "./fs.ts";
import type { ObjectStore } from "./object_store.ts";

const bytes = (...numbers: number[]) => new Uint8Array(numbers);

function fsTest(name: string, test: (folder: string) => Promise<void>): void {
  Deno.test(`openFileObjects ${name}`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      await test(folder);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

async function keys(objects: ObjectStore): Promise<string[]> {
  return (await Array.fromAsync(objects.listObjects(""))).map(({ key }) => key).sort();
}

function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

fsTest("makes the folder and those it is in", async (folder) => {
  const objects = await openFileObjects(`${folder}/x/y`);
  await objects.putObject("a", bytes(1));
  assert.deepEqual(filesIn(`${folder}/x/y`), [".unfinished", "a"]);
});

fsTest("leaves no file when a put or a create fails", async (folder) => {
  const objects = await openFileObjects(folder);
  await objects.putObject("a/b", bytes(1));
  for (const key of ["a", "a/b/c"]) {
    await assert.rejects(objects.putObject(key, bytes(2)));
    await assert.rejects(objects.createObject(key, bytes(2)));
  }
  assert.deepEqual(await objects.getObject("a/b"), bytes(1));
  assert.deepEqual(filesIn(`${folder}/.unfinished`), []);
});

fsTest("leaves no file when there is an object already", async (folder) => {
  const objects = await openFileObjects(folder);
  await objects.putObject("a", bytes(1));
  assert.equal(await objects.createObject("a", bytes(2)), false);
  assert.deepEqual(filesIn(`${folder}/.unfinished`), []);
});

fsTest("does not list files that are no objects", async (folder) => {
  const objects = await openFileObjects(folder);
  await objects.putObject("a/b", bytes(1));
  Deno.writeFileSync(`${folder}/a/.hidden`, bytes(1));
  Deno.writeFileSync(`${folder}/a/with space`, bytes(1));
  Deno.mkdirSync(`${folder}/with space`);
  Deno.writeFileSync(`${folder}/with space/c`, bytes(1));
  assert.deepEqual(await keys(objects), ["a/b"]);
});

fsTest("removes folders that have become empty, and makes them again", async (folder) => {
  const objects = await openFileObjects(folder);
  await objects.putObject("a/b/c/d", bytes(1));
  await objects.putObject("a/e", bytes(1));
  await objects.deleteObject("a/b/c/d");
  assert.deepEqual(filesIn(`${folder}/a`), ["e"]);
  await objects.deleteObjects(["a/e"]);
  assert.deepEqual(filesIn(folder), [".unfinished"]);
  const calls = Array.from({ length: 200 }, (_, n) => async () => {
    const key = `a/b/${n % 3}`;
    if (n % 2 === 0) await objects.createObject(key, bytes(n));
    else await objects.deleteObject(key);
  });
  await Promise.all(calls.map((call) => call()));
});
