/** Apps of several schema versions side by side, under rules, while the schema moves on. */

import assert from "node:assert/strict";
import { defineRules } from "@lakesync/core";
import { synced, until } from "./wait.ts";
import { rowsOf, World } from "./world.ts";

const V1 = {
  version: 1,
  tables: {
    todos: { primaryKey: ["id"], columns: { id: "string", owner: "string", title: "string" } },
  },
} as const;
const V2 = {
  version: 2,
  tables: {
    todos: { primaryKey: ["id"], columns: { ...V1.tables.todos.columns, due: "string" } },
  },
} as const;
const V3 = {
  version: 3,
  tables: {
    tasks: {
      primaryKey: ["id"],
      renamedFrom: "todos",
      columns: {
        id: "string",
        user: { type: "string", renamedFrom: "owner" },
        heading: { type: "string", renamedFrom: "title" },
        due: "string",
      },
    },
  },
} as const;

const RULES = defineRules(V1, {
  buckets: [{
    name: "mine",
    tables: ["todos"],
    filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
  }],
  write: [{
    tables: ["todos"],
    ops: ["INSERT", "UPDATE", "DELETE"],
    filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
  }],
});

interface Verifies {
  verify(): Promise<
    | { readonly buckets: number; readonly rows: number; readonly drifts: readonly unknown[] }
    | undefined
  >;
}

async function agree(rows: number, ...clients: readonly Verifies[]): Promise<void> {
  for (const client of clients) {
    assert.deepEqual(await client.verify(), { buckets: 1, rows, drifts: [] });
  }
}

Deno.test("G9 G12: an old app and new ones agree with the gateway while columns come and are renamed", async () => {
  await using world = await World.open(V1);
  await world.putRules(RULES);
  const old = await world.client("old", { schema: V1 });
  const stranger = await world.client("stranger", { schema: V1, sub: "bob" });
  await stranger.exec("INSERT INTO todos VALUES ('b1', 'bob', 'not hers')");
  await old.exec("INSERT INTO todos VALUES ('t1', 'alice', 'Milk'), ('t2', 'alice', 'Bread')");
  await Promise.all([synced(old), synced(stranger)]);
  await agree(2, old);
  const checkpoint = old.status.value.lastCheckpoint?.seq;

  await world.putSchema(V2);
  const middle = await world.client("middle", { schema: V2 });
  await until("the rows", async () => (await rowsOf(middle, "todos")).length === 2);
  await middle.exec("UPDATE todos SET due = 'today' WHERE id = 't1'");
  await old.exec("UPDATE todos SET title = 'Oat milk' WHERE id = 't1'");
  await Promise.all([synced(old), synced(middle)]);
  await until("both cells", async () => {
    const [row] = await rowsOf(middle, "todos");
    return JSON.stringify(row) === '["t1","alice","Oat milk","today"]';
  });
  await until("the old one knows", () => {
    return (old.status.value.lastCheckpoint?.seq ?? 0) >= (checkpoint ?? 0) + 2;
  });
  await agree(2, old, middle);

  await world.putSchema(V3);
  const next = await world.client("new", { schema: V3 });
  await until("the rows", async () => (await rowsOf(next, "tasks")).length === 2);
  await agree(2, old, middle, next);
  await next.exec("UPDATE tasks SET heading = 'Rye', due = 'now' WHERE id = 't2'");
  await old.exec("INSERT INTO todos VALUES ('t3', 'alice', 'Eggs')");
  await middle.exec("UPDATE todos SET title = 'Soy milk', due = NULL WHERE id = 't1'");
  await next.exec("INSERT INTO tasks VALUES ('b2', 'bob', 'theirs', NULL)");
  await Promise.all([synced(old), synced(middle), synced(next)]);
  assert.deepEqual((await next.deadLetters()).map(({ code }) => code), ["FORBIDDEN_WRITE"]);
  const expected = [
    ["t1", "alice", "Soy milk", null],
    ["t2", "alice", "Rye", "now"],
    ["t3", "alice", "Eggs", null],
  ];
  await until("the newest app", async () => {
    return JSON.stringify(await rowsOf(next, "tasks")) === JSON.stringify(expected);
  });
  await until("the one before", async () => {
    return JSON.stringify(await rowsOf(middle, "todos")) === JSON.stringify(expected);
  });
  await until("the oldest app", async () => {
    const rows = expected.map((row) => row.slice(0, 3));
    return JSON.stringify(await rowsOf(old, "todos")) === JSON.stringify(rows);
  });
  await agree(3, old, middle, next);
  const { rules } = await world.rules();
  assert.deepEqual(rules.buckets[0], {
    name: "mine",
    tables: ["tasks"],
    filters: [{ column: "user", op: "eq", value: "jwt:sub" }],
  });

  // The oldest app's device gets the newest app.
  old.pause();
  await old.exec("UPDATE todos SET title = 'Brown eggs' WHERE id = 't3'");
  await old.close();
  const upgraded = await world.client("old", { schema: V3 });
  await synced(upgraded);
  await until("all cells", async () => {
    return (await upgraded.tables.tasks.get("t2"))?.due === "now";
  });
  assert.deepEqual(await rowsOf(upgraded, "tasks"), [
    ["t1", "alice", "Soy milk", null],
    ["t2", "alice", "Rye", "now"],
    ["t3", "alice", "Brown eggs", null],
  ]);
  await until("everywhere", async () => {
    return (await middle.tables.todos.get("t3"))?.title === "Brown eggs";
  });
  await agree(3, upgraded, middle, next);
  assert.deepEqual([upgraded, middle, next].map((client) => client.status.value.repairs), [
    0,
    0,
    0,
  ]);
  assert.deepEqual(await rowsOf(stranger, "todos"), [["b1", "bob", "not hers"]]);
});
