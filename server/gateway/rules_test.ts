import assert from "node:assert/strict";
import { encodePullResult, type RulesSpec } from "@lakesync/core";
import type { Caller } from "./gateway.ts";
import { at, BOB, delta, type Fixture, openFixture, Puller, push, tx } from "./testing_fixture.ts";

const ADMIN: Caller = { sub: "root", admin: true, claims: { sub: "root" } };
const WRITES: RulesSpec["write"] = [{ tables: ["*"], ops: ["INSERT", "UPDATE", "DELETE"] }];

const SCHEMA = {
  version: 1,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        title: "string",
        list_id: "string",
        owner: "string",
        level: "integer",
      },
    },
    lists: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
    members: {
      primaryKey: ["id"],
      columns: { id: "string", list_id: "string", user_id: "string" },
    },
    events: { primaryKey: ["id"], columns: { id: "string", what: "string" } },
  },
} as const;

const BY_LIST: RulesSpec = {
  buckets: [{
    name: "by_list",
    parameters: {
      list: {
        from: "members",
        column: "list_id",
        filters: [{ column: "user_id", op: "eq", value: "jwt:sub" }],
      },
    },
    tables: [{ table: "lists", key: "id" }, { table: "todos", key: "list_id" }],
  }],
  write: WRITES,
};

const OWN: RulesSpec = {
  buckets: [{
    name: "mine",
    tables: ["todos"],
    filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
  }],
  write: WRITES,
};

function user(sub: string, claims: Caller["claims"] = {}): Caller {
  return { sub, admin: false, claims: { sub, ...claims } };
}

/** A world with rules and one client that writes as admin. */
class World implements AsyncDisposable {
  #ms = 1_000;
  #mutations = new Map<string, number>();
  constructor(readonly fixture: Fixture) {}

  static async open(rules: unknown, schema: unknown = SCHEMA): Promise<World> {
    const fixture = await openFixture(undefined, { openAccess: false });
    const gateway = await fixture.gateways.create("rules");
    await gateway.putSchema(schema);
    await gateway.putRules(rules, 5_000);
    return new World({ ...fixture, gateway });
  }

  get gateway(): Fixture["gateway"] {
    return this.fixture.gateway;
  }

  /** Writes as one transaction; gives what was refused. */
  async write(
    deltas: readonly (readonly [
      op: "INSERT" | "UPDATE" | "DELETE",
      table: string,
      rowId: string,
      columns?: Record<string, string | number | null>,
    ])[],
    caller: Caller = ADMIN,
    clientId = `writer-${caller.sub}`,
    schemaVersion = 1,
  ): Promise<string | undefined> {
    const mutationId = (this.#mutations.get(clientId) ?? 0) + 1;
    this.#mutations.set(clientId, mutationId);
    this.fixture.clock.ms += 1_000;
    const ms = this.#ms += 1_000;
    const written = deltas.map(([op, table, rowId, columns = {}], i) =>
      delta(op, rowId, at(ms, i), columns, table)
    );
    const { rejected, stopped } = await push(this.gateway, clientId, [tx(mutationId, ...written)], {
      schemaVersion,
    }, caller);
    assert.equal(stopped, undefined);
    return rejected.find((rejection) => rejection.mutationId === mutationId)?.code;
  }

  puller(caller: Caller, clientId = `puller-${caller.sub}`, limit = 1_000, version = 1): Puller {
    return new Puller(this.gateway, clientId, limit, version, caller);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fixture[Symbol.asyncDispose]();
  }
}

const keys = (puller: Puller) => [...puller.rows.keys()].sort();
const named = (changes: Awaited<ReturnType<Puller["pull"]>>) =>
  changes.map(({ shape, rowId }) => `${shape.op} ${shape.table}/${rowId}`).sort();

Deno.test("G7: a user holds exactly the rows of her lists, a membership brings and takes them", async () => {
  await using world = await World.open(BY_LIST);
  await world.write([["INSERT", "lists", "l1", { name: "one" }], ["INSERT", "lists", "l2", {
    name: "two",
  }]]);
  await world.write([["INSERT", "todos", "t1", { list_id: "l1" }], ["INSERT", "todos", "t2", {
    list_id: "l2",
  }]]);
  await world.write([["INSERT", "members", "m1", { list_id: "l1", user_id: "alice" }]]);
  const alice = world.puller(user("alice"));
  await alice.pull();
  assert.deepEqual(keys(alice), ["lists/l1", "todos/t1"]);
  await world.write([["INSERT", "members", "m2", { list_id: "l2", user_id: "alice" }]]);
  assert.deepEqual(named(await alice.pull()), ["PUT lists/l2", "PUT todos/t2"]);
  await world.write([["DELETE", "members", "m1"]]);
  assert.deepEqual(named(await alice.pull()), ["REMOVE lists/l1", "REMOVE todos/t1"]);
  assert.deepEqual(keys(alice), ["lists/l2", "todos/t2"]);
  assert.deepEqual(await alice.pull(), []);
});

Deno.test("G7: a row that moves away is removed, and comes back whole", async () => {
  await using world = await World.open(OWN);
  const alice = world.puller(user("alice"));
  const bob = world.puller(user("bob"));
  await world.write([["INSERT", "todos", "t1", { title: "a", owner: "alice", level: 1 }]]);
  await alice.pull();
  await world.write([["UPDATE", "todos", "t1", { owner: "bob" }]]);
  assert.deepEqual(named(await alice.pull()), ["REMOVE todos/t1"]);
  await bob.pull();
  assert.equal(bob.rows.get("todos/t1")?.["title"], "a");
  await world.write([["UPDATE", "todos", "t1", { title: "b" }]]);
  await world.write([["UPDATE", "todos", "t1", { owner: "alice" }]]);
  await alice.pull();
  assert.deepEqual(alice.table(), { "todos/t1": { level: 1, owner: "alice", title: "b" } });
  assert.deepEqual(named(await bob.pull()), ["REMOVE todos/t1"]);
});

Deno.test("G7: a filter on a column that an UPDATE does not carry is judged on the whole row", async () => {
  await using world = await World.open(OWN);
  await world.write([["INSERT", "todos", "t1", { title: "a", owner: "alice" }]]);
  const alice = world.puller(user("alice"));
  await alice.pull();
  await world.write([["UPDATE", "todos", "t1", { title: "b" }]]);
  await alice.pull();
  assert.equal(alice.rows.get("todos/t1")?.["title"], "b");
});

Deno.test("G7: the DELETE of a row in a filtered bucket reaches who had it and nobody else", async () => {
  await using world = await World.open(OWN);
  await world.write([["INSERT", "todos", "t1", { owner: "alice" }]]);
  const alice = world.puller(user("alice"));
  const bob = world.puller(user("bob"));
  await alice.pull();
  await bob.pull();
  await world.write([["DELETE", "todos", "t1"]]);
  assert.deepEqual(named(await alice.pull()), ["REMOVE todos/t1"]);
  assert.deepEqual(await bob.pull(), []);
});

Deno.test("G7: a row that entered and left while access was revoked is never named", async () => {
  await using world = await World.open(BY_LIST);
  await world.write([["INSERT", "members", "m1", { list_id: "l1", user_id: "alice" }], [
    "INSERT",
    "todos",
    "kept",
    { list_id: "l1" },
  ]]);
  const alice = world.puller(user("alice"));
  await alice.pull();
  for (const offline of [true, false]) {
    await world.write([["DELETE", "members", "m1"]]);
    if (!offline) await alice.pull();
    await world.write([["INSERT", "todos", "secret-row", { list_id: "l1", title: "secret" }]]);
    await world.write([["DELETE", "todos", "secret-row"]]);
    if (!offline) await alice.pull();
    await world.write([["INSERT", "members", "m1", { list_id: "l1", user_id: "alice" }]]);
    await alice.pull();
    assert.deepEqual(keys(alice), ["todos/kept"]);
    assert.ok(!alice.named.has("todos/secret-row"));
  }
});

Deno.test("G7: a claim removed while offline takes its rows with the next pull", async () => {
  const rules: RulesSpec = {
    buckets: [{
      name: "org",
      tables: ["todos"],
      filters: [{ column: "list_id", op: "in", value: "jwt:orgs" }],
    }],
    write: WRITES,
  };
  await using world = await World.open(rules);
  await world.write([["INSERT", "todos", "t1", { list_id: "a" }], ["INSERT", "todos", "t2", {
    list_id: "b",
  }]]);
  const alice = world.puller(user("alice", { orgs: ["a", "b"] }));
  await alice.pull();
  assert.deepEqual(keys(alice), ["todos/t1", "todos/t2"]);
  await world.write([["UPDATE", "todos", "t2", { title: "after" }], ["INSERT", "todos", "t3", {
    list_id: "b",
  }]]);
  alice.caller = user("alice", { orgs: ["a"] });
  const page = await alice.page();
  assert.deepEqual(named(page.changes), ["REMOVE todos/t2"]);
  const bytes = new TextDecoder("latin1").decode(encodePullResult(page));
  assert.ok(!bytes.includes("t3"));
  alice.caller = user("alice", { orgs: [] });
  assert.deepEqual(named(await alice.pull()), ["REMOVE todos/t1"]);
});

Deno.test("G7: a client that loses the bucket showing a column keeps the row and is told to unset it", async () => {
  const rules: RulesSpec = {
    buckets: [
      { name: "brief", tables: [{ table: "todos", columns: ["title"] }] },
      {
        name: "full",
        tables: ["todos"],
        filters: [{ claim: "role", op: "eq", value: "boss" }],
      },
    ],
    write: WRITES,
  };
  await using world = await World.open(rules);
  await world.write([["INSERT", "todos", "t1", { title: "a", level: 7 }]]);
  const alice = world.puller(user("alice", { role: "boss" }));
  await alice.pull();
  assert.deepEqual(alice.table(), { "todos/t1": { level: 7, title: "a" } });
  alice.caller = user("alice");
  const [change, ...more] = await alice.pull();
  assert.deepEqual(more, []);
  assert.ok(change?.shape.unset?.includes("level"));
  assert.deepEqual(alice.table(), { "todos/t1": { title: "a" } });
  alice.caller = user("alice", { role: "boss" });
  await alice.pull();
  assert.deepEqual(alice.table(), { "todos/t1": { level: 7, title: "a" } });
});

Deno.test("G7: rows held by two buckets leave only when both have gone", async () => {
  const rules: RulesSpec = {
    buckets: [...OWN.buckets, ...BY_LIST.buckets],
    write: WRITES,
  };
  await using world = await World.open(rules);
  await world.write([
    ["INSERT", "members", "m1", { list_id: "l1", user_id: "alice" }],
    ["INSERT", "todos", "t1", { list_id: "l1", owner: "alice", title: "x" }],
  ]);
  const alice = world.puller(user("alice"));
  assert.equal((await alice.pull()).length, 1);
  await world.write([["DELETE", "members", "m1"]]);
  const changes = await alice.pull();
  assert.ok(changes.every(({ shape }) => shape.op === "PUT"));
  assert.deepEqual(keys(alice), ["todos/t1"]);
  await world.write([["UPDATE", "todos", "t1", { owner: "bob" }]]);
  assert.deepEqual(named(await alice.pull()), ["REMOVE todos/t1"]);
});

Deno.test("G7: conditions that cannot be keyed are judged while reading, also on what a row was", async () => {
  const rules: RulesSpec = {
    buckets: [{
      name: "low",
      tables: ["todos"],
      filters: [{ column: "level", op: "lte", value: "jwt:level" }],
    }],
    write: WRITES,
  };
  await using world = await World.open(rules);
  await world.write([["INSERT", "todos", "t1", { level: 1 }], ["INSERT", "todos", "t9", {
    level: 9,
  }]]);
  const alice = world.puller(user("alice", { level: 3 }));
  await alice.pull();
  assert.deepEqual(keys(alice), ["todos/t1"]);
  await world.write([["UPDATE", "todos", "t1", { level: 5 }], ["UPDATE", "todos", "t9", {
    level: 8,
  }]]);
  assert.deepEqual(named(await alice.pull()), ["REMOVE todos/t1"]);
  await world.write([["DELETE", "todos", "t9"]]);
  assert.deepEqual(await alice.pull(), []);
  alice.caller = user("alice", { level: 6 });
  assert.deepEqual(named(await alice.pull()), ["PUT todos/t1"]);
  alice.caller = user("alice", { level: 2 });
  assert.deepEqual(named(await alice.pull()), ["REMOVE todos/t1"]);
});

Deno.test("G7: pages of several buckets end at one state while rows move and grants change between them", async () => {
  await using world = await World.open(BY_LIST);
  for (let list = 0; list < 4; list++) {
    await world.write([["INSERT", "members", `m${list}`, {
      list_id: `l${list}`,
      user_id: "alice",
    }]]);
    for (let row = 0; row < 5; row++) {
      await world.write([["INSERT", "todos", `t${list}${row}`, {
        list_id: `l${list}`,
        title: "x",
      }]]);
    }
  }
  const alice = world.puller(user("alice"), "paged", 2);
  for (let i = 0;; i++) {
    const page = await alice.page();
    if (page.complete) break;
    if (i === 1) await world.write([["UPDATE", "todos", "t00", { list_id: "l3" }]]);
    if (i === 2) await world.write([["DELETE", "members", "m0"]]);
    if (i === 3) await world.write([["UPDATE", "todos", "t10", { list_id: "elsewhere" }]]);
    if (i === 4) {
      await world.write([["INSERT", "members", "m0", { list_id: "l0", user_id: "alice" }]]);
    }
    if (i === 5) {
      await world.write([["UPDATE", "todos", "t10", { list_id: "l1" }], [
        "DELETE",
        "todos",
        "t11",
      ]]);
    }
    if (i === 6) await world.write([["DELETE", "members", "m2"]]);
    assert.ok(i < 100);
  }
  const fresh = world.puller(user("alice"), "fresh");
  await fresh.pull();
  assert.deepEqual(alice.table(), fresh.table());
});

Deno.test("G8: a write rule sees the row before and after, and each delta those before it", async () => {
  const rules: RulesSpec = {
    ...BY_LIST,
    write: [
      {
        tables: ["todos"],
        ops: ["INSERT", "UPDATE", "DELETE"],
        filters: [{ column: "list_id", op: "in", value: "param:list" }],
      },
      { tables: ["members", "lists"], ops: ["INSERT"] },
    ],
    exempt: ["admin"],
  };
  await using world = await World.open(rules);
  const alice = user("alice");
  assert.equal(
    await world.write([["INSERT", "todos", "t1", { list_id: "l1" }]], alice),
    "FORBIDDEN_WRITE",
  );
  const own = [
    ["INSERT", "members", "m1", { list_id: "l1", user_id: "alice" }],
    ["INSERT", "todos", "t1", { list_id: "l1" }],
  ] as const;
  assert.equal(await world.write([own[1], own[0]], alice), "FORBIDDEN_WRITE");
  assert.equal(await world.write(own, alice), undefined);
  await world.write([["INSERT", "todos", "t2", { list_id: "l2" }]]);
  assert.equal(
    await world.write([["UPDATE", "todos", "t2", { list_id: "l1" }]], alice),
    "FORBIDDEN_WRITE",
  );
  assert.equal(
    await world.write([["UPDATE", "todos", "t1", { list_id: "l2" }]], alice),
    "FORBIDDEN_WRITE",
  );
  assert.equal(
    await world.write([["INSERT", "todos", "t2", { list_id: "l1" }]], alice),
    "FORBIDDEN_WRITE",
  );
  assert.equal(await world.write([["DELETE", "todos", "t2"]], alice), "FORBIDDEN_WRITE");
  assert.equal(await world.write([["UPDATE", "todos", "t1", { title: "mine" }]], alice), undefined);
  assert.equal(await world.write([["DELETE", "members", "m1"]]), undefined);
  assert.equal(
    await world.write([["UPDATE", "todos", "t1", { title: "late" }]], alice),
    "FORBIDDEN_WRITE",
  );
});

Deno.test("G8: a transaction that is refused leaves no membership behind for the next one", async () => {
  const rules: RulesSpec = {
    ...BY_LIST,
    write: [
      {
        tables: ["todos"],
        ops: ["INSERT"],
        filters: [{ column: "list_id", op: "in", value: "param:list" }],
      },
      { tables: ["members"], ops: ["INSERT"] },
    ],
  };
  await using world = await World.open(rules);
  const alice = user("alice");
  const clientId = "phone";
  const { rejected } = await push(
    world.gateway,
    clientId,
    [
      tx(
        1,
        delta("INSERT", "m1", at(1), { list_id: "l1", user_id: "alice" }, "members"),
        delta("DELETE", "t0", at(2), {}, "todos"),
      ),
      tx(2, delta("INSERT", "t1", at(3), { list_id: "l1" }, "todos")),
      tx(3, delta("INSERT", "m1", at(4), { list_id: "l1", user_id: "alice" }, "members")),
      tx(4, delta("INSERT", "t1", at(5), { list_id: "l1" }, "todos")),
    ],
    {},
    alice,
  );
  assert.deepEqual(rejected.map(({ mutationId, code }) => [mutationId, code]), [[
    1,
    "FORBIDDEN_WRITE",
  ], [2, "FORBIDDEN_WRITE"]]);
});

Deno.test("upload-only tables take INSERTs, keep no rows and reach nobody", async () => {
  const rules: RulesSpec = {
    ...BY_LIST,
    tables: { events: { mode: "upload-only" }, lists: { mode: "download-only" } },
  };
  await using world = await World.open(rules);
  const alice = user("alice");
  assert.equal(
    await world.write([["INSERT", "events", "e1", { what: "click" }]], alice),
    undefined,
  );
  assert.equal(
    await world.write([["UPDATE", "events", "e1", { what: "x" }]], alice),
    "VALIDATION_ERROR",
  );
  assert.equal(
    await world.write([["INSERT", "lists", "l1", { name: "x" }]], alice),
    "FORBIDDEN_WRITE",
  );
  assert.equal((await world.gateway.stats()).tables["events"]?.rows, 0);
  assert.equal((await world.gateway.stats()).log.entries, 1);
});

Deno.test("without rules a gateway refuses clients and serves admins; in development all are served", async () => {
  await using fixture = await openFixture(undefined, { openAccess: false });
  const forbidden = { code: "FORBIDDEN" };
  await assert.rejects(push(fixture.gateway, "c", [tx(1)]), forbidden);
  await assert.rejects(new Puller(fixture.gateway, "c").pull(), forbidden);
  await push(
    fixture.gateway,
    "a",
    [tx(1, delta("INSERT", "t1", at(1), { title: "x" }))],
    {},
    ADMIN,
  );
  const admin = new Puller(fixture.gateway, "a", 1000, 1, ADMIN);
  await admin.pull();
  assert.deepEqual(keys(admin), ["todos/t1"]);
  await using open = await openFixture();
  await push(open.gateway, "c", [tx(1)], {}, BOB);
});

Deno.test("editing rules tells only what the changed buckets change, and builds beside reads and writes", async () => {
  await using world = await World.open({
    buckets: [...OWN.buckets, ...BY_LIST.buckets],
    write: WRITES,
  });
  await world.write([["INSERT", "members", "m1", { list_id: "l1", user_id: "alice" }]]);
  const rows = Array.from({ length: 1_200 }, (_, i) => {
    const owner = i % 2 === 0 ? "alice" : "bob";
    const columns = { owner, title: "x", list_id: i < 10 ? "l1" : "l9" };
    return ["INSERT", "todos", `t${i}`, columns] as const;
  });
  for (let i = 0; i < rows.length; i += 200) await world.write(rows.slice(i, i + 200));
  const alice = world.puller(user("alice"));
  await alice.pull();
  assert.equal(alice.rows.size, 605);
  const before = await world.gateway.rules();
  assert.equal(before.building, undefined);
  const next: RulesSpec = {
    buckets: [
      ...OWN.buckets,
      { name: "named", tables: ["todos"], filters: [{ column: "title", op: "eq", value: "new" }] },
    ],
    write: WRITES,
  };
  const state = await world.gateway.putRules(next, 0);
  assert.notEqual(state.building, undefined);
  await world.write([["UPDATE", "todos", "t1199", { title: "new" }]]);
  for (let i = 0; (await world.gateway.rules()).building !== undefined; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.ok(i < 1_000);
  }
  const changes = await alice.pull();
  const removed = ["t1", "t3", "t5", "t7", "t9"].map((id) => `REMOVE todos/${id}`);
  const puts = changes.filter(({ shape }) => shape.op === "PUT");
  assert.deepEqual(named(changes.filter(({ shape }) => shape.op === "REMOVE")), removed.sort());
  assert.ok(
    puts.filter(({ shape }) => shape.columns.length > 0).every(({ rowId }) => rowId === "t1199"),
  );
  const fresh = world.puller(user("alice"), "fresh");
  await fresh.pull();
  assert.deepEqual(alice.table(), fresh.table());
});

Deno.test("G9: checksums by bucket follow the client's projection and schema version", async () => {
  const rules: RulesSpec = {
    buckets: [
      { name: "brief", tables: [{ table: "todos", columns: ["title"] }] },
      ...BY_LIST.buckets,
    ],
    write: WRITES,
  };
  await using world = await World.open(rules);
  await world.write([["INSERT", "todos", "t1", { title: "a", level: 7 }]]);
  const old = world.puller(user("alice"));
  await old.pull();
  const before = old.last?.checkpoint?.buckets;
  assert.deepEqual(before?.map(({ id, rows }) => [id, rows]), [["brief", 1]]);
  assert.deepEqual(before?.[0]?.columns, { todos: ["title"] });
  const v2 = structuredClone(SCHEMA) as unknown as {
    version: number;
    tables: { todos: { columns: Record<string, string> } };
  };
  v2.version = 2;
  v2.tables.todos.columns["extra"] = "string";
  await world.gateway.putSchema(v2);
  await world.write([["UPDATE", "todos", "t1", { extra: "e" }]], ADMIN, "v2", 2);
  assert.deepEqual(await old.pull(), []);
  const fresh = world.puller(user("alice"), "fresh");
  await fresh.pull();
  assert.deepEqual(fresh.last?.checkpoint?.buckets, before);
});

Deno.test("explain says why a row is seen and who may write it", async () => {
  await using world = await World.open(BY_LIST);
  await world.write([["INSERT", "members", "m1", { list_id: "l1", user_id: "alice" }], [
    "INSERT",
    "todos",
    "t1",
    { list_id: "l1" },
  ]]);
  const seen = await world.gateway.explain({
    claims: { sub: "alice" },
    table: "todos",
    rowId: "t1",
  });
  assert.deepEqual([seen.exists, seen.visible, seen.writable], [true, true, {
    INSERT: true,
    UPDATE: true,
    DELETE: true,
  }]);
  const unseen = await world.gateway.explain({
    claims: { sub: "bob" },
    table: "todos",
    rowId: "t1",
  });
  assert.equal(unseen.visible, false);
  assert.ok(unseen.lines.length > 3);
  await assert.rejects(world.gateway.explain({ claims: {}, table: "nope", rowId: "t1" }), {
    code: "VALIDATION_ERROR",
  });
});

Deno.test("rules that are wrong are refused with their place and change nothing", async () => {
  await using world = await World.open(OWN);
  await assert.rejects(
    world.gateway.putRules({ buckets: [{ name: "x", tables: ["nope"] }] }),
    (error: Error & { code?: string }) =>
      error.code === "VALIDATION_ERROR" && error.message.includes("$.buckets[0]"),
  );
  assert.deepEqual((await world.gateway.rules()).rules, OWN);
});

const OWNED: RulesSpec = {
  buckets: OWN.buckets,
  write: [{
    tables: ["todos"],
    ops: ["INSERT", "UPDATE", "DELETE"],
    filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
  }],
  exempt: ["admin"],
};

Deno.test("G8: an UPDATE that waits for an INSERT does not take the row that another inserts", async () => {
  await using world = await World.open(OWNED);
  const mallory = user("mallory");
  const early = [tx(1, delta("UPDATE", "t1", at(2_000), { owner: "mallory" }, "todos"))];
  assert.deepEqual((await push(world.gateway, "evil", early, {}, mallory)).rejected, []);
  const late = tx(1, delta("UPDATE", "t1", at(2_500), { owner: "eve" }, "todos"));
  const { rejected } = await push(world.gateway, "eve", [late], {}, user("eve"));
  assert.deepEqual(rejected.map(({ code }) => code), ["NO_SUCH_ROW"]);
  const insert = tx(
    1,
    delta("INSERT", "t1", at(1_000), { title: "salary", owner: "bob" }, "todos"),
  );
  await push(world.gateway, "import", [insert], {}, ADMIN);
  const puller = world.puller(mallory);
  await puller.pull();
  assert.deepEqual(puller.table(), {});
  const bob = world.puller(user("bob"));
  await bob.pull();
  assert.deepEqual(bob.table(), { "todos/t1": { owner: "bob", title: "salary" } });
});

Deno.test("G8: an UPDATE that came before its INSERT counts where the rules allow it on the row", async () => {
  await using world = await World.open(OWNED);
  const bob = user("bob");
  const early = [
    tx(1, delta("UPDATE", "t1", at(2_000), { owner: "bob", title: "later" }, "todos")),
  ];
  await push(world.gateway, "tablet", early, {}, bob);
  const insert = tx(1, delta("INSERT", "t1", at(1_000), { title: "first", owner: "bob" }, "todos"));
  assert.deepEqual((await push(world.gateway, "phone", [insert], {}, bob)).rejected, []);
  const puller = world.puller(bob);
  await puller.pull();
  assert.deepEqual(puller.table(), { "todos/t1": { owner: "bob", title: "later" } });
});

Deno.test("G8: a DELETE of a row never seen is refused, and a refusal does not tell whether it is there", async () => {
  await using world = await World.open(OWNED);
  await world.write([["INSERT", "todos", "there", { owner: "bob" }]], user("bob"));
  const messages: (string | undefined)[] = [];
  for (const [i, rowId] of ["there", "not"].entries()) {
    for (const op of ["UPDATE", "DELETE"] as const) {
      const columns = op === "UPDATE" ? { title: "x" } : {};
      const clientId = `probe-${i}-${op}`;
      const probe = tx(1, delta(op, rowId, at(5_000), columns, "todos"));
      const { rejected } = await push(world.gateway, clientId, [probe], {}, user("mallory"));
      messages.push(rejected[0]?.message);
    }
  }
  assert.deepEqual(messages.slice(0, 2), messages.slice(2));
  assert.ok(messages.every((message) => message?.startsWith("No write rule allows")));
  await world.write([["DELETE", "todos", "there"]], user("bob"));
  assert.equal(await world.write([["DELETE", "todos", "there"]], user("bob")), undefined);
});

Deno.test("G11: a row that would be in too many buckets of one rule is refused", async () => {
  const schema = {
    version: 1,
    tables: {
      todos: { primaryKey: ["id"], columns: { id: "string", a: "json", b: "json" } },
    },
  };
  const rules: RulesSpec = {
    buckets: [{
      name: "both",
      tables: ["todos"],
      filters: [
        { column: "a", op: "contains", value: "jwt:a" },
        { column: "b", op: "contains", value: "jwt:b" },
      ],
    }],
    write: WRITES,
  };
  await using world = await World.open(rules, schema);
  const list = (length: number) => Array.from({ length }, (_, i) => i);
  const row = (a: number, b: number) => ({ a: list(a), b: list(b) });
  const insert = async (rowId: string, a: number, b: number) => {
    const inserted = tx(1, delta("INSERT", rowId, at(100), row(a, b), "todos"));
    const { rejected } = await push(world.gateway, `client-${rowId}`, [inserted], {}, user("bob"));
    return rejected[0]?.code;
  };
  assert.equal(await insert("few", 20, 20), undefined);
  assert.equal(await insert("many", 2_000, 2_000), "VALIDATION_ERROR");
  const puller = world.puller(user("x", { a: 3, b: 19 }));
  await puller.pull();
  assert.deepEqual(keys(puller), ["todos/few"]);
});
