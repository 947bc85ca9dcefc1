import assert from "node:assert/strict";
import { CheckpointWorld } from "./testing_checkpoint.ts";

Deno.test("G7: a row that came and went between two pages, while access was revoked, is not named", async () => {
  await using world = await CheckpointWorld.open();
  await world.join("ann", "l1");
  await world.fill("l1", 10);
  const ann = world.client("ann", 3);
  assert.equal((await ann.page()).complete, false);
  await world.write(["DELETE", "members", "ann/l1"]);
  await world.write(["INSERT", "notes", "secret", { list_id: "l1" }]);
  await world.write(["UPDATE", "notes", "secret", { list_id: "l2" }]);
  await world.write(["INSERT", "members", "again", { list_id: "l1", user_id: "ann" }]);
  // Pages that are read after it left must not take it for one that they may have brought.
  assert.equal((await ann.page()).complete, false);
  await ann.pull();
  assert.equal(ann.named.has("notes/secret"), false);
  assert.deepEqual(ann.table(), await world.expected("ann"));
});

Deno.test("G7: a row that one page brought is taken back by a later one, however many were between", async () => {
  await using world = await CheckpointWorld.open();
  await world.join("ann", "l1");
  await world.fill("l1", 200);
  const ann = world.client("ann", 1);
  const [first] = (await ann.page()).changes;
  const id = first?.rowId ?? "";
  await world.write(["UPDATE", "notes", id, { list_id: "l2" }]);
  for (let i = 0; i < 80; i++) {
    await world.write(["UPDATE", "notes", "l1-199", { title: `${i}` }]);
    await ann.page();
  }
  await ann.pull();
  assert.equal(ann.rows.has(`notes/${id}`), false);
  assert.deepEqual(ann.table(), await world.expected("ann"));
});

Deno.test("G4: a client of long ago gets every cell of a row that came and went often since", async () => {
  await using world = await CheckpointWorld.open();
  await world.join("ann", "l1");
  await world.write(["INSERT", "notes", "n1", { title: "old", list_id: "l1" }]);
  await world.write(["UPDATE", "notes", "n1", { list_id: "l2" }]);
  const ann = world.client("ann");
  await ann.pull();
  assert.deepEqual(ann.table(), {});
  for (let i = 0; i < 12; i++) {
    await world.write(["UPDATE", "notes", "n1", { list_id: "l2" }]);
    await world.write(["UPDATE", "notes", "n1", { list_id: "l1" }]);
    const late = world.client("ann");
    late.cursor = ann.cursor;
    await late.pull();
    assert.deepEqual(late.table(), { "notes/n1": { list_id: "l1", title: "old" } }, `after ${i}`);
  }
});
