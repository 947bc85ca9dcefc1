import { type JsonValue, parseSchema } from "@lakesync/core";
import assert from "node:assert/strict";
import { rulesProblems, rulesSummary } from "./rules_problems.ts";

const TODOS = parseSchema({
  version: 1,
  tables: {
    todos: { primaryKey: ["id"], columns: { id: "string", owner: "string" } },
    members: { primaryKey: ["id"], columns: { id: "string", user: "string", list: "string" } },
    events: { primaryKey: ["id"], columns: { id: "string" } },
  },
});

const mine = (column: string): JsonValue => ({
  name: "mine",
  tables: ["todos"],
  filters: [{ column, op: "eq", value: "jwt:sub" }],
});

const shared: JsonValue = {
  name: "shared",
  parameters: {
    lists: {
      from: "members",
      column: "list",
      filters: [{ column: "user", op: "eq", value: "jwt:sub" }],
    },
  },
  tables: [{ table: "todos", key: "id" }],
};

const write = (column: string, param = "lists"): JsonValue => ({
  tables: ["todos"],
  ops: ["UPDATE"],
  filters: [{ column, op: "in", value: `param:${param}` }],
});

/** The places of the problems. */
function places(rules: unknown): string[] {
  return rulesProblems(rules, TODOS).map((problem) => {
    const [, place] = /^Rules at (\S+): ./.exec(problem) ?? [];
    assert.ok(place, problem);
    return place;
  });
}

Deno.test("rulesProblems finds nothing in rules that are valid", () => {
  const tables = { events: { mode: "upload-only" } };
  const rules = { buckets: [mine("owner"), shared], write: [write("id")], tables };
  assert.deepEqual(rulesProblems(rules, TODOS), []);
});

Deno.test("rulesProblems tells each problem once, with its own place", () => {
  const rules = {
    buckets: [mine("ownr"), shared, mine("ower")],
    write: [write("id"), write("idd"), write("id", "list")],
  };
  assert.deepEqual(places(rules), [
    "$.buckets[0].filters[0].column",
    "$.buckets[2].filters[0].column",
    "$.write[1].filters[0].column",
    "$.write[2].filters[0].value",
  ]);
});

Deno.test("rulesProblems tells what concerns all rules once", () => {
  assert.deepEqual(places([]), ["$"]);
  assert.deepEqual(places({ buckets: [mine("owner")], colour: 1 }), ["$"]);
  assert.deepEqual(places({ buckets: [shared, mine("owner"), mine("owner")] }), [
    "$.buckets[2].name",
  ]);
  assert.deepEqual(places({ buckets: [mine("ownr")], tables: { todos: { mode: "x" } } }), [
    "$.tables.todos.mode",
  ]);
});

Deno.test("rulesSummary counts buckets, write rules, and the tables that either has", () => {
  const write = [{ tables: ["todos", "members"], ops: ["INSERT"] }, {
    tables: ["members"],
    ops: ["DELETE"],
  }];
  const summary = (rules: JsonValue) => rulesSummary(rules, TODOS);
  assert.equal(
    summary({ buckets: [mine("owner"), shared], write }),
    "buckets: 2, write rules: 2, tables: 2 of 3",
  );
  assert.equal(
    summary({ buckets: [{ name: "all", tables: ["*"] }] }),
    "buckets: 1, write rules: 0, tables: 3 of 3",
  );
});
