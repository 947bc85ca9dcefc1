import assert from "node:assert/strict";
import { compileRules } from "./compile.ts";
import { parseRules } from "./parse.ts";
import { type Grant, Scope } from "./scope.ts";
import { EXAMPLE, LISTS, lookupIn, rowReader } from "./testing_rules.ts";

const compiled = compileRules(parseRules(EXAMPLE, LISTS));

const DATA = {
  members: [
    { id: "m1", list_id: "l1", user_id: "alice" },
    { id: "m2", list_id: "l2", user_id: "alice" },
    { id: "m3", list_id: "l3", user_id: "bob" },
    { id: "m4", list_id: null, user_id: "alice" },
  ],
};

function names(grants: readonly Grant[]): readonly string[] {
  return grants.map(({ family, key }) => `${family.name}${key}`);
}

Deno.test("Scope.grants gives the buckets of claims and of memberships, in order", () => {
  const scope = new Scope(compiled, { sub: "alice" }, lookupIn(DATA));
  assert.deepStrictEqual(names(scope.grants()), [
    'mine["alice"]',
    'by_list["l1"]',
    'by_list["l2"]',
  ]);
  assert.deepStrictEqual(scope.missing, []);
  assert.deepStrictEqual(names(new Scope(compiled, {}, lookupIn(DATA)).grants()), []);
});

Deno.test("Scope says which look-ups are missing and grants nothing by them", () => {
  const loaded = new Set<string>();
  const scope = new Scope(
    compiled,
    { sub: "alice" },
    (family, key) => loaded.has(key) ? lookupIn(DATA)(family, key) : undefined,
  );
  assert.deepStrictEqual(names(scope.grants()), ['mine["alice"]']);
  assert.deepStrictEqual(
    scope.missing.map(({ family, key }) => `${family.name}${key}`),
    ['param:list["alice"]'],
  );
  assert.equal(scope.allows("todos", "INSERT", rowReader({ list_id: "l1" })), false);
  assert.equal(scope.missing.length, 1);
  loaded.add('["alice"]');
  assert.equal(scope.grants().length, 3);
  assert.equal(scope.missing.length, 0);
  assert.equal(scope.allows("todos", "INSERT", rowReader({ list_id: "l1" })), true);
});

Deno.test("G8: Scope.allows where a rule for the table and the operation holds of the row", () => {
  const scope = new Scope(compiled, { sub: "alice" }, lookupIn(DATA));
  assert.equal(scope.allows("todos", "UPDATE", rowReader({ list_id: "l2" })), true);
  assert.equal(scope.allows("todos", "UPDATE", rowReader({ list_id: "l3" })), false);
  assert.equal(scope.allows("todos", "UPDATE", rowReader({})), false);
  assert.equal(scope.allows("lists", "UPDATE", rowReader({ id: "l1" })), false);
  assert.equal(scope.hasWriteRule("todos", "DELETE"), true);
  assert.equal(scope.hasWriteRule("lists", "DELETE"), false);
});
