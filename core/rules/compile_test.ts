import assert from "node:assert/strict";
import { parseSchema } from "../schema.ts";
import { type CompiledRules, compileRules, type Family, type Naming } from "./compile.ts";
import { parseRules } from "./parse.ts";
import { Scope } from "./scope.ts";
import { type FilterSpec, OPEN_RULES, type RulesSpec, type TableRuleSpec } from "./spec.ts";
import { EXAMPLE, LISTS, lookupIn, rowReader } from "./testing_rules.ts";

function compile(spec: RulesSpec, naming?: Naming): CompiledRules {
  return compileRules(parseRules(spec, LISTS), naming);
}

function todos(...filters: readonly FilterSpec[]): RulesSpec {
  return { buckets: [{ name: "some", tables: [{ table: "todos", filters }] }] };
}

function signatures(spec: RulesSpec): readonly string[] {
  const { families, lookups } = compile(spec);
  return [...families, ...lookups].map((family) => family.signature);
}

function only(families: readonly Family[]): Family {
  const [family] = families;
  assert.ok(family !== undefined && families.length === 1);
  return family;
}

Deno.test("compileRules makes one family of tables with the same operands and one look-up", () => {
  const { families, lookups, byTable } = compile(EXAMPLE);
  assert.deepStrictEqual(
    families.map(({ name, tables }) => [name, [...tables.keys()]]),
    [["mine", ["todos", "preferences"]], ["by_list", ["lists", "todos"]]],
  );
  assert.deepStrictEqual(
    lookups.map(({ name, kind, yields }) => [name, kind, yields]),
    [["param:list", "lookup", "list_id"]],
  );
  assert.deepStrictEqual(byTable.get("todos"), { families, lookups: [] });
  assert.deepStrictEqual(byTable.get("members"), { families: [], lookups });
  const shown = families[1]?.tables.get("todos")?.columns;
  assert.deepStrictEqual([...shown ?? []], ["id", "title", "done", "list_id"]);
  assert.equal(families[1]?.tables.get("lists")?.columns, undefined);
});

Deno.test("FamilyTable.keysOf gives canonical JSON keys, one for each element, none for null", () => {
  const family = only(
    compile(todos(
      { column: "tags", op: "contains", value: "jwt:tag" },
      { column: "level", op: "eq", value: "jwt:level" },
      { column: "done", op: "eq", value: false },
    )).families,
  );
  const keysOf = (row: Record<string, unknown>) =>
    family.tables.get("todos")?.keysOf(rowReader({ done: false, level: 1, ...row } as never));
  assert.deepStrictEqual(keysOf({ tags: ["b", "a", "b", null, {}] }), ['[1,"b"]', '[1,"a"]']);
  assert.deepStrictEqual(keysOf({ tags: [] }), []);
  assert.deepStrictEqual(keysOf({ tags: "a" }), []);
  assert.deepStrictEqual(keysOf({ tags: ["a"], level: null }), []);
  assert.deepStrictEqual(keysOf({ tags: ["a"], done: true }), []);
  assert.deepStrictEqual(keysOf({ tags: ["a"], done: null }), []);
  const whole = only(compile({ buckets: [{ name: "w", tables: ["todos"] }] }).families);
  assert.deepStrictEqual(whole.tables.get("todos")?.keysOf(rowReader({})), ["[]"]);
});

Deno.test("FamilyTable.holds judges residual conditions over stored values", () => {
  const compiled = compile(todos(
    { column: "level", op: "lte", value: "jwt:level" },
    { column: "user_id", op: "nin", value: "jwt:blocked" },
  ));
  const table = only(compiled.families).tables.get("todos");
  assert.deepStrictEqual(table?.residualColumns, ["level", "user_id"]);
  const claims = { level: 5, blocked: ["eve"] };
  const [grant] = new Scope(compiled, claims, () => undefined).grants();
  assert.deepStrictEqual(grant?.residual, [["eve"], 5]);
  const holds = (...values: (number | bigint | string | null)[]) =>
    table?.holds(grant?.residual ?? [], values);
  assert.equal(holds(5, "bob"), true);
  assert.equal(holds(6, "bob"), false);
  assert.equal(holds(2n ** 60n, "bob"), false);
  assert.equal(holds(5, "eve"), false);
  assert.equal(holds(5, null), false);
  const without = [{ level: 5 }, { blocked: [] }, { level: [5], blocked: [] }, {
    level: "x",
    blocked: [],
  }];
  for (const claims of without) {
    assert.deepStrictEqual(new Scope(compiled, claims, () => undefined).grants(), []);
  }
});

Deno.test("compileRules keeps a signature when only the source of an operand or its order changes", () => {
  const base = todos({ column: "user_id", op: "eq", value: "jwt:sub" });
  const same = [
    todos({ column: "user_id", op: "eq", value: "jwt:uid" }),
    todos({ column: "user_id", op: "in", value: "jwt:uids" }),
    todos({ column: "user_id", op: "eq", value: "jwt:sub" }, { claim: "a", op: "eq", value: 1 }),
  ];
  for (const spec of same) assert.deepStrictEqual(signatures(spec), signatures(base));
  const [a, b]: FilterSpec[] = [
    { column: "level", op: "in", value: [1, 2] },
    { column: "done", op: "eq", value: true },
  ];
  assert.ok(a && b);
  assert.deepStrictEqual(signatures(todos(a, b)), signatures(todos(b, a)));
});

Deno.test("compileRules changes a signature with rows, keys, projection, residuals or the name", () => {
  const eq: FilterSpec = { column: "user_id", op: "eq", value: "jwt:sub" };
  const lte: FilterSpec = { column: "level", op: "lte", value: "jwt:level" };
  const table = (more: Partial<TableRuleSpec>, name = "some"): RulesSpec => ({
    buckets: [{ name, tables: [{ table: "todos", filters: [eq], ...more }] }],
  });
  const all = [
    table({}),
    table({}, "other"),
    table({ columns: ["title"] }),
    table({ filters: [] }),
    table({ filters: [{ ...eq, column: "list_id" }] }),
    table({ filters: [eq, { column: "level", op: "eq", value: 1 }] }),
    table({ filters: [eq, { column: "level", op: "eq", value: 2 }] }),
    table({ filters: [eq, lte] }),
    table({ filters: [eq, { ...lte, op: "lt" }] }),
    table({ filters: [{ any: [eq, { ...eq, column: "list_id" }] }] }),
    { buckets: [{ name: "some", tables: ["todos", "lists"] }] },
    { buckets: [{ name: "some", tables: ["*"] }] },
  ].map((spec) => JSON.stringify(signatures(spec)));
  assert.equal(new Set(all).size, all.length);
});

Deno.test("compileRules touches only the family whose bucket changed", () => {
  const edited: RulesSpec = {
    ...EXAMPLE,
    buckets: EXAMPLE.buckets.map((bucket) =>
      bucket.name === "mine" ? { ...bucket, tables: ["todos"] } : bucket
    ),
  };
  const [before, after] = [signatures(EXAMPLE), signatures(edited)];
  assert.deepStrictEqual(before.slice(1), after.slice(1));
  assert.notEqual(before[0], after[0]);
});

Deno.test("compileRules uses tokens in signatures, so that a renamed column changes none", () => {
  const spec = (owner: string) => {
    const schema = parseSchema({
      version: 1,
      tables: { todos: { primaryKey: ["id"], columns: { id: "string", [owner]: "string" } } },
    });
    const rules = {
      parameters: { p: { from: "todos", column: owner } },
      buckets: [{
        name: "mine",
        tables: [{
          table: "todos",
          columns: [owner],
          filters: [{ column: owner, op: "eq", value: "jwt:sub" }],
        }],
      }],
    };
    const column = (_: string, name: string) => name === "id" ? "1" : "2";
    const compiled = compileRules(parseRules(rules, schema), { table: () => "7", column });
    return [...compiled.families, ...compiled.lookups].map((family) => family.signature);
  };
  assert.deepStrictEqual(spec("owner"), spec("assignee"));
});

Deno.test("OPEN_RULES hold every row in one bucket, whose signature no added table changes", () => {
  const more = parseSchema({
    version: 2,
    tables: { ...LISTS.spec.tables, notes: { primaryKey: ["id"], columns: { id: "string" } } },
  });
  const [before, after] = [compile(OPEN_RULES), compileRules(parseRules(OPEN_RULES, more))];
  assert.equal(only(before.families).signature, only(after.families).signature);
  assert.equal(only(after.families).tables.size, 5);
  const without = compile({ ...OPEN_RULES, tables: { lists: { mode: "upload-only" } } });
  assert.notEqual(only(without.families).signature, only(before.families).signature);
  const scope = new Scope(after, {}, () => undefined);
  assert.deepStrictEqual(scope.grants().map(({ family, key }) => family.name + key), ["all[]"]);
  assert.ok(scope.allows("notes", "DELETE", rowReader({})));
});

Deno.test("compileRules names families apart and grants a key of each once", () => {
  const compiled = compile(todos({
    any: [
      { column: "user_id", op: "eq", value: "jwt:sub" },
      { column: "list_id", op: "in", value: "jwt:lists" },
      { column: "level", op: "gt", value: "jwt:a" },
      { column: "level", op: "gt", value: "jwt:b" },
      { column: "user_id", op: "in", value: "jwt:team" },
    ],
  }));
  assert.deepStrictEqual(compiled.families.map(({ name }) => name), [
    "some",
    "some#2",
    "some#3",
    "some#4",
  ]);
  const claims = { sub: "alice", team: ["bob", "alice", "bob"], a: 1, b: 2 };
  const grants = new Scope(compiled, claims, lookupIn({})).grants();
  assert.deepStrictEqual(grants.map(({ family, key, residual }) => [family.name, key, residual]), [
    ["some", '["alice"]', []],
    ["some", '["bob"]', []],
    ["some#3", "[]", [1]],
    ["some#4", "[]", [2]],
  ]);
});
