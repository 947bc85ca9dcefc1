/** Memberships that are given and taken while there are writes on their way. */

import assert from "node:assert/strict";
import type { DeadLetter } from "@lakesync/client";
import { idsOf, type ListsClient, ListsWorld } from "./lists_world.ts";
import { Proxy } from "./proxy.ts";
import { statusOf, synced, until } from "./wait.ts";
import { rowsOf } from "./world.ts";

const SEED = [
  "INSERT INTO lists VALUES ('home', 'Home'), ('work', 'Work')",
  "INSERT INTO members VALUES ('ah', 'home', 'alice'), ('aw', 'work', 'alice')",
  "INSERT INTO members VALUES ('bh', 'home', 'bob')",
  `INSERT INTO todos VALUES ('t1', 'home', 'Milk', 'bob', 'the good one'),
    ('t2', 'home', 'Bread', 'bob', NULL), ('t3', 'work', 'Report', 'bob', NULL)`,
];

/** Three transactions: two on rows of the list that will be lost, one behind them that is not. */
async function writeThree(alice: ListsClient): Promise<void> {
  await alice.exec("UPDATE todos SET title = 'Oat milk' WHERE id = 't1'");
  await alice.transaction(async (tx) => {
    await tx.exec("INSERT INTO todos VALUES ('t4', 'home', 'Eggs', 'bob', NULL)");
    await tx.exec("UPDATE todos SET title = 'Annual report' WHERE id = 't3'");
  });
  await alice.exec("INSERT INTO todos VALUES ('t5', 'work', 'Taxes', 'alice', 'behind')");
}

const lettersOf = (letters: readonly DeadLetter[]) =>
  letters.map(({ code, mutationId, changes }) => [
    code,
    mutationId,
    changes.map(({ op, table, rowId }) => `${op} ${table} ${rowId}`).join(),
  ]);

const REFUSED = [
  ["FORBIDDEN_WRITE", 1, "UPDATE todos t1"],
  ["FORBIDDEN_WRITE", 2, "INSERT todos t4,UPDATE todos t3"],
];

async function open(lists: ListsWorld, url: string): Promise<ListsClient> {
  await lists.write(...SEED);
  const alice = await lists.user("alice", { url });
  await statusOf(alice, ({ state, lastCheckpoint }) => {
    return state === "live" && lastCheckpoint !== undefined;
  });
  await until("her todos", async () => await idsOf(alice, "todos") === "t1,t2,t3");
  assert.deepEqual(await rowsOf(alice, "lists"), [["home", "Home"], ["work", "Work"]]);
  return alice;
}

/** What holds after the writes on rows that were lost were refused. */
async function checkLost(alice: ListsClient, lists: ListsWorld): Promise<void> {
  await synced(alice);
  assert.deepEqual(lettersOf(await alice.deadLetters()), REFUSED);
  assert.deepEqual(await rowsOf(alice, "todos"), [
    ["t3", "work", "Report", "bob", null],
    ["t5", "work", "Taxes", "alice", "behind"],
  ]);
  assert.deepEqual([await idsOf(alice, "lists"), await idsOf(alice, "members")], ["work", "aw"]);
  assert.equal(alice.status.value.lastError, undefined);
  assert.deepEqual((await alice.verify())?.drifts, []);
  await until("behind", async () => await idsOf(lists.office, "todos") === "t1,t2,t3,t5");
  assert.deepEqual(await lists.office.tables.todos.get("t1"), {
    id: "t1",
    list: "home",
    title: "Milk",
    owner: "bob",
    note: "the good one",
  });
}

Deno.test("G6 G7 G8: writes that wait on rows a lost membership showed are refused, undone and kept", async () => {
  await using lists = await ListsWorld.open();
  await using proxy = new Proxy(() => lists.world.server.url);
  const alice = await open(lists, proxy.url);
  const told: DeadLetter[] = [];
  alice.onRejected((letter) => told.push(letter));
  proxy.treat = ({ kind }) => kind === "push" ? "refuse" : "pass";
  await writeThree(alice);
  await lists.write("DELETE FROM members WHERE id = 'ah'");
  await until("the membership goes", async () => await idsOf(alice, "members") === "aw");
  assert.equal((await idsOf(alice, "todos")).includes("t2"), false);
  assert.equal(await alice.pendingCount(), 3);

  proxy.treat = () => "pass";
  await checkLost(alice, lists);
  assert.deepEqual(lettersOf(told), REFUSED);
  await alice.exec("UPDATE todos SET title = 'goes on' WHERE id = 't5'");
  await synced(alice);
});

Deno.test("G6 G7 G8: a membership that is lost while the client is offline with pending writes", async () => {
  await using lists = await ListsWorld.open();
  const alice = await open(lists, lists.world.server.url);
  alice.pause();
  await writeThree(alice);
  await lists.write("DELETE FROM members WHERE id = 'ah'");
  assert.equal(await idsOf(alice, "todos"), "t1,t2,t3,t4,t5");
  alice.resume();
  await checkLost(alice, lists);

  await lists.write("INSERT INTO members VALUES ('ah2', 'home', 'alice')");
  await until("the rows come back", async () => await idsOf(alice, "todos") === "t1,t2,t3,t5");
  for (const { id } of await alice.deadLetters()) await alice.retry(id);
  await synced(alice);
  assert.deepEqual(await alice.deadLetters(), []);
  await until("written again", async () => await idsOf(lists.office, "todos") === "t1,t2,t3,t4,t5");
  assert.equal((await lists.office.tables.todos.get("t1"))?.title, "Oat milk");
});

Deno.test("G6 G8: a membership that is given back before the client is online costs it nothing", async () => {
  await using lists = await ListsWorld.open();
  const alice = await open(lists, lists.world.server.url);
  alice.pause();
  await writeThree(alice);
  await lists.write("DELETE FROM members WHERE id = 'ah'");
  await lists.write("UPDATE todos SET title = 'Rye bread' WHERE id = 't2'");
  await lists.write("INSERT INTO members VALUES ('ah2', 'home', 'alice')");
  alice.resume();
  await synced(alice);
  assert.deepEqual(await alice.deadLetters(), []);
  await until("all of it", async () => await idsOf(alice, "members") === "ah2,aw");
  assert.deepEqual(await rowsOf(alice, "todos"), [
    ["t1", "home", "Oat milk", "bob", null],
    ["t2", "home", "Rye bread", "bob", null],
    ["t3", "work", "Annual report", "bob", null],
    ["t4", "home", "Eggs", "bob", null],
    ["t5", "work", "Taxes", "alice", "behind"],
  ]);
  assert.deepEqual((await alice.verify())?.drifts, []);
  await until("elsewhere", async () => await idsOf(lists.office, "todos") === "t1,t2,t3,t4,t5");
});

Deno.test("G5 G8: a list, its members and its rows, made offline, reach the other member at once", async () => {
  await using lists = await ListsWorld.open();
  const bob = await lists.user("bob");
  const seen: string[] = [];
  const live = bob.live(
    `SELECT (SELECT count(*) FROM lists) AS lists, (SELECT count(*) FROM members) AS members,
      (SELECT count(*) FROM todos) AS todos`,
    [],
    ([row]) => {
      const counts = Object.values(row ?? {}).join();
      if (seen.at(-1) !== counts) seen.push(counts);
    },
  );
  await live.ready;
  await statusOf(bob, ({ state, lastCheckpoint }) => {
    return state === "live" && lastCheckpoint !== undefined;
  });
  const alice = await lists.user("alice");
  await statusOf(alice, ({ state, lastCheckpoint }) => {
    return state === "live" && lastCheckpoint !== undefined;
  });
  alice.pause();
  await alice.transaction(async (tx) => {
    await tx.exec("INSERT INTO lists VALUES ('trip', 'Trip')");
    await tx.exec("INSERT INTO members VALUES ('at', 'trip', 'alice'), ('bt', 'trip', 'bob')");
    for (let i = 0; i < 20; i++) {
      await tx.exec("INSERT INTO todos VALUES (?, 'trip', 'Pack', NULL, NULL)", [`p${i}`]);
    }
  });
  alice.resume();
  await synced(alice);
  assert.deepEqual(await alice.deadLetters(), []);
  assert.equal((await rowsOf(alice, "todos")).length, 20);
  await until("the other member", () => seen.at(-1) === "1,1,20");
  assert.deepEqual(seen, ["0,0,0", "1,1,20"]);
  live.close();
});
