/** Refused writes: undone, reported, kept, issued again; nothing waits for them. */

import assert from "node:assert/strict";
import type { DeadLetter } from "@lakesync/client";
import { synced, until } from "./wait.ts";
import { converged, rowsOf, World } from "./world.ts";

/** What the app believes. */
const OURS = {
  version: 1,
  tables: {
    bills: { primaryKey: ["id"], columns: { id: "string", amount: "string", note: "string" } },
    marks: { primaryKey: ["id"], columns: { id: "string" } },
  },
} as const;

/** What the gateway holds: an amount is a number there. */
const THEIRS = {
  version: 1,
  tables: {
    ...OURS.tables,
    bills: {
      primaryKey: ["id"],
      columns: { ...OURS.tables.bills.columns, amount: "decimal(9,2)" },
    },
  },
} as const;

Deno.test("G6: a refused transaction is undone, reported and kept; the ones behind it go on", async () => {
  await using world = await World.open(THEIRS);
  const client = await world.client("phone", { schema: OURS });
  const letters: DeadLetter[] = [];
  client.onRejected((letter) => letters.push(letter));
  await client.exec("INSERT INTO bills VALUES ('b1', '10.50', 'first')");
  await synced(client);
  client.pause();
  await client.transaction(async (tx) => {
    await tx.exec("UPDATE bills SET amount = 'much', note = 'edited' WHERE id = 'b1'");
    await tx.exec("INSERT INTO bills VALUES ('b2', '1.00', 'beside it')");
  });
  await client.exec("INSERT INTO bills VALUES ('b3', '3.00', 'behind it')");
  await client.exec("UPDATE bills SET note = 'kept' WHERE id = 'b1'");
  client.resume();
  await synced(client);

  assert.deepEqual(await rowsOf(client, "bills"), [
    ["b1", "10.50", "kept"],
    ["b3", "3.00", "behind it"],
  ]);
  const [letter, ...more] = await client.deadLetters();
  assert.equal(more.length, 0);
  assert.deepEqual(letters, [letter]);
  assert.deepEqual(
    [letter?.code, letter?.delta, letter?.mutationId],
    ["VALIDATION_ERROR", 0, 2],
  );
  assert.deepEqual(letter?.changes.map(({ op, rowId, columns }) => [op, rowId, columns]), [
    ["UPDATE", "b1", { amount: "much", note: "edited" }],
    ["INSERT", "b2", { amount: "1.00", note: "beside it" }],
  ]);
  assert.equal(client.status.value.lastError, undefined);

  await client.retry(letter?.id ?? 0, (change) => ({
    ...change,
    columns: change.rowId === "b1" ? { amount: "12.00" } : change.columns,
  }));
  await synced(client);
  assert.deepEqual(await client.deadLetters(), []);
  const other = await world.client("laptop", { schema: OURS });
  await until("the first pull", () => other.status.value.lastCheckpoint !== undefined);
  assert.deepEqual(await converged("bills", [client, other]), [
    ["b1", "12.00", "kept"],
    ["b2", "1.00", "beside it"],
    ["b3", "3.00", "behind it"],
  ]);
});

Deno.test("G6: a refusal is told after a restart too, once", async () => {
  await using world = await World.open(THEIRS);
  const first = await world.client("phone", { schema: OURS });
  await first.exec("INSERT INTO bills VALUES ('b1', 'much', NULL)");
  await until("the refusal", async () => (await first.deadLetters()).length === 1);
  await first.close();
  const second = await world.client("phone", { schema: OURS });
  let told = 0;
  second.onRejected(() => told++);
  await second.exec("INSERT INTO bills VALUES ('b2', '2.00', NULL)");
  await synced(second);
  assert.equal((await second.deadLetters()).length, 1);
  assert.equal(told, 0);
  assert.equal(await second.dismiss((await second.deadLetters())[0]?.id ?? 0), true);
  assert.deepEqual(await second.deadLetters(), []);
});

Deno.test("G6: pulls go on while nothing that is written here can be sent", async () => {
  await using world = await World.open({ ...OURS, version: 1 });
  const wider = {
    version: 2,
    tables: {
      ...OURS.tables,
      marks: { primaryKey: ["id"], columns: { id: "string", color: "string" } },
    },
  } as const;
  const ahead = await world.client("phone", { schema: wider });
  await ahead.exec("INSERT INTO marks VALUES ('m1', 'red')");
  await until("the stop", () => ahead.status.value.lastError?.code === "SCHEMA_AHEAD");
  const other = await world.client("laptop", { schema: OURS });
  for (let i = 0; i < 5; i++) {
    await other.exec("INSERT INTO bills VALUES (?, '1.00', NULL)", [`b${i}`]);
    await until("it is pulled", async () => (await rowsOf(ahead, "bills")).length === i + 1, 2_000);
  }
  assert.equal(ahead.status.value.lastError?.code, "SCHEMA_AHEAD");
  assert.deepEqual(await rowsOf(ahead, "marks"), [["m1", "red"]]);
});

Deno.test("G5: a live query is told once per commit or checkpoint, and only of its tables", async () => {
  await using world = await World.open(OURS);
  const writer = await world.client("writer", { schema: OURS });
  const reader = await world.client("reader", { schema: OURS });
  await until("the first pull", () => reader.status.value.lastCheckpoint !== undefined);
  const seen: number[] = [];
  const query = reader.live("SELECT count(*) AS n FROM bills", [], ([row]) => {
    seen.push(Number(row?.["n"]));
  });
  await query.ready;
  await writer.transaction(async (tx) => {
    for (let i = 0; i < 50; i++) {
      await tx.exec("INSERT INTO bills VALUES (?, NULL, NULL)", [`b${i}`]);
    }
  });
  await until("a transaction of 50", () => seen.length === 2);
  await writer.exec("INSERT INTO marks VALUES ('m1')");
  await until("another table", async () => (await rowsOf(reader, "marks")).length === 1);
  await reader.exec("DELETE FROM bills WHERE id = 'b0'");
  await synced(reader);
  await until("an own commit", () => seen.length >= 3);
  query.close();
  assert.deepEqual(seen.slice(0, 3), [0, 50, 49]);
  assert.ok(seen.slice(3).every((n) => n === 49), seen.join());
  assert.ok(seen.length <= 4, `told ${seen.length} times: ${seen.join()}`);
});
