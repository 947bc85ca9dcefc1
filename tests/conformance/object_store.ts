/**
 * What every object store does.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import type { ByteRange, ObjectStore } from "@lakesync/adapters/object-store";

/** Opens an empty store for a test and closes it. */
export type WithObjects = (test: (objects: ObjectStore) => Promise<void>) => Promise<void>;

/** How much is tried. */
export interface ObjectStoreOptions {
  readonly ignore: boolean;
  /** Sequences of calls. */
  readonly runs: number;
  /** Objects in a long list. */
  readonly many: number;
}

const AT_ONCE = 50;
const RACERS = 20;
const ROUNDS = 10;
const MIB = 1024 * 1024;
/** Clocks of file systems are coarse, and object storages tell whole seconds. */
const CLOCK_MS = 2_000;

const segment = "x".repeat(255);
const LONGEST = `${segment}/${segment}/${segment}/${"y".repeat(800 - 3 * 256)}`;
/** Keys that are close to each other, and at the edges of what a key may be. */
const KEYS = [
  "a/1",
  "a/2",
  "a/b/1",
  "a-b/1",
  "a/b-1",
  "ab/1",
  "c",
  "_",
  "@",
  "d/e=1/f+g,@.x",
  "e/x..y./-/=,+",
  LONGEST,
];
const FOLDERS = ["", "a", "a/b", "d", "d/e=1", "c", "nothing"];
const NO_KEYS = [
  "",
  "/a",
  "a/",
  "a//b",
  "../a",
  "a/../b",
  ".x",
  "a/.x",
  "a\\b",
  "a b",
  "a\0",
  "ä",
  `a/${segment}x`,
  `${LONGEST}y`,
];
const NO_RANGES: readonly ByteRange[] = [
  { start: 0.5 },
  { start: NaN },
  { start: 0, length: -1 },
  { start: 0, length: 1.5 },
  { start: -Infinity },
];

type Step =
  | { readonly call: "put" | "create"; readonly key: string; readonly bytes: Uint8Array }
  | { readonly call: "delete"; readonly keys: readonly string[] }
  | { readonly call: "get"; readonly key: string; readonly range: ByteRange };

const key = fc.constantFrom(...KEYS);
const content = fc.uint8Array({ maxLength: 20 });
const range: fc.Arbitrary<ByteRange> = fc.record(
  { start: fc.integer({ min: -25, max: 25 }), length: fc.integer({ min: 0, max: 25 }) },
  { requiredKeys: ["start"] },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ call: fc.constantFrom("put" as const, "create" as const), key, bytes: content }),
  fc.record({ call: fc.constant("delete" as const), keys: fc.array(key, { maxLength: 3 }) }),
  fc.record({ call: fc.constant("get" as const), key, range }),
);

/** What a range is of an array, told in other words than the port's. */
function part(bytes: Uint8Array | undefined, { start, length }: ByteRange) {
  const rest = bytes?.slice(start);
  return length === undefined ? rest : rest?.slice(0, length);
}

async function listed(objects: ObjectStore, folder: string): Promise<[string, number][]> {
  const heads = await Array.fromAsync(objects.listObjects(folder));
  return heads.map(({ key, bytes }): [string, number] => [key, bytes]).sort();
}

async function play(
  objects: ObjectStore,
  model: Map<string, Uint8Array>,
  step: Step,
): Promise<void> {
  switch (step.call) {
    case "put":
      await objects.putObject(step.key, step.bytes);
      model.set(step.key, step.bytes);
      break;
    case "create":
      assert.equal(await objects.createObject(step.key, step.bytes), !model.has(step.key));
      if (!model.has(step.key)) model.set(step.key, step.bytes);
      break;
    case "delete": {
      const [only] = step.keys;
      if (only !== undefined && step.keys.length === 1) await objects.deleteObject(only);
      else await objects.deleteObjects(step.keys);
      for (const key of step.keys) model.delete(key);
      break;
    }
    case "get":
      assert.deepEqual(
        await objects.getObject(step.key, step.range),
        part(model.get(step.key), step.range),
      );
  }
}

/** Makes calls, some at once, and waits for all. */
async function some<T>(count: number, call: (n: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let from = 0; from < count; from += AT_ONCE) {
    const length = Math.min(AT_ONCE, count - from);
    results.push(...await Promise.all(Array.from({ length }, (_, n) => call(from + n))));
  }
  return results;
}

function isSame(read: Uint8Array | undefined, expected: Uint8Array): boolean {
  return read !== undefined && Buffer.compare(read, expected) === 0;
}

/** Bytes that differ everywhere, the same for the same seed. */
function noise(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 | 0;
    return state >>> 24;
  });
}

/**
 * Registers the tests that every object store passes.
 *
 * @param kind what it is
 * @param withObjects opens one
 * @param options how much is tried
 */
export function objectStoreConformance(
  kind: string,
  withObjects: WithObjects,
  { ignore, runs, many }: ObjectStoreOptions,
): void {
  const test = (name: string, run: (objects: ObjectStore) => Promise<void>) =>
    Deno.test({ name: `objects ${name} (${kind})`, ignore, fn: () => withObjects(run) });

  test("equal a map after any calls", async (objects) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const model = new Map<string, Uint8Array>();
        for (const step of steps) await play(objects, model, step);
        for (const key of KEYS) {
          assert.deepEqual(await objects.getObject(key), model.get(key));
          assert.equal((await objects.headObject(key))?.bytes, model.get(key)?.length);
        }
        const all = [...model].map(([key, { length }]): [string, number] => [key, length]).sort();
        for (const folder of FOLDERS) {
          const below = all.filter(([key]) => folder === "" || key.startsWith(`${folder}/`));
          assert.deepEqual(await listed(objects, folder), below);
        }
        await objects.deleteObjects([...model.keys(), "missing/x"]);
        assert.deepEqual(await listed(objects, ""), []);
      }),
      { numRuns: runs },
    );
  });

  test("are not where a key or a range is none", async (objects) => {
    const bytes = new Uint8Array(1);
    for (const key of NO_KEYS) {
      await assert.rejects(objects.putObject(key, bytes), TypeError);
      await assert.rejects(objects.createObject(key, bytes), TypeError);
      await assert.rejects(objects.getObject(key), TypeError);
      await assert.rejects(objects.headObject(key), TypeError);
      await assert.rejects(objects.deleteObject(key), TypeError);
      await assert.rejects(objects.deleteObjects(["fine", key]), TypeError);
      if (key !== "") await assert.rejects(listed(objects, key), TypeError);
    }
    for (const range of NO_RANGES) await assert.rejects(objects.getObject("a", range), TypeError);
  });

  test("are read in part", async (objects) => {
    for (const length of [0, 1, 10]) {
      const bytes = noise(length, 2);
      await objects.putObject("a", bytes);
      for (const start of [-12, -10, -9, -1, -0, 1, 9, 10, 12]) {
        for (const length of [undefined, 0, 1, 5, 9, 10, 20]) {
          const range = length === undefined ? { start } : { start, length };
          assert.deepEqual(await objects.getObject("a", range), part(bytes, range));
          assert.equal(await objects.getObject("b", range), undefined);
        }
      }
    }
  });

  test("are told apart from their folders", async (objects) => {
    await objects.putObject("a/b/c", new Uint8Array(1));
    for (const folder of ["a", "a/b"]) {
      assert.equal(await objects.getObject(folder), undefined);
      assert.equal(await objects.getObject(folder, { start: 0, length: 1 }), undefined);
      assert.equal(await objects.headObject(folder), undefined);
      await objects.deleteObject(folder);
      await objects.deleteObjects([folder]);
    }
    assert.deepEqual(await listed(objects, ""), [["a/b/c", 1]]);
  });

  test("do not change through the bytes that were given or read", async (objects) => {
    for (const [key, call] of [["a", "putObject"], ["b", "createObject"]] as const) {
      const given = Uint8Array.of(1, 2, 3);
      await objects[call](key, given);
      given[0] = 9;
      const read = await objects.getObject(key);
      assert.deepEqual(read, Uint8Array.of(1, 2, 3));
      read?.fill(7);
      (await objects.getObject(key, { start: 1 }))?.fill(7);
      assert.deepEqual(await objects.getObject(key), Uint8Array.of(1, 2, 3));
    }
  });

  test("may be a view of larger memory", async (objects) => {
    const memory = noise(100, 1);
    await objects.putObject("a", memory.subarray(10, 20));
    assert.equal(await objects.createObject("b", memory.subarray(90)), true);
    assert.deepEqual(await objects.getObject("a"), memory.slice(10, 20));
    assert.deepEqual(await objects.getObject("b"), memory.slice(90));
  });

  test("are created by one of many", async (objects) => {
    for (let round = 0; round < ROUNDS; round++) {
      const key = `race/${round}`;
      const created = await Promise.all(
        Array.from(
          { length: RACERS },
          (_, racer) => objects.createObject(key, Uint8Array.of(round, racer)),
        ),
      );
      assert.equal(created.filter(Boolean).length, 1);
      const winner = created.indexOf(true);
      assert.deepEqual(await objects.getObject(key), Uint8Array.of(round, winner));
      assert.equal(await objects.createObject(key, Uint8Array.of(99)), false);
      await objects.deleteObject(key);
      assert.equal(await objects.createObject(key, Uint8Array.of(99)), true);
    }
  });

  test("say when they were kept", async (objects) => {
    const before = Date.now() - CLOCK_MS;
    await objects.putObject("a", new Uint8Array(1));
    await objects.createObject("b", new Uint8Array(1));
    const after = Date.now() + CLOCK_MS;
    const heads = await Array.fromAsync(objects.listObjects(""));
    assert.equal(heads.length, 2);
    for (const head of heads) {
      assert(before <= head.modifiedMs && head.modifiedMs <= after);
      assert.deepEqual(await objects.headObject(head.key), head);
    }
  });

  test("are listed and deleted by thousands", async (objects) => {
    const keys = Array.from({ length: many }, (_, n) => `many/${n % 7}/${n}`);
    await some(many, async (n) => {
      await objects.putObject(keys[n] ?? "", new Uint8Array(n % 3));
    });
    await objects.putObject("stays", new Uint8Array());
    const expected = keys.map((key, n): [string, number] => [key, n % 3]).sort();
    assert.deepEqual(await listed(objects, "many"), expected);
    const third = expected.filter(([key]) => key.startsWith("many/3/"));
    assert.deepEqual(await listed(objects, "many/3"), third);
    for await (const { key } of objects.listObjects("many")) {
      assert(key.startsWith("many/"));
      break;
    }
    await objects.deleteObjects([...keys, ...keys.slice(0, 10), "many/none"]);
    assert.deepEqual(await listed(objects, ""), [["stays", 0]]);
  });

  test("of many megabytes are kept whole and read in parts", async (objects) => {
    const large = noise(13 * MIB + 7, 3);
    await objects.putObject("large", large);
    assert.deepEqual(await objects.headObject("large").then((head) => head?.bytes), large.length);
    assert(isSame(await objects.getObject("large"), large));
    for (const start of [0, 5 * MIB - 3, 10 * MIB - 1, -4, large.length - 2, large.length]) {
      const range = { start, length: 9 };
      assert.deepEqual(await objects.getObject("large", range), part(large, range));
    }
    const created = noise(7 * MIB, 4);
    assert.equal(await objects.createObject("created", created), true);
    assert.equal(await objects.createObject("created", large), false);
    assert(isSame(await objects.getObject("created"), created));
    await objects.putObject("large", Uint8Array.of(1));
    assert.deepEqual(await objects.getObject("large"), Uint8Array.of(1));
  });

  test("are replaced whole", async (objects) => {
    const size = 200_000;
    await objects.putObject("a", new Uint8Array(size));
    let writing = true;
    const write = async () => {
      for (let n = 1; n <= 20; n++) await objects.putObject("a", new Uint8Array(size).fill(n));
      writing = false;
    };
    const read = async () => {
      while (writing) {
        const bytes = await objects.getObject("a");
        assert.equal(bytes?.length, size);
        assert(bytes?.every((byte) => byte === bytes[0]));
      }
    };
    await Promise.all([write(), read()]);
  });
}
