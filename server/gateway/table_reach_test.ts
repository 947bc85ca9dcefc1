import assert from "node:assert/strict";
import type { RulesSpec, Value } from "@lakesync/core";
import { memoryStores } from "../store/memory.ts";
import { RuleBook } from "./rule_book.ts";
import { Catalog } from "./catalog.ts";
import type { TableNames } from "./table_reach.ts";
import {
  ALICE,
  at,
  delta,
  type Fixture,
  openFixture,
  Puller,
  push,
  tx,
} from "./testing_fixture.ts";

const MEMBERS = {
  version: 1,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: { id: "string", title: "string", list: "string" },
    },
    notes: { primaryKey: ["id"], columns: { id: "string", list: "string" } },
    members: { primaryKey: ["id"], columns: { id: "string", list: "string", who: "string" } },
  },
} as const;

const BY_LIST: RulesSpec = {
  buckets: [
    {
      name: "by_list",
      parameters: {
        list: {
          from: "members",
          column: "list",
          filters: [{ column: "who", op: "eq", value: "jwt:sub" }],
        },
      },
      tables: [{ table: "todos", key: "list" }, { table: "notes", key: "list" }],
    },
    { name: "memberships", tables: ["members"] },
  ],
  write: [{ tables: ["*"], ops: ["INSERT", "UPDATE", "DELETE"] }],
};

const OPEN: RulesSpec = {
  buckets: [{ name: "everything", tables: ["*"] }],
  write: [{ tables: ["*"], ops: ["INSERT", "UPDATE", "DELETE"] }],
};

/** A gateway whose closed tables tests change. */
interface World extends Fixture {
  readonly reach: (names: TableNames) => Promise<void>;
  readonly insert: (
    table: string,
    rowId: string,
    columns?: Record<string, Value>,
  ) => Promise<string>;
}

async function openWorld(
  rules: unknown,
  { stores = memoryStores(), first = { deny: [] } as TableNames } = {},
): Promise<World> {
  let names = first;
  const fixture = await openFixture(stores, { tablesOf: (id) => id === "g" ? names : undefined });
  const gateway = await fixture.gateways.create("g");
  if (gateway.schema === undefined) await gateway.putSchema(MEMBERS);
  if (rules !== undefined) await gateway.putRules(rules, 5_000);
  let mutationId = 0;
  return {
    ...fixture,
    gateway,
    reach: async (next) => {
      names = next;
      await gateway.refreshTables(5_000);
    },
    insert: async (table, rowId, columns = {}) => {
      const stamp = at(++mutationId);
      const inserted = delta("INSERT", rowId, stamp, columns, table);
      const { rejected } = await push(gateway, "writer", [tx(mutationId, inserted)]);
      return rejected[0]?.code ?? "ok";
    },
  };
}

const RULES = { "no rules": undefined, "rules with *": OPEN, "rules by look-ups": BY_LIST };

/** Who the rules of these tests let see. */
const READER = { ...ALICE, claims: { sub: "alice" } };

for (const [kind, rules] of Object.entries(RULES)) {
  Deno.test(`G7: a closed table leaves clients and comes back, others stay as they are: ${kind}`, async () => {
    await using world = await openWorld(rules);
    await world.insert("members", "m1", { list: "l1", who: "alice" });
    for (let i = 0; i < 250; i++) {
      await world.insert("todos", `t${i}`, { list: "l1", title: `${i}` });
    }
    await world.insert("notes", "n1", { list: "l1" });
    const reader = new Puller(world.gateway, "reader", 100, 1, READER);
    await reader.pull();
    const all = reader.table();
    assert.equal(Object.keys(all).length, 252);

    await world.reach({ deny: ["notes"] });
    const changes = await reader.pull();
    assert.deepEqual(
      changes.filter(({ shape }) => shape.op === "REMOVE").map(({ rowId }) => rowId),
      ["n1"],
    );
    const { "notes/n1": note, ...others } = all;
    assert.deepEqual(reader.table(), others);
    assert.equal(await world.insert("notes", "n2", { list: "l1" }), "FORBIDDEN_WRITE");
    assert.equal(await world.insert("todos", "late", { list: "l1" }), "ok");
    const fresh = new Puller(world.gateway, "fresh", 100, 1, READER);
    await fresh.pull();
    await reader.pull();
    assert.deepEqual(fresh.table(), reader.table());
    assert.ok(!fresh.named.has("notes/n1"));

    await world.reach({ deny: [] });
    await reader.pull();
    assert.deepEqual(reader.table()["notes/n1"], note);
    assert.equal(Object.keys(reader.table()).length, 253);
    assert.equal(await world.insert("notes", "n2", { list: "l1" }), "ok");
    const { rules: held, building } = await world.gateway.rules();
    assert.deepEqual([held, building], [rules, undefined]);
  });
}

Deno.test("G7: closing a table that decides who sees others shows none of its rows and hides no other", async () => {
  await using world = await openWorld(BY_LIST);
  await world.insert("members", "m1", { list: "l1", who: "alice" });
  await world.insert("todos", "t1", { list: "l1" });
  await world.reach({ deny: ["members"] });
  const reader = new Puller(world.gateway, "reader", 100, 1, READER);
  await reader.pull();
  assert.deepEqual([...reader.named], ["todos/t1"]);
});

Deno.test("G8: a closed table is written by nobody, by admins neither", async () => {
  await using world = await openWorld({ ...OPEN, exempt: ["admin"] });
  await world.reach({ deny: ["notes"] });
  const admin = { sub: "root", admin: true, claims: { sub: "root" } };
  const { rejected } = await push(
    world.gateway,
    "admin",
    [tx(1, delta("INSERT", "n1", at(1), {}, "notes"))],
    {},
    admin,
  );
  assert.equal(rejected[0]?.code, "FORBIDDEN_WRITE");
  assert.match(rejected[0]?.message ?? "", /Table notes is closed/);
});

Deno.test("what is closed stays closed under other rules, another schema and another name", async () => {
  await using world = await openWorld(OPEN, { first: { deny: ["notes"] } });
  const closed = async (name: string) => await world.insert(name, crypto.randomUUID());
  assert.equal(await closed("notes"), "FORBIDDEN_WRITE");
  await world.gateway.putRules(BY_LIST, 5_000);
  assert.equal(await closed("notes"), "FORBIDDEN_WRITE");
  const { notes, ...others } = MEMBERS.tables;
  const renamed = {
    version: 2,
    tables: {
      ...others,
      remarks: { ...notes, renamedFrom: "notes" },
      pictures: { primaryKey: ["id"], columns: { id: "string" } },
    },
  };
  await world.gateway.putSchema(renamed);
  await world.gateway.refreshTables(5_000);
  const write = async (table: string, mutationId: number, schemaVersion = 2) =>
    (await push(
      world.gateway,
      "new",
      [tx(mutationId, delta("INSERT", "r", at(2_000 + mutationId), {}, table))],
      { schemaVersion },
    )).rejected[0]?.code;
  assert.equal(await write("remarks", 1), "FORBIDDEN_WRITE");
  assert.equal(await write("pictures", 2), undefined);
  await world.reach({ deny: ["no such table"] });
  assert.equal(await write("remarks", 3), "FORBIDDEN_WRITE");
  await world.reach({ deny: [], allow: ["todos", "members"] });
  assert.equal(await write("pictures", 4), "FORBIDDEN_WRITE");
  await world.gateway.putSchema({
    ...renamed,
    version: 3,
    tables: { ...renamed.tables, films: { primaryKey: ["id"], columns: { id: "string" } } },
  });
  assert.equal(await write("films", 5, 3), "FORBIDDEN_WRITE");
  assert.equal(await write("todos", 6), undefined);
});

Deno.test("a gateway without rules stays without when a table is closed, and is closed from its start", async () => {
  const stores = memoryStores();
  {
    await using world = await openWorld(undefined, { stores, first: { deny: ["notes"] } });
    assert.equal(await world.insert("notes", "n1"), "FORBIDDEN_WRITE");
    assert.equal(await world.insert("todos", "t1"), "ok");
    assert.deepEqual(await world.gateway.rules(), { rules: undefined, building: undefined });
  }
  await using closed = await openFixture(stores, { openAccess: false, tablesOf: () => undefined });
  const gateway = await closed.gateways.create("g");
  await assert.rejects(gateway.pull(ALICE, { clientId: "a" }), { code: "FORBIDDEN" });
});

Deno.test("a book that knows of no closed tables is read as one that reaches all", () => {
  const catalog = Catalog.next(undefined, MEMBERS);
  const text = RuleBook.open(catalog).store();
  assert.ok(!text.includes("deny"));
  assert.deepEqual(RuleBook.load(text, catalog).reach, { deny: [] });
});
