/** Rows that enter, leave and come back, cells that are shown and hidden, while clients are live. */

import assert from "node:assert/strict";
import { idsOf, type ListsClient, ListsWorld } from "./lists_world.ts";
import { synced, until } from "./wait.ts";
import { rowsOf } from "./world.ts";

const SEED = [
  "INSERT INTO lists VALUES ('home', 'Home'), ('work', 'Work')",
  "INSERT INTO members VALUES ('ah', 'home', 'alice')",
  `INSERT INTO todos VALUES ('t1', 'home', 'Milk', 'bob', 'the good one'),
    ('t2', 'home', 'Bread', 'alice', 'rye')`,
];

/** Records what a live query shows, each time it is another. */
async function watch(client: ListsClient, sql: string): Promise<{ seen: string[]; end(): void }> {
  const seen: string[] = [];
  const live = client.live(sql, [], (rows) => {
    const now = rows.map((row) => Object.values(row).join(":")).join();
    if (seen.at(-1) !== now) seen.push(now);
  });
  await live.ready;
  return { seen, end: () => live.close() };
}

Deno.test("G7: a row that moves away from a live client and comes back is sent whole", async () => {
  await using lists = await ListsWorld.open();
  await lists.write(...SEED);
  const alice = await lists.user("alice");
  await until("her todos", async () => await idsOf(alice, "todos") === "t1,t2");
  const { seen, end } = await watch(alice, "SELECT id, title FROM todos WHERE owner = 'bob'");
  for (const turn of [1, 2, 3]) {
    await lists.write("UPDATE todos SET list = 'work' WHERE id = 't1'");
    await until("it is gone", () => seen.at(-1) === "");
    assert.equal(await idsOf(alice, "todos"), "t2");
    await lists.write(`UPDATE todos SET title = 'Milk ${turn}' WHERE id = 't1'`);
    await lists.write("UPDATE todos SET list = 'home' WHERE id = 't1'");
    await until("it is back", () => seen.at(-1) === `t1:Milk ${turn}`);
  }
  // Away and back, or deleted and made again, between two checkpoints.
  alice.pause();
  await lists.write("UPDATE todos SET list = 'work' WHERE id = 't1'");
  await lists.write("UPDATE todos SET list = 'home', title = 'Cream' WHERE id = 't1'");
  await lists.write("DELETE FROM todos WHERE id = 't2'");
  await lists.write("INSERT INTO todos VALUES ('t2', 'home', 'Rolls', 'alice', NULL)");
  alice.resume();
  await until("the last of it", () => seen.at(-1) === "t1:Cream");
  assert.deepEqual(await rowsOf(alice, "todos"), [
    ["t1", "home", "Cream", "bob", null],
    ["t2", "home", "Rolls", "alice", null],
  ]);
  assert.deepEqual((await alice.verify())?.drifts, []);
  end();
});

Deno.test("G7: a row of two buckets loses one, and the cells that this one showed become NULL", async () => {
  await using lists = await ListsWorld.open();
  await lists.write(...SEED);
  const alice = await lists.user("alice");
  await until("her todos", async () => await idsOf(alice, "todos") === "t1,t2");
  const { seen, end } = await watch(alice, "SELECT id, owner, note FROM todos WHERE id = 't2'");
  assert.deepEqual(seen, ["t2:alice:rye"]);
  await lists.write("UPDATE todos SET owner = 'bob' WHERE id = 't2'");
  await until("the note is hidden", () => seen.at(-1) === "t2:bob:");
  assert.equal((await alice.tables.todos.get("t2"))?.note, null);
  await lists.write("UPDATE todos SET note = 'white' WHERE id = 't2'");
  await lists.write("UPDATE todos SET owner = 'alice' WHERE id = 't2'");
  await until("the note is shown", () => seen.at(-1) === "t2:alice:white");

  await lists.write("DELETE FROM members WHERE id = 'ah'");
  await until("the list is lost", async () => await idsOf(alice, "lists") === "");
  assert.deepEqual(await rowsOf(alice, "todos"), [["t2", "home", "Bread", "alice", "white"]]);
  await lists.write("UPDATE todos SET owner = 'bob' WHERE id = 't2'");
  await until("it is lost too", () => seen.at(-1) === "");
  assert.deepEqual(seen, ["t2:alice:rye", "t2:bob:", "t2:alice:white", ""]);
  assert.deepEqual((await alice.verify())?.drifts, []);
  end();
});

Deno.test("G7: a pending write on a cell that is hidden meanwhile stays until it is judged", async () => {
  await using lists = await ListsWorld.open();
  await lists.write(...SEED);
  const alice = await lists.user("alice");
  await until("her todos", async () => await idsOf(alice, "todos") === "t1,t2");
  alice.pause();
  await alice.exec("UPDATE todos SET note = 'wholemeal' WHERE id = 't2'");
  await lists.write("UPDATE todos SET owner = 'bob' WHERE id = 't2'");
  alice.resume();
  await synced(alice);
  await until("hidden", async () => (await alice.tables.todos.get("t2"))?.note === null);
  assert.deepEqual(await alice.deadLetters(), []);
  await until("taken", async () => {
    return (await lists.office.tables.todos.get("t2"))?.note === "wholemeal";
  });
  assert.deepEqual((await alice.verify())?.drifts, []);
});

Deno.test("G7: rows of an upload-only table go once they are uploaded, and nothing comes back", async () => {
  await using lists = await ListsWorld.open();
  const alice = await lists.user("alice");
  const other = await lists.user("laptop", { sub: "alice" });
  const insert = async (from: number, to: number) => {
    await alice.transaction(async (tx) => {
      for (let i = from; i < to; i++) {
        await tx.exec("INSERT INTO events VALUES (?, 'opened')", [`e${i}`]);
      }
    });
  };
  const entriesBefore = (await lists.world.stats()).log.entries;
  await insert(0, 50);
  await synced(alice);
  await until("uploaded ones are gone", async () => (await rowsOf(alice, "events")).length === 0);
  alice.pause();
  await insert(50, 60);
  assert.equal((await rowsOf(alice, "events")).length, 10);
  await alice.close();

  const again = await lists.user("alice", { autoStart: false });
  assert.equal((await rowsOf(again, "events")).length, 10);
  again.resume();
  await synced(again);
  await until("these are gone too", async () => (await rowsOf(again, "events")).length === 0);
  await again.exec("INSERT INTO lists VALUES ('mark', 'the last commit')");
  await again.exec("INSERT INTO members VALUES ('mark', 'mark', 'alice')");
  await until("the last commit", async () => await idsOf(other, "lists") === "mark");
  assert.deepEqual([await rowsOf(other, "events"), await rowsOf(lists.office, "events")], [[], []]);
  const { log, tables } = await lists.world.stats();
  // One entry for each transaction: two of events, two others.
  assert.equal(log.entries - entriesBefore, 4);
  assert.equal(tables["events"]?.rows ?? 0, 0);
  assert.deepEqual(await again.deadLetters(), []);
});
