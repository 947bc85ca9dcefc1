import assert from "node:assert/strict";
import { memoryObjects } from "@lakesync/adapters";
import { LakeSyncError } from "@lakesync/core";
import { memoryStores } from "../store/memory.ts";
import type { Store, StoreCounters, StoreFactory } from "../store/store.ts";
import { BackedUpStores } from "../store/testing_backups.ts";
import { CheckpointWorld } from "./testing_checkpoint.ts";

/** Stores in memory that outlive the gateways they are opened for, with their counters. */
function keptStores(
  shared = false,
): { readonly factory: StoreFactory; readonly counters: () => StoreCounters } {
  const inner = memoryStores();
  const opened = new Map<string, Store>();
  const factory: StoreFactory = {
    kind: "memory",
    list: () => inner.list(),
    open: async (gatewayId, create) => {
      const store = opened.get(gatewayId) ?? await inner.open(gatewayId, create);
      if (store === undefined) return undefined;
      opened.set(gatewayId, store);
      return new Proxy(store, {
        get: (target, name) => {
          if (name === "close") return () => Promise.resolve();
          if (name === "capabilities") return { ...target.capabilities, shared };
          const value = Reflect.get(target, name, target);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    },
    close: () => Promise.resolve(),
  };
  const counters = () => opened.get("Notes")?.counters ?? { statements: 0, rowsRead: 0 };
  return { factory, counters };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

Deno.test("ten clients at once cost the reads of one, a later one reads no row", async () => {
  const { factory, counters } = keptStores();
  await using world = await CheckpointWorld.open({}, factory);
  await world.fill("a", 1_000);
  await world.fill("b", 1_000);
  const subs = Array.from({ length: 10 }, (_, i) => `user-${i}`);
  for (const sub of subs) for (const list of ["a", "b"]) await world.join(sub, list);
  await world.join("one", "a");
  await world.join("later", "b");
  const cost = async (work: () => Promise<unknown>) => {
    const before = counters().rowsRead;
    await work();
    return counters().rowsRead - before;
  };
  const one = await cost(() => world.client("one").bootstrap());
  assert(one >= 1_000 && one < 1_050, `${one} rows`);
  const ten = await cost(() =>
    Promise.all(subs.map(async (sub) => {
      const client = world.client(sub);
      assert(await client.bootstrap());
      assert.equal(client.rows.size, 2_000);
    }))
  );
  assert(ten < 1_150, `${ten} rows for bucket b by ten`);
  const later = await cost(() => world.client("later").bootstrap());
  assert(later < 10, `${later} rows`);
});

Deno.test("a restarted gateway goes on with the chunks, and cleans them of what left since", async () => {
  const { factory, counters } = keptStores();
  const objects = memoryObjects();
  {
    await using world = await CheckpointWorld.open({}, factory, objects);
    await world.fill("a", 300);
    await world.join("ann", "a");
    assert(await world.client("ann").bootstrap());
  }
  await objects.putObject("+notes/checkpoints/half/0.0.gz", new Uint8Array(3));
  await objects.putObject("other/checkpoints/half/0.0.gz", new Uint8Array(3));
  await using world = await CheckpointWorld.open({}, factory, objects);
  world.fixture.clock.ms += 1_000_000;
  await world.write(["DELETE", "notes", "a-5"]);
  await world.join("bob", "a");
  const before = counters().rowsRead;
  const bob = world.client("bob");
  assert(await bob.bootstrap());
  assert(counters().rowsRead - before < 20);
  assert.equal(bob.rows.size, 299);
  assert(!bob.named.has("notes/a-5"));
  await bob.pull();
  assert.deepEqual(bob.table(), await world.expected("bob"));
  const keys = await world.keys();
  assert(!keys.includes("+notes/checkpoints/half/0.0.gz"));
  assert(keys.includes("other/checkpoints/half/0.0.gz"));
  // The chunk of a-5 was written anew, and the one before it is gone.
  assert.equal(keys.filter((key) => key.endsWith(".1.gz")).length, 1);
  assert.equal(keys.filter((key) => key.endsWith(".gz")).length, 100 + 1);
});

Deno.test("G7: two processes with one snapshot never serve what the other one wrote anew", async () => {
  const { factory } = keptStores(true);
  const objects = memoryObjects();
  const revisions = async () => {
    const chunks = await Array.fromAsync(objects.listObjects("+notes/checkpoints"));
    return chunks.flatMap(({ key }) => /\/0\.(\d+)\.gz$/.exec(key)?.[1] ?? []);
  };
  await using one = await CheckpointWorld.open({ staleShare: 9 }, factory, objects);
  await one.fill("a", 9);
  for (const sub of ["ann", "bob", "cyd", "dan"]) await one.join(sub, "a");
  assert(await one.client("ann").bootstrap());
  assert.deepEqual(await revisions(), ["0"]);
  await using other = await CheckpointWorld.open({ staleShare: 9 }, factory, objects);
  assert(await other.client("bob").bootstrap());
  const seen = new Set(await revisions());
  for (const [row, world] of [["a-0", one], ["a-1", other]] as const) {
    await one.write(["DELETE", "notes", row]);
    const client = world.client(row === "a-0" ? "cyd" : "dan");
    // What one of them deletes the other one misses, and builds anew.
    let tries = 0;
    while (!await client.bootstrap().catch(() => false)) assert(++tries < 5);
    assert(!client.named.has(`notes/${row}`));
    const revised = (await revisions()).filter((revision) => !seen.has(revision));
    for (const revision of revised) assert(Number(revision) > 1_000, revision);
    for (const revision of revised) seen.add(revision);
    await client.pull();
    assert.deepEqual(client.table(), await world.expected("dan"));
  }
});

Deno.test("chunks of another life of the data are not taken up", async () => {
  const objects = memoryObjects();
  for (let life = 0; life < 2; life++) {
    await using world = await CheckpointWorld.open({}, memoryStores(), objects);
    await world.fill("a", life === 0 ? 9 : 6);
    await world.join("ann", "a");
    const ann = world.client("ann");
    assert(await ann.bootstrap());
    assert.equal(ann.rows.size, life === 0 ? 9 : 6);
    assert.equal((await world.keys()).filter((key) => key.endsWith(".gz")).length, 3 - life);
  }
});

Deno.test("G7: chunks of commits that a restored history does not have yet are not taken up", async () => {
  const { factory } = keptStores();
  const objects = memoryObjects();
  for (const process of [1, 2]) {
    await using world = await CheckpointWorld.open({}, factory, objects);
    if (process === 1) {
      await world.fill("a", 9);
      await world.join("ann", "a");
    }
    const before = await world.keys();
    assert(await world.client("ann").bootstrap());
    const after = await world.keys();
    if (process === 2) {
      assert(before.length > 0 && before.every((key) => !after.includes(key)), "taken up");
      continue;
    }
    for (const key of after.filter((key) => key.endsWith(".json"))) {
      const bytes = await objects.getObject(key);
      const manifest = JSON.parse(new TextDecoder().decode(bytes));
      const ahead = { ...manifest, cleanThrough: manifest.cleanThrough + 9 };
      await objects.putObject(key, new TextEncoder().encode(JSON.stringify(ahead)));
    }
  }
});

Deno.test("G4 G13: a row that chunks lack because it left is not lost with what took it away", async () => {
  const stores = new BackedUpStores();
  const objects = memoryObjects();
  const open = () => CheckpointWorld.open({}, stores.open(), objects);
  let world = await open();
  try {
    await world.fill("a", 9);
    for (const sub of ["ann", "bob"]) await world.join(sub, "a");
    const [ann, bob] = [world.client("ann"), world.client("bob")];
    assert(await bob.bootstrap());
    const backup = stores.backup();
    ann.onFrame = async (number) => {
      if (number !== 1) return;
      await world.write(["UPDATE", "notes", "a-8", { list_id: "elsewhere" }]);
      assert(await bob.bootstrap());
    };
    assert(await ann.bootstrap());
    assert(!ann.rows.has("notes/a-8"));
    await world[Symbol.asyncDispose]();
    stores.restore(backup);
    world = await open();
    for (const client of [ann, bob]) client.gateway = world.gateway;
    for (const client of [ann, bob]) {
      await assert.rejects(
        client.page(),
        (error) => error instanceof LakeSyncError && error.code === "RESYNC_REQUIRED",
      );
    }
    const later = world.client("bob", 7);
    assert(await later.bootstrap());
    assert(later.rows.has("notes/a-8"));
  } finally {
    await world[Symbol.asyncDispose]();
  }
});

Deno.test("a snapshot of which a tenth has changed is replaced, and kept for a while to resume", async () => {
  await using world = await CheckpointWorld.open({ keepReplacedMs: 60_000 });
  await world.fill("a", 30);
  await world.join("ann", "a");
  const manifests = async () =>
    (await world.keys()).filter((key) => key.endsWith("manifest.json")).length;
  const ann = world.client("ann");
  assert.equal(await ann.bootstrap(2), false);
  const first = ann.etag;
  while (await manifests() < 1) await settled();
  for (let i = 0; i < 4; i++) await world.write(["UPDATE", "notes", `a-${i}`, { n: 100 + i }]);
  assert(await world.client("ann", 7).bootstrap());
  while (await manifests() < 2) await settled();
  await settled();
  const bob = world.client("ann", 8);
  await bob.bootstrap();
  assert.equal((await bob.pull()).length, 0);
  assert.equal(ann.etag, first);
  assert(await ann.bootstrap());
  assert.equal(ann.chunks, 10);
  await ann.pull();
  assert.deepEqual(ann.table(), await world.expected("ann"));
  // What is replaced goes when its time is over, with the next stream that ends.
  world.fixture.clock.ms += 61_000;
  assert(await world.client("ann", 9).bootstrap());
  assert.equal(await manifests(), 1);
  assert.equal((await world.keys()).filter((key) => key.endsWith(".gz")).length, 10);
});

Deno.test("a build that fails ends its streams, leaves nothing, and the next one succeeds", async () => {
  const objects = memoryObjects();
  const { putObject } = objects;
  let failing = true;
  objects.putObject = async (key, bytes) => {
    if (failing && key.endsWith("/2.0.gz")) throw new Error("The disk is full");
    await putObject.call(objects, key, bytes);
  };
  await using world = await CheckpointWorld.open({}, undefined, objects);
  await world.fill("a", 12);
  await world.join("ann", "a");
  const ann = world.client("ann");
  await assert.rejects(ann.bootstrap(), /disk is full/);
  while ((await world.keys()).length > 0) await settled();
  failing = false;
  assert(await ann.bootstrap());
  await ann.pull();
  assert.deepEqual(ann.table(), await world.expected("ann"));
});

Deno.test("objects that were deleted are noticed, and built again for the next client", async () => {
  await using world = await CheckpointWorld.open();
  await world.fill("a", 12);
  await world.join("ann", "a");
  assert(await world.client("ann").bootstrap());
  for (const kind of [".gz", ".index"]) {
    await world.objects.deleteObjects((await world.keys()).filter((key) => key.endsWith(kind)));
    await world.write(["DELETE", "notes", kind === ".gz" ? "a-1" : "a-2"]);
    await assert.rejects(world.client("ann").bootstrap(), /are missing/);
    const ann = world.client("ann");
    assert(await ann.bootstrap());
    await ann.pull();
    assert.deepEqual(ann.table(), await world.expected("ann"));
  }
});

Deno.test("only so many builds run at once", async () => {
  const objects = memoryObjects();
  const { putObject } = objects;
  let running = 0;
  let most = 0;
  objects.putObject = async (key, bytes) => {
    if (!key.endsWith("/0.0.gz")) return await putObject.call(objects, key, bytes);
    most = Math.max(most, ++running);
    await settled();
    await putObject.call(objects, key, bytes);
    running--;
  };
  await using world = await CheckpointWorld.open({}, undefined, objects);
  for (const list of ["a", "b", "c", "d", "e"]) {
    await world.fill(list, 5);
    await world.join("ann", list);
  }
  const ann = world.client("ann");
  assert(await ann.bootstrap());
  assert.equal(most, 2);
  assert.deepEqual(ann.places, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
});

Deno.test("a gateway that closes ends what is built", async () => {
  const objects = memoryObjects();
  const reached = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const { putObject } = objects;
  objects.putObject = async (key, bytes) => {
    reached.resolve();
    await held.promise;
    await putObject.call(objects, key, bytes);
  };
  const world = await CheckpointWorld.open({}, undefined, objects);
  await world.fill("a", 12);
  await world.join("ann", "a");
  const stream = assert.rejects(world.client("ann").bootstrap(), /closing/);
  await reached.promise;
  const closing = world[Symbol.asyncDispose]();
  await stream;
  held.resolve();
  await closing;
  assert.deepEqual(await world.keys(), []);
});
