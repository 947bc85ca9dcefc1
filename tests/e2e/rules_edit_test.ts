/** Rules that are edited while clients are live, and while the server is killed. */

import assert from "node:assert/strict";
import { type BucketSpec, decodeServerFrame, type RulesSpec } from "@lakesync/core";
import { idsOf, LISTS_RULES, type ListsClient, ListsWorld } from "./lists_world.ts";
import { Proxy } from "./proxy.ts";
import { statusOf, synced, until } from "./wait.ts";
import { rowsOf } from "./world.ts";

/** Enough for a build of many steps. */
const DOCS = 60_000;
const OTHERS = "rest";
/** Kills of the server while rules are built, at most. */
const MAX_KILLS = 3;
/** The server answers a PUT of rules that are still being built after so long. */
const ANSWERED_AFTER_MS = 10_000;

const SEED = [
  "INSERT INTO lists VALUES ('home', 'Home'), ('work', 'Work')",
  "INSERT INTO members VALUES ('ah', 'home', 'alice'), ('cw', 'work', 'carol')",
  `INSERT INTO todos VALUES ('t1', 'home', 'Milk', 'x', NULL), ('t2', 'home', 'Bread', 'x', NULL)`,
  `INSERT INTO docs VALUES ('a1', 'acme', 'Plan'), ('a2', 'acme', 'Budget'),
    ('n1', 'north', 'Map'), ('n2', 'north', 'Chart'), ('s1', 'south', 'Sketch')`,
];

/** Documents of one organization, for whom a claim names a guest. */
const guests = (org: string): BucketSpec => ({
  name: "guests",
  tables: ["docs"],
  filters: [
    { claim: "guest", op: "eq", value: true },
    { column: "org", op: "eq", value: org },
  ],
});

const withBuckets = (...more: readonly BucketSpec[]): RulesSpec => ({
  ...LISTS_RULES,
  buckets: [...LISTS_RULES.buckets, ...more],
});

/** What a live client was sent. */
interface Sent {
  frames: number;
  bytes: number;
  changes: string[];
}

/** Records the changes that a proxy hands on; pages with nothing in them count as well. */
function record(proxy: Proxy): Sent {
  const sent: Sent = { frames: 0, bytes: 0, changes: [] };
  proxy.heard = (data) => {
    const frame = decodeServerFrame(data);
    if (frame.type !== "changes") return;
    sent.frames++;
    sent.bytes += data.length;
    for (const change of frame.result.changes) {
      const { op, columns } = change.shape;
      sent.changes.push(`${op} ${change.rowId} ${columns.join("+")}`.trimEnd());
    }
  };
  return sent;
}

/** Requests other than the opening of sockets. */
const requests = (proxy: Proxy) =>
  [...proxy.counts].reduce((sum, [kind, count]) => kind === "live" ? sum : sum + count, 0);

async function live(client: ListsClient, table: string, ids: string): Promise<void> {
  await statusOf(client, ({ state, lastCheckpoint }) => {
    return state === "live" && lastCheckpoint !== undefined;
  });
  await until(`${table} ${ids}`, async () => await idsOf(client, table) === ids);
  await synced(client);
}

async function active(lists: ListsWorld): Promise<void> {
  await until("the rules hold", async () => {
    return (await lists.world.rules()).state === "active";
  }, 60_000);
}

Deno.test("G7: an edit of rules reaches those whose buckets changed, by the difference, and nobody else", async () => {
  await using lists = await ListsWorld.open();
  const { world } = lists;
  await lists.write(...SEED);
  await lists.fillDocs(OTHERS, DOCS);
  assert.equal(await world.putRules(withBuckets(guests("north"))), 200);
  await using near = new Proxy(() => world.server.url);
  await using far = new Proxy(() => world.server.url);
  const alice = await lists.user("alice", { url: near.url });
  const claims = { orgs: ["acme"], guest: true };
  const bob = await lists.user("bob", { url: far.url, claims });
  const carol = await lists.user("carol");
  await live(alice, "todos", "t1,t2");
  await live(bob, "docs", "a1,a2,n1,n2");
  await live(carol, "lists", "work");
  const [toAlice, toBob] = [record(near), record(far)];
  const before = requests(near);

  const editing = world.putRules(withBuckets(guests("south")));
  await until("rows are placed", async () => (await world.rules()).state === "building");
  let written = 0;
  let whileBuilding = 0;
  await until("reads and writes go on", async () => {
    const { state } = await world.rules();
    await carol.exec("INSERT INTO todos VALUES (?, 'work', 'New', NULL, NULL)", [`c${written++}`]);
    await synced(carol);
    if (state === "building") whileBuilding++;
    return state === "active";
  }, 60_000);
  await editing;
  assert.ok(whileBuilding > 0, "No write while rules were built");
  assert.equal((await rowsOf(carol, "todos")).length, written);

  await until("the difference", async () => await idsOf(bob, "docs") === "a1,a2,s1");
  assert.deepEqual(toBob.changes.sort(), ["PUT s1 org+title", "REMOVE n1", "REMOVE n2"]);
  // What is committed now comes after whatever the edit had to say.
  await lists.write("UPDATE todos SET title = 'Oat milk' WHERE id = 't1'");
  await until("a later commit", async () => (await alice.tables.todos.get("t1"))?.title !== "Milk");
  assert.deepEqual(toAlice.changes, ["PUT t1 title"]);
  assert.equal(toAlice.frames, 1, `${toAlice.frames} pages, ${toAlice.bytes} bytes`);
  assert.deepEqual([requests(near), near.count("live"), far.count("live")], [before, 1, 1]);
  for (const client of [alice, bob, carol]) {
    assert.deepEqual((await client.verify())?.drifts, []);
  }
});

Deno.test("G7: an edit that keeps a user's rows in another bucket sends none of their cells again", async () => {
  await using lists = await ListsWorld.open();
  const { world } = lists;
  await lists.write(...SEED);
  await using proxy = new Proxy(() => world.server.url);
  const bob = await lists.user("bob", { url: proxy.url, claims: { orgs: ["acme", "south"] } });
  await live(bob, "docs", "a1,a2,s1");
  const sent = record(proxy);
  const buckets = LISTS_RULES.buckets.map((bucket) =>
    bucket.name === "by_org"
      ? {
        ...bucket,
        filters: [
          ...bucket.filters ?? [],
          {
            column: "title",
            op: "in",
            value: ["Plan", "Sketch"],
          } as const,
        ],
      }
      : bucket
  );
  assert.equal(await world.putRules({ ...LISTS_RULES, buckets }), 200);
  await until("one is lost", async () => await idsOf(bob, "docs") === "a1,s1");
  assert.deepEqual(sent.changes.sort(), ["PUT a1", "PUT s1", "REMOVE a2"]);
  assert.deepEqual(await rowsOf(bob, "docs"), [["a1", "acme", "Plan"], ["s1", "south", "Sketch"]]);
  assert.deepEqual((await bob.verify())?.drifts, []);
});

Deno.test("G1 G7: a server killed again and again while rules are built goes on and ends with them in force", async () => {
  await using lists = await ListsWorld.open();
  const { world } = lists;
  await lists.write(...SEED);
  await lists.fillDocs(OTHERS, DOCS);
  const bob = await lists.user("bob", { claims: { orgs: ["acme"], guest: true } });
  await live(bob, "docs", "a1,a2");
  const rules = withBuckets(guests("north"), { name: "rest", tables: ["docs"] });
  const editing = world.putRules(rules).catch(() => "the server was killed");
  await until("rows are placed", async () => (await world.rules()).state === "building");
  let kills = 0;
  for (;;) {
    const now = await world.rules();
    if (now.state === "active" || kills === MAX_KILLS) break;
    assert.deepEqual(now.rules.buckets, LISTS_RULES.buckets);
    await world.server.kill();
    kills++;
    await world.server.start();
  }
  assert.ok(kills > 0, "The rules were there before the first kill");
  assert.equal(await editing, "the server was killed");
  await active(lists);
  assert.deepEqual((await world.rules()).rules, rules);
  await until("all documents", async () => (await rowsOf(bob, "docs")).length === DOCS + 5);
  assert.deepEqual((await bob.verify())?.drifts, []);
  assert.equal(await world.putRules(LISTS_RULES), 200);
  await until("as before", async () => await idsOf(bob, "docs") === "a1,a2");
});

Deno.test("G1: rules of a PUT that was answered 202 hold at last, though the server is killed at once", async () => {
  await using lists = await ListsWorld.open();
  const { world } = lists;
  await lists.write(...SEED);
  await lists.fillDocs(OTHERS, DOCS);
  const bob = await lists.user("bob", { claims: { orgs: ["acme"], guest: true } });
  await live(bob, "docs", "a1,a2");
  const rules = withBuckets(guests("north"));
  const started = performance.now();
  const editing = world.putRules(rules);
  await until("rows are placed", async () => (await world.rules()).state === "building");
  const pid = world.server.pid ?? 0;
  Deno.kill(pid, "SIGSTOP");
  try {
    await until("the PUT has waited long enough", () => {
      return performance.now() - started > ANSWERED_AFTER_MS;
    });
  } finally {
    Deno.kill(pid, "SIGCONT");
  }
  assert.equal(await editing, 202);
  await world.server.kill();
  await world.server.start();
  await active(lists);
  assert.deepEqual((await world.rules()).rules, rules);
  await until("the difference", async () => await idsOf(bob, "docs") === "a1,a2,n1,n2");
  assert.deepEqual((await bob.verify())?.drifts, []);
});
