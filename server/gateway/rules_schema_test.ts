import assert from "node:assert/strict";
import type { RulesSpec } from "@lakesync/core";
import type { Caller } from "./gateway.ts";
import { at, delta, type Fixture, openFixture, Puller, push, tx } from "./testing_fixture.ts";

const ALICE: Caller = { sub: "alice", admin: false, claims: { sub: "alice" } };
const OPS = ["INSERT", "UPDATE", "DELETE"] as const;

const ONE = {
  version: 1,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: { id: "string", title: "string", owner: "string", note: "string" },
    },
    members: { primaryKey: ["id"], columns: { id: "string", who: "string", owner: "string" } },
  },
} as const;

const RULES: RulesSpec = {
  buckets: [
    { name: "mine", tables: ["*"], filters: [{ column: "owner", op: "eq", value: "jwt:sub" }] },
    {
      name: "shared",
      parameters: {
        owners: {
          from: "members",
          column: "owner",
          filters: [{ column: "who", op: "eq", value: "jwt:sub" }],
        },
      },
      tables: [{ table: "todos", key: "owner", columns: ["title"] }],
    },
  ],
  write: [{ tables: ["*"], ops: OPS }],
};

const BY_N: RulesSpec["buckets"][number] = {
  name: "by_n",
  tables: ["counted"],
  filters: [{ column: "n", op: "eq", value: "jwt:n" }],
};

async function world(): Promise<Fixture> {
  const fixture = await openFixture(undefined, { openAccess: false });
  const gateway = await fixture.gateways.create("rules");
  await gateway.putSchema(ONE);
  await gateway.putRules(RULES, 5_000);
  await push(
    gateway,
    "phone",
    [
      tx(
        1,
        delta("INSERT", "t1", at(1), { title: "a", owner: "alice", note: "n" }, "todos"),
        delta("INSERT", "t2", at(2), { title: "b", owner: "bob", note: "n" }, "todos"),
        delta("INSERT", "m1", at(3), { who: "alice", owner: "bob" }, "members"),
      ),
    ],
    {},
    ALICE,
  );
  return { ...fixture, gateway };
}

function two(todos: object, more: object = {}): object {
  return { version: 2, tables: { todos, members: ONE.tables.members, ...more } };
}

Deno.test("G12: rules follow a rename, and nobody is told anything", async () => {
  await using fixture = await world();
  const { gateway } = fixture;
  const alice = new Puller(gateway, "tablet", 1_000, 1, ALICE);
  await alice.pull();
  const before = alice.table();
  await gateway.putSchema(two({
    primaryKey: ["id"],
    columns: {
      id: "string",
      heading: { type: "string", renamedFrom: "title" },
      user_id: { type: "string", renamedFrom: "owner" },
      note: "string",
    },
  }));
  assert.deepEqual(await alice.pull(), []);
  const fresh = new Puller(gateway, "fresh", 1_000, 1, ALICE);
  await fresh.pull();
  assert.deepEqual(fresh.table(), before);
  const newer = new Puller(gateway, "newer", 1_000, 2, ALICE);
  await newer.pull();
  assert.deepEqual(newer.table()["todos/t1"], { heading: "a", note: "n", user_id: "alice" });
  assert.deepEqual(newer.table()["todos/t2"], { heading: "b" });
  await push(
    gateway,
    "phone",
    [tx(2, delta("UPDATE", "t2", at(900), { owner: "alice" }, "todos"))],
    {},
    ALICE,
  );
  await alice.pull();
  await newer.pull();
  assert.deepEqual(alice.table()["todos/t2"], { note: "n", owner: "alice", title: "b" });
  assert.deepEqual(newer.table()["todos/t2"], { heading: "b", note: "n", user_id: "alice" });
});

Deno.test("G12: a table that is added under a filtered * moves no bucket", async () => {
  await using fixture = await world();
  const { gateway } = fixture;
  const alice = new Puller(gateway, "tablet", 1_000, 1, ALICE);
  await alice.pull();
  const notes = { primaryKey: ["id"], columns: { id: "string", owner: "string", text: "string" } };
  await gateway.putSchema(two(ONE.tables.todos, { notes }));
  assert.deepEqual(await alice.pull(), []);
  await push(
    gateway,
    "p2",
    [
      tx(1, delta("INSERT", "n1", at(800), { owner: "alice", text: "x" }, "notes")),
    ],
    { schemaVersion: 2 },
    ALICE,
  );
  const newer = new Puller(gateway, "newer", 1_000, 2, ALICE);
  await newer.pull();
  assert.deepEqual(newer.table()["notes/n1"], { owner: "alice", text: "x" });
  const upgraded = new Puller(gateway, "tablet", 1_000, 2, ALICE);
  upgraded.cursor = alice.cursor;
  assert.deepEqual((await upgraded.pull()).map(({ rowId }) => rowId), ["n1"]);
});

Deno.test("a schema that drops what the rules use is refused until the rules are others", async () => {
  await using fixture = await world();
  const { gateway } = fixture;
  const columns = { id: "string", title: "string", note: "string" };
  await assert.rejects(
    gateway.putSchema(two({ primaryKey: ["id"], columns }), true),
    { code: "SCHEMA_ERROR" },
  );
  await gateway.putRules({ buckets: [{ name: "all", tables: ["*"] }], write: RULES.write }, 5_000);
  const alice = new Puller(gateway, "tablet", 1_000, 1, ALICE);
  await alice.pull();
  await gateway.putSchema(two({ primaryKey: ["id"], columns }), true);
  await assert.rejects(alice.pull(), { code: "SCHEMA_CONFLICT" });
  const newer = new Puller(gateway, "newer", 1_000, 2, ALICE);
  await newer.pull();
  assert.deepEqual(newer.table()["todos/t1"], { note: "n", title: "a" });
});

Deno.test("G12: a drop is refused while clients of the version were seen, and goes through later", async () => {
  await using fixture = await world();
  const { gateway, clock } = fixture;
  await gateway.putRules({ buckets: [{ name: "all", tables: ["*"] }], write: RULES.write }, 5_000);
  const columns = { id: "string", title: "string", owner: "string" };
  const next = two({ primaryKey: ["id"], columns });
  await assert.rejects(gateway.putSchema(next), { code: "SCHEMA_ERROR" });
  clock.ms += 9 * 24 * 60 * 60 * 1_000;
  await gateway.putSchema(next);
});

Deno.test("G12: a schema cannot change what rules go by while they are built", async () => {
  await using fixture = await world();
  const { gateway } = fixture;
  const counted = {
    primaryKey: ["id"],
    columns: { id: "string", owner: "string", n: "integer" },
  };
  await gateway.putSchema(two(ONE.tables.todos, { counted }));
  const building = { ...RULES, buckets: [...RULES.buckets, BY_N] };
  const rows = Array.from(
    { length: 1_500 },
    (_, i) => delta("INSERT", `c${i}`, at(10 + i), { owner: "bob", n: 1 }, "counted"),
  );
  await push(gateway, "counter", [tx(1, ...rows)], { schemaVersion: 2 }, ALICE);
  assert.notEqual((await gateway.putRules(building)).building, undefined);
  const wider = { primaryKey: ["id"], columns: { ...counted.columns, n: "number" } };
  const put = gateway.putSchema({ ...two(ONE.tables.todos, { counted: wider }), version: 3 }, true);
  await assert.rejects(put, /what the sync rules' bucket by_n holds/);
  await gateway.putRules(building, 5_000);
  const claims = { sub: "carol", n: 1 };
  const carol = new Puller(gateway, "carol", 2_000, 2, { sub: "carol", admin: false, claims });
  assert.equal((await carol.pull()).length, rows.length);
});
