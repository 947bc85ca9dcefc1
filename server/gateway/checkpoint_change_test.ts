import assert from "node:assert/strict";
import { LakeSyncError } from "@lakesync/core";
import { DEFAULT_RETENTION } from "./environment.ts";
import { CheckpointWorld, NOTES, RULES, user } from "./testing_checkpoint.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

const code = (expected: string) => (error: unknown) =>
  error instanceof LakeSyncError && error.code === expected;

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

Deno.test("G12: each schema version has chunks of its own, under its own names", async () => {
  await using world = await CheckpointWorld.open();
  await world.fill("a", 5);
  await world.join("ann", "a");
  const { columns } = NOTES.tables.notes;
  const { title, ...others } = columns;
  await world.gateway.putSchema({
    version: 2,
    tables: {
      ...NOTES.tables,
      notes: {
        primaryKey: ["id"],
        columns: { ...others, name: { type: title, renamedFrom: "title" } },
      },
    },
  });
  for (const [version, column] of [[1, "title"], [2, "name"], [7, "name"], [0, "name"]] as const) {
    const client = world.client("ann", 1_000, version);
    assert(await client.bootstrap());
    assert.equal(client.rows.get("notes/a-3")?.[column], "a 3");
    await client.pull();
    assert.deepEqual(client.table(), await world.expected("ann", version));
  }
  const manifests = (await world.keys()).filter((key) => key.endsWith("manifest.json"));
  assert.equal(manifests.length, 2);
});

Deno.test("chunks of buckets that edited rules no longer have are deleted", async () => {
  await using world = await CheckpointWorld.open({ keepReplacedMs: 0 });
  await world.fill("a", 5, "ann");
  await world.join("ann", "a");
  const ann = world.client("ann");
  assert(await ann.bootstrap());
  assert.equal(ann.header?.buckets.length, 2);
  const [byList, mine] = RULES.buckets;
  const narrow = { ...byList, tables: [{ table: "notes", key: "list_id", columns: ["title"] }] };
  await world.gateway.putRules({ ...RULES, buckets: [narrow, mine] }, 5_000);
  await ann.pull();
  assert.deepEqual(ann.table(), await world.expected("ann"));
  const again = world.client("ann", 7);
  assert(await again.bootstrap());
  assert.deepEqual(again.rows.get("notes/a-1"), { title: "a 1", owner: "ann" });
  await again.pull();
  assert.deepEqual(again.table(), await world.expected("ann"));
  while ((await world.keys()).filter((key) => key.endsWith("manifest.json")).length > 2) {
    await settled();
  }
});

Deno.test("chunks from before the kept history are built anew, and cursors behind them resynced", async () => {
  const retention = { ...DEFAULT_RETENTION, tombstoneDays: 1 };
  await using world = await CheckpointWorld.open({}, undefined, undefined, { retention });
  await world.fill("a", 6);
  await world.join("ann", "a");
  await world.join("bob", "a");
  const ann = world.client("ann");
  assert(await ann.bootstrap());
  const behind = ann.cursor ?? "";
  await world.write(["DELETE", "notes", "a-3"]);
  const request = { clientId: "ann-1000", schemaVersion: 1, cursor: behind };
  for (let day = 0;; day++) {
    assert(day < 10, "Nothing was forgotten");
    world.fixture.clock.ms += DAY_MS;
    await world.fill(`day${day}`, 1);
    await settled();
    try {
      await world.gateway.pull(user("ann"), request);
    } catch (error) {
      assert(code("RESYNC_REQUIRED")(error), String(error));
      break;
    }
  }
  const bob = world.client("bob");
  assert(await bob.bootstrap());
  await bob.pull();
  assert(!bob.named.has("notes/a-3"));
  assert.deepEqual(bob.table(), await world.expected("bob"));
});

Deno.test("G7: a stream breaks when a table is closed, and its client gets none of it when it resumes", async () => {
  let deny: readonly string[] = [];
  const tablesOf = (id: string) => id === "Notes" ? { deny } : undefined;
  await using world = await CheckpointWorld.open({}, undefined, undefined, { tablesOf });
  await world.fill("a", 12);
  await world.join("ann", "a");
  const ann = world.client("ann");
  ann.onFrame = async () => {
    if (ann.chunks !== 1) return;
    deny = ["notes"];
    await world.gateway.refreshTables(5_000);
  };
  await assert.rejects(ann.bootstrap(), code("BACKPRESSURE"));
  // The one that was at hand when the table was closed, and none after it.
  assert.equal(ann.chunks, 2);
  await ann.bootstrap();
  await ann.pull();
  assert.deepEqual(ann.table(), {});
});

Deno.test("a stream that goes on too long breaks, and goes on when it is resumed", async () => {
  await using world = await CheckpointWorld.open({ maxStreamMs: 1_000 });
  await world.fill("a", 12);
  await world.join("ann", "a");
  const ann = world.client("ann");
  ann.onFrame = () => Promise.resolve(void (world.fixture.clock.ms += 400));
  await assert.rejects(ann.bootstrap(), code("BACKPRESSURE"));
  assert.equal(ann.chunks, 2);
  assert(await ann.bootstrap());
  assert.equal(ann.chunks, 4);
});
