/** Clients and gateways of different schema versions. */

import assert from "node:assert/strict";
import { statusOf, synced, until } from "./wait.ts";
import { converged, rowsOf, World } from "./world.ts";

const V1 = {
  version: 1,
  tables: { notes: { primaryKey: ["id"], columns: { id: "string", title: "string" } } },
} as const;
const V2 = {
  version: 2,
  tables: { notes: { primaryKey: ["id"], columns: { ...V1.tables.notes.columns, due: "string" } } },
} as const;

Deno.test("G12: a client ahead of the gateway says so, pulls on, and heals by itself", async () => {
  await using world = await World.open(V1);
  const old = await world.client("old", { schema: V1 });
  const ahead = await world.client("ahead", { schema: V2 });
  await ahead.exec("INSERT INTO notes VALUES ('n1', 'ahead', 'today')");
  await statusOf(ahead, ({ lastError }) => lastError?.code === "SCHEMA_AHEAD");
  await old.exec("INSERT INTO notes VALUES ('n2', 'old')");
  await until("pulls go on", async () => (await rowsOf(ahead, "notes")).length === 2);
  const { state, pending, lastError } = ahead.status.value;
  assert.deepEqual([state, pending, lastError?.code], ["live", 1, "SCHEMA_AHEAD"]);

  await world.putSchema(V2);
  await synced(ahead, 10_000);
  await statusOf(ahead, ({ lastError }) => lastError === undefined);
  await until("the old one has it", async () => (await rowsOf(old, "notes")).length === 2);
  assert.deepEqual(await rowsOf(old, "notes"), [["n1", "ahead"], ["n2", "old"]]);
  await old.exec("UPDATE notes SET title = 'still here' WHERE id = 'n1'");
  await synced(old);
  await until("both edits", async () => (await ahead.tables.notes.get("n1"))?.title !== "ahead");
  assert.deepEqual(await rowsOf(ahead, "notes"), [
    ["n1", "still here", "today"],
    ["n2", "old", null],
  ]);
});

Deno.test("G4 G12: an upgraded client gets the cells its new column had before", async () => {
  await using world = await World.open(V1);
  await world.putSchema(V2);
  const writer = await world.client("writer", { schema: V2 });
  const before = await world.client("phone", { schema: V1 });
  await writer.exec("INSERT INTO notes VALUES ('n1', 'title', 'tomorrow'), ('n2', 'other', NULL)");
  await until("the rows", async () => (await rowsOf(before, "notes")).length === 2);
  before.pause();
  await before.exec("UPDATE notes SET title = 'offline' WHERE id = 'n1'");
  await before.close();

  const after = await world.client("phone", { schema: V2 });
  await synced(after);
  await until("the old cell", async () => (await after.tables.notes.get("n1"))?.due === "tomorrow");
  assert.deepEqual(await converged("notes", [after, writer]), [
    ["n1", "offline", "tomorrow"],
    ["n2", "other", null],
  ]);
});
