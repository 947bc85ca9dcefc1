/** Devices whose clocks are wrong. */

import assert from "node:assert/strict";
import { synced, until } from "./wait.ts";
import { converged, rowsOf, World } from "./world.ts";

const HOUR_MS = 60 * 60 * 1000;

for (const [name, offMs] of [["ahead", HOUR_MS], ["behind", -HOUR_MS]] as const) {
  Deno.test(`G3: a clock an hour ${name} is mended without the app noticing`, async () => {
    await using world = await World.open();
    const right = await world.notes("right");
    const wrong = await world.notes("wrong", {
      autoStart: false,
      environment: { now: () => Date.now() + offMs },
    });
    await right.exec("INSERT INTO notes VALUES ('n1', 'right', NULL)");
    await synced(right);
    await wrong.exec("INSERT INTO marks VALUES (1, 'offline, with the wrong clock')");
    await wrong.exec("UPDATE marks SET text = 'twice' WHERE id = 1");
    wrong.resume();
    await synced(wrong);
    assert.equal(wrong.status.value.lastError, undefined);
    assert.deepEqual(await wrong.deadLetters(), []);
    await until("the row", async () => (await rowsOf(wrong, "notes")).length === 1);
    await wrong.exec("UPDATE notes SET title = 'wrong, later' WHERE id = 'n1'");
    await synced(wrong);
    await until("it won", async () => {
      return (await right.tables.notes.get("n1"))?.title === "wrong, later";
    });
    await right.exec("UPDATE notes SET title = 'right, later' WHERE id = 'n1'");
    await right.exec("UPDATE marks SET text = 'right' WHERE id = 1");
    await synced(right);
    await until("it won", async () => {
      return (await wrong.tables.notes.get("n1"))?.title === "right, later";
    });
    assert.deepEqual(await converged("marks", [right, wrong]), [[1, "right"]]);
    assert.equal((await world.stats()).log.entries, 6);
  });
}

Deno.test("G3: a clock that was set right between two starts is believed again", async () => {
  await using world = await World.open();
  const wrong = await world.notes("phone", { environment: { now: () => Date.now() - HOUR_MS } });
  await wrong.exec("INSERT INTO marks VALUES (1, 'an hour behind')");
  await synced(wrong);
  await wrong.close();
  const right = await world.notes("phone");
  await right.exec("INSERT INTO marks VALUES (2, 'set right')");
  await synced(right);
  assert.equal(right.status.value.lastError, undefined);
  const other = await world.notes("laptop");
  await until("the rows", async () => (await rowsOf(other, "marks")).length === 2);
  await other.exec("UPDATE marks SET text = 'later' WHERE id = 2");
  await synced(other);
  assert.deepEqual(await converged("marks", [right, other]), [[1, "an hour behind"], [2, "later"]]);
});

Deno.test("G3: an edit made after seeing another one wins over it, even with a slow clock", async () => {
  await using world = await World.open();
  const fast = await world.notes("fast");
  let lateMs = 0;
  const slow = await world.notes("slow", { environment: { now: () => Date.now() - lateMs } });
  await fast.exec("INSERT INTO marks VALUES (1, 'first')");
  await until("the row", async () => (await rowsOf(slow, "marks")).length === 1);
  slow.pause();
  lateMs = HOUR_MS;
  await slow.exec("UPDATE marks SET text = 'seen, then edited' WHERE id = 1");
  slow.resume();
  await synced(slow);
  await until("it won", async () => {
    return (await fast.tables.marks.get(1))?.text === "seen, then edited";
  });
  assert.deepEqual(await converged("marks", [fast, slow]), [[1, "seen, then edited"]]);
});
