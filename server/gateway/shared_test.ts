import assert from "node:assert/strict";
import { type RulesSpec, sha256Hex } from "@lakesync/core";
import { tempFolder } from "../store/testing_folders.ts";
import { database } from "../store/testing_kv.ts";
import type { Store, StoreFactory } from "../store/store.ts";
import { Committer } from "./committer.ts";
import type { Caller, Gateway } from "./gateway.ts";
import { at, delta, openFixture, Puller, push, START_MS, TODOS, tx } from "./testing_fixture.ts";

const ADMIN: Caller = { sub: "root", admin: true, claims: {} };
const ALICE: Caller = { sub: "alice", admin: false, claims: { sub: "alice" } };
const OPS = ["INSERT", "UPDATE", "DELETE"] as const;

const TITLED: RulesSpec = {
  buckets: [{
    name: "titled",
    tables: ["todos"],
    filters: [{ column: "title", op: "eq", value: "jwt:sub" }],
  }],
  write: [{ tables: ["*"], ops: OPS }],
};

/** One store as a factory, for one process of several. */
function only(store: Store): StoreFactory {
  return {
    kind: "kv",
    list: () => Promise.resolve(["default"]),
    open: () => Promise.resolve(store),
    close: () => Promise.resolve(),
  };
}

/** Sends a push again while another process keeps the head moving. */
async function pushUntilTaken(
  gateway: Gateway,
  clientId: string,
  ...args: Parameters<typeof delta>
): Promise<void> {
  for (let attempt = 0;; attempt++) {
    try {
      const { rejected } = await push(gateway, clientId, [tx(1, delta(...args))], {}, ADMIN);
      return assert.deepEqual(rejected, []);
    } catch (error) {
      if (attempt >= 20) throw error;
    }
  }
}

Deno.test("processes on one database go by one schema and one set of rules", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  await using one = await openFixture(only(await db.open()));
  await using other = await openFixture(only(await db.open()));
  assert.equal((await other.gateway.putSchema(TODOS)).version, 1);
  for (let i = 0; i < 3; i++) {
    await pushUntilTaken(one.gateway, `writer-${i}`, "INSERT", `t${i}`, at(i), { title: "alice" });
  }
  const before = new Puller(other.gateway, "tablet", 1_000, 1, ALICE);
  await before.pull();
  assert.equal(before.rows.size, 3);
  await one.gateway.putRules(TITLED, 5_000);
  await pushUntilTaken(other.gateway, "w", "INSERT", "bobs", at(50), { title: "bob" });
  await pushUntilTaken(other.gateway, "v", "INSERT", "alices", at(60), { title: "alice" });
  await before.pull();
  assert.deepEqual([...before.rows.keys()].sort(), [
    "todos/alices",
    "todos/t0",
    "todos/t1",
    "todos/t2",
  ]);
  const fresh = new Puller(one.gateway, "fresh", 1_000, 1, ALICE);
  await fresh.pull();
  assert.deepEqual(fresh.table(), before.table());
  assert.deepEqual((await other.gateway.rules()).rules, TITLED);
});

Deno.test("G4: what another process committed is told though it was read for nothing before", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  await using fixture = await openFixture(only(await db.open()));
  const told: [number, boolean | undefined][] = [];
  const env = {
    now: () => START_MS,
    nextTurn: () => new Promise<void>((resolve) => setTimeout(resolve, 0)),
    setTimer: () => () => {},
    randomId: () => crypto.randomUUID(),
    hash: (text: string) => sha256Hex(text),
  };
  const committer = await Committer.open(
    await db.open(),
    env,
    ({ seq, everything }) => told.push([seq, everything]),
  );
  await pushUntilTaken(fixture.gateway, "v", "INSERT", "theirs", at(2), { title: "b" });
  await committer.alone(async () => void await committer.base());
  const { head: { seq } } = await committer.current();
  assert.deepEqual(told, [[seq, true]]);
  await committer.close();
});

Deno.test("G12: a schema put by one process follows the one that another has put meanwhile", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  await using one = await openFixture(only(await db.open()));
  await using other = await openFixture(only(await db.open()));
  const wider = (version: number, columns: object) => ({
    version,
    tables: { ...TODOS.tables, lists: { primaryKey: ["id"], columns } },
  });
  const columns = { ...TODOS.tables.lists.columns };
  await one.gateway.putSchema(wider(2, { ...columns, colour: "string" }));
  const next = wider(3, { ...columns, colour: "string", size: "integer" });
  const put = () => other.gateway.putSchema(next);
  await put().catch(put);
  const row = delta("INSERT", "l2", at(2), { name: "b", colour: "blue", size: 7 }, "lists");
  await push(other.gateway, "fill", [tx(1, row)], { schemaVersion: 3 }, ADMIN);
  const second = new Puller(other.gateway, "second", 1_000, 2, ADMIN);
  await second.pull();
  assert.deepEqual(second.table()["lists/l2"], { colour: "blue", name: "b" });
});
