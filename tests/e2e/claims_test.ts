/** Claims that come and go while a client is away or live. */

import assert from "node:assert/strict";
import { encodeClientFrame } from "@lakesync/core";
import { idsOf, LISTS, type ListsClient, ListsWorld } from "./lists_world.ts";
import { Proxy } from "./proxy.ts";
import { statusOf, synced, until } from "./wait.ts";
import { type Claims, expiringToken, rowsOf } from "./world.ts";

const SEED = [
  "INSERT INTO docs VALUES ('a1', 'acme', 'Plan'), ('a2', 'acme', 'Budget')",
  "INSERT INTO docs VALUES ('i1', 'initech', 'Report'), ('u1', 'umbrella', 'Secret')",
];

async function holds(client: ListsClient, ids: string): Promise<void> {
  await until(`the documents ${ids}`, async () => await idsOf(client, "docs") === ids);
  assert.deepEqual((await client.verify())?.drifts, []);
}

Deno.test("G7: a claim that is gone when the client comes back takes its rows along", async () => {
  await using lists = await ListsWorld.open();
  await lists.write(...SEED);
  const before = await lists.user("alice", { claims: { orgs: ["acme", "initech"] } });
  await holds(before, "a1,a2,i1");
  before.pause();
  await before.exec("UPDATE docs SET title = 'mine now' WHERE id = 'i1'");
  await before.exec("UPDATE docs SET title = 'still mine' WHERE id = 'a1'");
  await before.close();

  const after = await lists.user("alice", { claims: { orgs: "acme" } });
  await synced(after);
  assert.deepEqual(
    (await after.deadLetters()).map(({ code, changes }) => [
      code,
      changes.map(({ rowId }) => rowId).join(),
    ]),
    [["FORBIDDEN_WRITE", "i1"]],
  );
  await holds(after, "a1,a2");
  assert.equal((await after.tables.docs.get("a1"))?.title, "still mine");
  await after.close();

  const without = await lists.user("alice");
  await holds(without, "");
  assert.equal((await lists.office.tables.docs.get("i1"))?.title, "Report");
});

Deno.test("G7: an array claim that shrinks and grows takes and brings exactly its rows", async () => {
  await using lists = await ListsWorld.open();
  await lists.write(...SEED);
  const claims: Claims = { orgs: ["acme", "initech"] };
  const alice = await lists.user("alice", { claims });
  await holds(alice, "a1,a2,i1");
  for (
    const [orgs, ids] of [
      [["acme"], "a1,a2"],
      [[], ""],
      [["umbrella", "initech"], "i1,u1"],
      [["initech", "umbrella", "acme", "acme"], "a1,a2,i1,u1"],
      [["nobody"], ""],
      [["acme"], "a1,a2"],
    ] as const
  ) {
    alice.pause();
    claims["orgs"] = orgs;
    await lists.write(`UPDATE docs SET title = title || '!' WHERE org = 'acme'`);
    alice.resume();
    await holds(alice, ids);
  }
  assert.deepEqual(await rowsOf(alice, "docs"), [
    ["a1", "acme", "Plan!!!!!!"],
    ["a2", "acme", "Budget!!!!!!"],
  ]);
});

Deno.test("G7: a token with other claims moves the rows of a live client that stays connected", async () => {
  await using lists = await ListsWorld.open();
  await lists.write(...SEED);
  await using proxy = new Proxy(() => lists.world.server.url);
  const sockets: WebSocket[] = [];
  const alice = await lists.user("alice", {
    url: proxy.url,
    claims: { orgs: ["acme", "initech"] },
    environment: {
      openSocket: (url, protocols) => {
        const socket = new WebSocket(url, protocols);
        sockets.push(socket);
        return socket;
      },
    },
  });
  await statusOf(alice, ({ state }) => state === "live");
  await holds(alice, "a1,a2,i1");
  const give = async (orgs: readonly string[]) => {
    const jwt = await lists.world.token("alice", "default", { orgs });
    sockets[0]?.send(new Uint8Array(encodeClientFrame({ type: "token", jwt })));
  };
  await give(["initech"]);
  await holds(alice, "i1");
  await lists.write("UPDATE docs SET title = 'not for her' WHERE id = 'a1'");
  await give(["acme"]);
  await holds(alice, "a1,a2");
  assert.equal((await alice.tables.docs.get("a1"))?.title, "not for her");
  assert.deepEqual([sockets.length, proxy.count("live")], [1, 1]);
  assert.equal(alice.status.value.state, "live");
});

Deno.test("G7: a token that ended is replaced by one with other claims, and the rows go", async () => {
  await using lists = await ListsWorld.open();
  await lists.write(...SEED);
  await lists.write("INSERT INTO todos VALUES ('t1', 'home', 'Milk', 'alice', NULL)");
  let asked = 0;
  const alice = await lists.world.client("alice", {
    schema: LISTS,
    getToken: () =>
      ++asked === 1
        ? expiringToken("alice", 4_000, { orgs: ["acme"] })
        : lists.world.token("alice"),
  });
  await holds(alice, "a1,a2");
  await holds(alice, "");
  assert.equal(await idsOf(alice, "todos"), "t1");
  assert.equal(asked, 2);
});
