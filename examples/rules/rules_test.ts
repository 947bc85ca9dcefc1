import { testRules } from "@lakesync/server/testing";
import assert from "node:assert/strict";
import { rules, schema } from "./rules.ts";

const rows = {
  lists: [{ id: "home", name: "Home", owner: "alice" }],
  members: [{ list: "home", user: "alice" }, { list: "home", user: "bob" }],
  todos: [{ id: "t1", list: "home", title: "Buy milk", done: false }],
};

Deno.test("members see the todos of their lists, others nothing", async () => {
  await using tested = await testRules({ schema, rules, rows });
  for (const sub of ["alice", "bob"]) {
    assert.deepEqual((await tested.as({ sub }).sees())["todos"], ["t1"]);
  }
  assert.deepEqual(await tested.as({ sub: "carol" }).sees(), {});
});

Deno.test("only the owner of a list says who its members are", async () => {
  await using tested = await testRules({ schema, rules, rows });
  const carol = { list: "home", user: "carol" };
  assert.equal(await tested.as({ sub: "alice" }).may("INSERT", "members", carol), true);
  assert.equal(await tested.as({ sub: "bob" }).may("INSERT", "members", carol), false);
  assert.equal(await tested.as({ sub: "carol" }).may("INSERT", "members", carol), false);
});

Deno.test("a member edits todos, and moves none to a list of others", async () => {
  await using tested = await testRules({ schema, rules, rows });
  const bob = tested.as({ sub: "bob" });
  assert.equal(await bob.may("UPDATE", "todos", { id: "t1", done: true }), true);
  assert.equal(await bob.may("UPDATE", "todos", { id: "t1", list: "work" }), false);
});

Deno.test("clicks are written under the own name and seen by nobody", async () => {
  await using tested = await testRules({ schema, rules, rows });
  const alice = tested.as({ sub: "alice" });
  const id = "018f4a5e-0000-7000-8000-000000000000";
  assert.equal(await alice.may("INSERT", "clicks", { id, user: "alice", what: "x" }), true);
  assert.equal(await alice.may("INSERT", "clicks", { id, user: "bob", what: "x" }), false);
  assert.equal((await alice.sees())["clicks"], undefined);
});
