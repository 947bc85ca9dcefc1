import { defineRules, defineSchema, type Op } from "@lakesync/core";
import assert from "node:assert/strict";
import fc from "fast-check";
import { testRules } from "./rules.ts";

const SCHEMA = defineSchema({
  version: 3,
  tables: {
    members: { primaryKey: ["list", "user"], columns: { list: "string", user: "string" } },
    todos: {
      primaryKey: ["id"],
      columns: {
        id: "integer",
        list: "string",
        title: "string",
        secret: "string",
        likes: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
      },
    },
    events: { primaryKey: ["id"], columns: { id: "string", user: "string" } },
  },
});

const RULES = defineRules(SCHEMA, {
  buckets: [{
    name: "by_list",
    parameters: {
      lists: {
        from: "members",
        column: "list",
        filters: [{ column: "user", op: "eq", value: "jwt:sub" }],
      },
    },
    tables: [
      { table: "todos", key: "list", columns: ["list", "title", "likes", "tags"] },
      { table: "members", key: "list" },
    ],
  }],
  write: [
    {
      tables: ["todos"],
      ops: ["INSERT", "UPDATE"],
      filters: [{ column: "list", op: "in", value: "param:lists" }],
    },
    {
      tables: ["events"],
      ops: ["INSERT"],
      filters: [{ column: "user", op: "eq", value: "jwt:sub" }],
    },
  ],
  tables: { events: { mode: "upload-only" } },
});

const ROWS = {
  members: [{ list: "home", user: "alice" }, { list: "work", user: "bob" }],
  todos: [
    { id: 1, list: "home", title: "Milk", secret: "s", likes: 2, tags: ["a", "b"] },
    { id: 2, list: "work", title: "Slides" },
  ],
};

Deno.test("G7: testRules tells which rows and which columns a user sees", async () => {
  await using tested = await testRules({ schema: SCHEMA, rules: RULES, rows: ROWS });
  const alice = tested.as({ sub: "alice" });
  assert.deepEqual(await alice.sees(), { members: ['["home","alice"]'], todos: ["1"] });
  assert.deepEqual(await tested.as({ sub: "bob" }).sees(), {
    members: ['["work","bob"]'],
    todos: ["2"],
  });
  assert.deepEqual(await tested.as({ sub: "carol" }).sees(), {});
  assert.equal(await alice.sees("todos", "1"), true);
  assert.equal(await alice.sees("todos", "2"), false);
  const row = { list: "home", title: "Milk", likes: 2, tags: ["a", "b"] };
  assert.deepEqual(await alice.row("todos", "1"), row);
  assert.equal(await alice.row("todos", "2"), undefined);
  await assert.rejects(alice.sees("lists", "1"), /no table lists/);
});

Deno.test("G8: testRules tells what a user may write, and changes nothing", async () => {
  await using tested = await testRules({ schema: SCHEMA, rules: RULES, rows: ROWS });
  const alice = tested.as({ sub: "alice" });
  const cases: [Op, string, Record<string, string | number | null>, boolean][] = [
    ["INSERT", "todos", { id: 3, list: "home" }, true],
    ["INSERT", "todos", { id: 3, list: "work" }, false],
    ["INSERT", "todos", { id: 3 }, false],
    ["UPDATE", "todos", { id: 1, title: "Bread" }, true],
    ["UPDATE", "todos", { id: 1, list: "work" }, false],
    ["UPDATE", "todos", { id: 2, list: "home" }, false],
    ["DELETE", "todos", { id: 1 }, false],
    ["INSERT", "members", { list: "work", user: "alice" }, false],
    ["INSERT", "events", { id: "e", user: "alice" }, true],
    ["INSERT", "events", { id: "e", user: "bob" }, false],
    ["DELETE", "events", { id: "e" }, false],
  ];
  for (const [op, table, row, allowed] of cases) {
    assert.equal(await alice.may(op, table, row), allowed, JSON.stringify([op, table, row]));
  }
  assert.deepEqual((await alice.sees())["todos"], ["1"]);
  assert.equal((await alice.row("todos", "1"))?.["title"], "Milk");
});

Deno.test("testRules takes no mistake in a test for a refusal by the rules", async () => {
  await using tested = await testRules({ schema: SCHEMA, rules: RULES, rows: ROWS });
  const alice = tested.as({ sub: "alice" });
  await assert.rejects(alice.may("UPDATE", "todos", { id: 9, title: "x" }), /no row 9/);
  await assert.rejects(alice.may("DELETE", "todos", { id: 9 }), /no row 9/);
  await assert.rejects(alice.may("INSERT", "todos", { id: 3, list: 1 }), /SCHEMA_ERROR|VALIDATION/);
  await assert.rejects(alice.may("INSERT", "todos", { id: 3, lst: "home" }), /no column lst/);
  await assert.rejects(alice.may("INSERT", "todos", { list: "home" }), /needs its key/);
  await assert.rejects(alice.may("INSERT", "lists", {}), /no table lists/);
  const rows = { todos: [{ id: 1, title: "a\u0000b" }] };
  await assert.rejects(testRules({ schema: SCHEMA, rules: RULES, rows }), /A row was refused/);
  const rules = { buckets: [{ name: "x", tables: ["lists"] }] };
  await assert.rejects(testRules({ schema: SCHEMA, rules }), { code: "VALIDATION_ERROR" });
});

Deno.test("testRules asks with the claims of a token", async () => {
  const rules = defineRules(SCHEMA, {
    buckets: [
      {
        name: "clients",
        tables: ["members"],
        filters: [{ claim: "role", op: "eq", value: "client" }],
      },
      {
        name: "team",
        tables: ["todos"],
        filters: [{ column: "list", op: "in", value: "jwt:lists" }],
      },
    ],
    write: [{
      tables: ["todos"],
      ops: ["UPDATE"],
      filters: [{ claim: "sub", op: "eq", value: "bob" }],
    }],
    exempt: ["admin"],
  });
  await using tested = await testRules({ schema: SCHEMA, rules, rows: ROWS });
  const alice = tested.as({ sub: "alice", lists: ["work", "home"] });
  assert.deepEqual((await alice.sees())["todos"], ["1", "2"]);
  assert.equal((await alice.sees())["members"]?.length, 2);
  const root = tested.as({ sub: "root", role: "admin" });
  assert.deepEqual(await root.sees(), {});
  const update = { id: 1, title: "x" };
  assert.equal(await alice.may("UPDATE", "todos", update), false);
  assert.equal(await tested.as({ sub: "bob" }).may("UPDATE", "todos", update), true);
  assert.equal(await root.may("UPDATE", "todos", update), true);
});

Deno.test("testRules says that a user needs a sub when the claims have none", async () => {
  await using tested = await testRules({ schema: SCHEMA, rules: RULES, rows: ROWS });
  for (const claims of [{}, { sub: "" }, { sub: 7 }]) {
    assert.throws(() => Reflect.apply(tested.as, tested, [claims]), {
      code: "VALIDATION_ERROR",
      message: /needs a sub/,
    });
  }
});

const list = fc.constantFrom("a", "b", "c");
const user = fc.constantFrom("alice", "bob");
const rowsOf = fc.record({
  members: fc.uniqueArray(fc.record({ list, user }), {
    selector: ({ list, user }) => list + user,
    maxLength: 6,
  }),
  todos: fc.uniqueArray(fc.record({ id: fc.nat(9), list }), {
    selector: ({ id }) => id,
    maxLength: 6,
  }),
});

Deno.test("G7: what a user sees, what is explained and what the rows say are the same", async () => {
  await fc.assert(
    fc.asyncProperty(rowsOf, user, async (rows, sub) => {
      await using tested = await testRules({ schema: SCHEMA, rules: RULES, rows });
      const asked = tested.as({ sub });
      const lists = rows.members.filter((member) => member.user === sub).map(({ list }) => list);
      for (const { id, list } of rows.todos) {
        const expected = lists.includes(list);
        const { visible, writable } = await asked.explain("todos", String(id));
        assert.equal(visible, expected);
        assert.equal(writable.UPDATE, expected);
        assert.equal(await asked.sees("todos", String(id)), expected);
        assert.equal(await asked.may("UPDATE", "todos", { id, title: "x" }), expected);
      }
    }),
    { numRuns: 25 },
  );
});
