import assert from "node:assert/strict";
import { LakeSyncError } from "@lakesync/core";
import { openFixture } from "./testing_fixture.ts";
import { CheckpointWorld, user } from "./testing_checkpoint.ts";

const code = (expected: string) => (error: unknown) =>
  error instanceof LakeSyncError && error.code === expected;

Deno.test("checkpoint streams a bucket in chunks, and the tail completes it", async () => {
  await using world = await CheckpointWorld.open();
  await world.fill("a", 10);
  await world.fill("small", 2);
  await world.join("ann", "a");
  await world.join("ann", "small");
  const ann = world.client("ann");
  assert(await ann.bootstrap());
  assert.deepEqual(ann.header?.buckets, ['by_list["a"]']);
  assert.equal(ann.header?.totalRows, 10);
  assert.deepEqual(ann.places, [0, 0, 0, 0]);
  assert.equal(ann.rows.size, 10);
  assert.deepEqual(ann.rows.get("notes/a-7"), { title: "a 7", list_id: "a", n: 7 });
  const tail = await ann.pull();
  assert.deepEqual(tail.map(({ rowId }) => rowId).sort(), ["small-0", "small-1"]);
  assert.deepEqual(tail[0]?.shape.buckets, [1]);
  assert.deepEqual(ann.table(), await world.expected("ann"));
  assert.deepEqual(
    ann.last?.checkpoint?.buckets.map(({ id, rows }) => [id, rows]),
    [['by_list["a"]', 10], ['by_list["small"]', 2]],
  );
});

Deno.test("checkpoint without a large bucket, a schema or a house ends without a cursor", async () => {
  await using world = await CheckpointWorld.open();
  await world.fill("a", 3);
  await world.join("ann", "a");
  const ann = world.client("ann");
  assert(await ann.bootstrap());
  assert.deepEqual([ann.cursor, ann.chunks, ann.header?.buckets], [undefined, 0, []]);
  assert.deepEqual(await world.keys(), []);
  await using bare = await openFixture();
  const empty = await bare.gateways.create("empty");
  for (const gateway of [bare.gateway, empty]) {
    const request = { clientId: "c", schemaVersion: 0 };
    const { frames, totalRows } = await gateway.checkpoint(user("ann"), request);
    assert.equal((await Array.fromAsync(frames)).length, 2);
    assert.equal(totalRows, 0);
  }
});

Deno.test("checkpoint refuses what pull refuses", async () => {
  await using world = await CheckpointWorld.open();
  await world.fill("a", 5);
  const { gateway } = world;
  const request = { clientId: "c", schemaVersion: 1 };
  const transactions = [{ mutationId: 1, deltas: [] }];
  await gateway.push(user("bob"), { clientId: "bobs", schemaVersion: 1, transactions });
  await assert.rejects(
    gateway.checkpoint(user("ann"), { ...request, clientId: "bobs" }),
    code("CLIENT_NOT_YOURS"),
  );
  await assert.rejects(
    gateway.checkpoint(user("ann"), { ...request, clientId: "?" }),
    code("VALIDATION_ERROR"),
  );
  await gateway.close();
  await assert.rejects(gateway.checkpoint(user("ann"), request), code("DRAINING"));
});

Deno.test("G7: a row that left before the grant is neither in a chunk nor named by the tail", async () => {
  await using world = await CheckpointWorld.open();
  await world.fill("a", 12);
  await world.join("ann", "a");
  assert(await world.client("ann").bootstrap());
  await world.write(["UPDATE", "notes", "a-4", { list_id: "b" }]);
  await world.write(["DELETE", "notes", "a-9"]);
  await world.write(["DELETE", "notes", "a-10"]);
  await world.write(["INSERT", "notes", "a-10", { list_id: "a", title: "again" }]);
  await world.join("bob", "a");
  const bob = world.client("bob");
  assert(await bob.bootstrap());
  assert.deepEqual(
    [...bob.named].sort(),
    [0, 1, 10, 11, 2, 3, 5, 6, 7, 8].map((n) => `notes/a-${n}`),
  );
  await bob.pull();
  assert.equal(bob.named.has("notes/a-4") || bob.named.has("notes/a-9"), false);
  assert.deepEqual(bob.rows.get("notes/a-10"), { title: "again", list_id: "a", n: null });
  assert.deepEqual(bob.table(), await world.expected("bob"));
});

Deno.test("G7: a chunk that is built after its row was read and left is clean for who comes then", async () => {
  const held = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  await using world = await CheckpointWorld.open();
  const { putObject } = world.objects;
  let puts = 0;
  world.objects.putObject = async (key, bytes) => {
    if (key.endsWith(".0.gz") && ++puts === 2) {
      reached.resolve();
      await held.promise;
    }
    await putObject.call(world.objects, key, bytes);
  };
  await world.fill("a", 9);
  await world.join("ann", "a");
  const ann = world.client("ann");
  const first = ann.bootstrap();
  await reached.promise;
  await world.write(["UPDATE", "notes", "a-1", { list_id: "b" }]);
  await world.write(["UPDATE", "notes", "a-4", { list_id: "b" }]);
  await world.write(["UPDATE", "notes", "a-8", { list_id: "b" }]);
  await world.join("bob", "a");
  const bob = world.client("bob");
  const cleaned = Promise.withResolvers<void>();
  bob.onFrame = () => Promise.resolve(cleaned.resolve());
  const second = bob.bootstrap();
  await cleaned.promise;
  held.resolve();
  assert(await first);
  assert(await second);
  assert.equal(puts, 3);
  await ann.pull();
  await bob.pull();
  for (const gone of [1, 4, 8]) assert.equal(bob.named.has(`notes/a-${gone}`), false);
  assert.deepEqual(ann.table(), await world.expected("ann"));
  assert.deepEqual(bob.table(), await world.expected("bob"));
});

Deno.test("G4: buckets of different snapshots and projections lose no cell between them", async () => {
  await using world = await CheckpointWorld.open();
  await world.fill("other", 1, "ann");
  await world.fill("a", 6, "ann");
  await world.join("ann", "a");
  await world.join("bob", "a");
  // The list's snapshot is older than the change, that of ann's own notes is newer.
  assert(await world.client("bob").bootstrap());
  await world.write(["UPDATE", "notes", "a-3", { n: 333 }]);
  const ann = world.client("ann");
  assert(await ann.bootstrap());
  assert.deepEqual(ann.header?.buckets, ['mine["ann"]', 'by_list["a"]']);
  assert.equal(ann.chunks, 5);
  const tail = await ann.pull();
  assert.deepEqual(tail.map(({ rowId }) => rowId), ["a-3"]);
  assert.equal(ann.rows.get("notes/a-3")?.["n"], 333);
  assert.deepEqual(ann.table(), await world.expected("ann"));
});

Deno.test("G7: a grant that was lost after the chunks takes their rows away, one that came brings its own", async () => {
  await using world = await CheckpointWorld.open();
  await world.fill("a", 8);
  await world.fill("b", 8);
  await world.join("ann", "a");
  const ann = world.client("ann", 3);
  assert(await ann.bootstrap());
  await world.write(["DELETE", "members", "ann/a"]);
  await world.join("ann", "b");
  await ann.pull();
  assert.deepEqual(ann.table(), await world.expected("ann"));
  assert.equal(ann.rows.size, 8);
});

Deno.test("a stream that broke goes on, though rows left meanwhile that it has brought", async () => {
  await using world = await CheckpointWorld.open();
  await world.fill("a", 20);
  await world.join("ann", "a");
  const ann = world.client("ann");
  assert.equal(await ann.bootstrap(3), false);
  await world.write(["DELETE", "notes", "a-2"]);
  await world.write(["DELETE", "notes", "a-17"]);
  await world.join("bob", "a");
  const bob = world.client("bob");
  assert(await bob.bootstrap());
  assert.equal(await ann.bootstrap(2), false);
  assert.equal(ann.chunks, 5);
  assert(await ann.bootstrap());
  assert.equal(ann.chunks, 7);
  assert(ann.rows.has("notes/a-2"));
  assert(!ann.rows.has("notes/a-17"));
  await ann.pull();
  assert.deepEqual(ann.table(), await world.expected("ann"));
});

Deno.test("a stream that broke begins anew when its bucket is lost or its etag is another's", async () => {
  await using world = await CheckpointWorld.open();
  await world.fill("a", 8);
  await world.fill("b", 8);
  await world.join("ann", "a");
  const ann = world.client("ann");
  assert.equal(await ann.bootstrap(1), false);
  await world.write(["DELETE", "members", "ann/a"]);
  await world.join("ann", "b");
  assert(await ann.bootstrap());
  assert.deepEqual([...ann.rows.keys()].every((key) => key.startsWith("notes/b-")), true);
  for (const etag of ['"W10"', '"eHg"', '"W1s5LCJ4Iiw1XV0"', "x", '"###"']) {
    const request = { clientId: "ann-1", schemaVersion: 1, etag, fromChunk: 1 };
    const { resumed } = await world.gateway.checkpoint(user("ann"), request);
    assert.equal(resumed, false);
  }
});

Deno.test("the etag stays while nothing leaves, and is another when something has", async () => {
  await using world = await CheckpointWorld.open();
  await world.fill("a", 30);
  await world.join("ann", "a");
  const request = { clientId: "c", schemaVersion: 1 };
  const etag = async () => (await world.gateway.checkpoint(user("ann"), request)).etag;
  assert(await world.client("ann").bootstrap());
  const before = await etag();
  await world.write(["UPDATE", "notes", "a-1", { n: 1000 }]);
  assert.equal(await etag(), before);
  await world.write(["DELETE", "notes", "a-1"]);
  assert.notEqual(await etag(), before);
});

Deno.test("a build ends with the rows of its beginning, however much is written meanwhile", async () => {
  await using world = await CheckpointWorld.open({ chunkRows: 500 });
  const { putObject } = world.objects;
  let more = 10_000;
  world.objects.putObject = async (key, bytes) => {
    if (key.endsWith(".gz") && more < 10_050) {
      await world.write(["UPDATE", "notes", `a-${2_000 + (more % 10)}`, { n: more }]);
      await world.write(["INSERT", "notes", `a-${more++}`, { list_id: "a" }]);
    }
    await putObject.call(world.objects, key, bytes);
  };
  await world.fill("a", 2_100);
  await world.join("ann", "a");
  const ann = world.client("ann");
  assert(await ann.bootstrap());
  assert(more <= 10_005, `${more} chunks`);
  assert.deepEqual([...ann.named].filter((key) => /-1\d{4}$/.test(key)), []);
  assert.equal(ann.rows.size, 2_100 - (more - 10_000) + 1);
  await ann.pull();
  assert.deepEqual(ann.table(), await world.expected("ann"));
});
