import assert from "node:assert/strict";
import fc from "fast-check";
import { openFileObjects } from "./fs.ts";
import { memoryObjects } from "./memory.ts";
import type { ObjectStore } from "./object_store.ts";

const bytes = (...numbers: number[]) => new Uint8Array(numbers);

async function listed(objects: ObjectStore, folder: string): Promise<[string, number][]> {
  const heads = await Array.fromAsync(objects.listObjects(folder));
  return heads.map(({ key, bytes }): [string, number] => [key, bytes]).sort();
}

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const kinds: readonly [string, (test: (objects: ObjectStore) => Promise<void>) => Promise<void>][] =
  [
    ["memory", (test) => test(memoryObjects())],
    ["fs", (test) => withFolder(async (folder) => test(await openFileObjects(folder)))],
  ];

for (const [kind, withObjects] of kinds) {
  Deno.test(`${kind}: objects equal a map after any puts and deletes`, () =>
    withObjects(async (objects) => {
      const key = fc.constantFrom("a/1", "a/2", "a/b/1", "c", "d/e=1/f+g,@.x");
      const step = fc.record({
        key,
        content: fc.option(fc.uint8Array({ maxLength: 20 }), { nil: undefined }),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
          const model = new Map<string, Uint8Array>();
          for (const { key, content } of steps) {
            if (content === undefined) {
              await objects.deleteObject(key);
              model.delete(key);
            } else {
              await objects.putObject(key, content);
              model.set(key, content);
            }
          }
          for (const key of ["a/1", "a/2", "a/b/1", "c", "d/e=1/f+g,@.x"]) {
            assert.deepEqual(await objects.getObject(key), model.get(key));
            assert.equal((await objects.headObject(key))?.bytes, model.get(key)?.length);
          }
          const expected = [...model].map(([key, { length }]): [string, number] => [key, length]);
          assert.deepEqual(await listed(objects, ""), expected.sort());
          assert.deepEqual(
            await listed(objects, "a"),
            expected.filter(([key]) => key.startsWith("a/")).sort(),
          );
          await objects.deleteObjects([...model.keys(), "missing/x"]);
          assert.deepEqual(await listed(objects, ""), []);
        }),
        { numRuns: kind === "fs" ? 15 : 100 },
      );
    }));

  Deno.test(`${kind}: keys that lead elsewhere are refused by every method`, () =>
    withObjects(async (objects) => {
      const bad = ["", "/a", "a/", "a//b", "../a", "a/../b", ".x", "a/.x", "a\\b", "a b", "a\0"];
      for (const key of [...bad, "x".repeat(1025)]) {
        await assert.rejects(objects.putObject(key, bytes(1)), TypeError);
        await assert.rejects(objects.getObject(key), TypeError);
        await assert.rejects(objects.headObject(key), TypeError);
        await assert.rejects(objects.deleteObject(key), TypeError);
        await assert.rejects(objects.deleteObjects(["fine", key]), TypeError);
        if (key !== "") await assert.rejects(listed(objects, key), TypeError);
      }
    }));

  Deno.test(`${kind}: an object is not changed through the bytes that were given or read`, () =>
    withObjects(async (objects) => {
      const given = bytes(1, 2, 3);
      await objects.putObject("a", given);
      given[0] = 9;
      const read = await objects.getObject("a");
      assert.deepEqual(read, bytes(1, 2, 3));
      read?.fill(7);
      assert.deepEqual(await objects.getObject("a"), bytes(1, 2, 3));
    }));
}

Deno.test("fs: a put that fails leaves the object before it, and no other file", () =>
  withFolder(async (folder) => {
    const objects = await openFileObjects(folder);
    await objects.putObject("a/b", bytes(1));
    await assert.rejects(objects.putObject("a", bytes(2)));
    assert.deepEqual(await objects.getObject("a/b"), bytes(1));
    assert.deepEqual([...Deno.readDirSync(`${folder}/.unfinished`)], []);
  }));

Deno.test("fs: what was not finished is gone after the next opening, what was is there", () =>
  withFolder(async (folder) => {
    await (await openFileObjects(folder)).putObject("a/b", bytes(1));
    Deno.writeFileSync(`${folder}/.unfinished/half`, bytes(1, 2));
    const objects = await openFileObjects(folder);
    assert.deepEqual(await listed(objects, ""), [["a/b", 1]]);
    assert.deepEqual([...Deno.readDirSync(`${folder}/.unfinished`)], []);
  }));

Deno.test("fs: readers see an object before or after it is replaced, never a part", () =>
  withFolder(async (folder) => {
    const objects = await openFileObjects(folder);
    const size = 200_000;
    await objects.putObject("a", new Uint8Array(size).fill(0));
    let writing = true;
    const write = (async () => {
      for (let i = 1; i <= 20; i++) await objects.putObject("a", new Uint8Array(size).fill(i));
      writing = false;
    })();
    while (writing) {
      const read = await objects.getObject("a");
      assert.equal(read?.length, size);
      assert(read?.every((byte) => byte === read[0]));
    }
    await write;
  }));
