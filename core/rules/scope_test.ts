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

Deno.test("G8: Scope.allows nothing by nin while the look-up is missing", () => {
  const blocked = compileRules(parseRules({
    parameters: {
      blocked: {
        from: "members",
        column: "user_id",
        filters: [{ column: "role", op: "eq", value: "jwt:role" }],
      },
    },
    buckets: [{
      name: "some",
      tables: ["todos"],
      filters: [{ claim: "sub", op: "nin", value: "param:blocked" }],
    }],
    write: [{
      tables: ["todos"],
      ops: ["INSERT"],
      filters: [{ column: "user_id", op: "nin", value: "param:blocked" }],
    }],
  }, LISTS));
  const claims = { sub: "alice", role: "blocked" };
  const row = rowReader({ user_id: "alice" });
  const none = new Scope(blocked, claims, () => undefined);
  assert.equal(none.allows("todos", "INSERT", row), false);
  assert.equal(none.missing.length, 1);
  assert.deepStrictEqual(none.grants(), []);
  assert.equal(none.missing.length, 1);
  const empty = new Scope(blocked, claims, lookupIn({}));
  assert.equal(empty.allows("todos", "INSERT", row), true);
  assert.equal(empty.allows("todos", "INSERT", rowReader({})), false);
  assert.equal(empty.grants().length, 1);
});

Deno.test("Scope.allows asks for nothing more when another rule holds", () => {
  const [write] = EXAMPLE.write ?? [];
  assert.ok(write);
  const own = { ...write, filters: [{ column: "user_id", op: "eq", value: "jwt:sub" }] };
  const two = compileRules(parseRules({ ...EXAMPLE, write: [write, own] }, LISTS));
  const scope = new Scope(two, { sub: "alice" }, () => undefined);
  const row = { list_id: "l1", user_id: "alice" };
  assert.equal(scope.allows("todos", "UPDATE", rowReader(row)), true);
  assert.deepStrictEqual(scope.missing, []);
  assert.equal(scope.allows("todos", "UPDATE", rowReader({ ...row, user_id: "bob" })), false);
  assert.equal(scope.missing.length, 1);
});

Deno.test("G8: Scope sees look-ups change between two calls", () => {
  const members: { id: string; list_id: string; user_id: string }[] = [];
  const scope = new Scope(compiled, { sub: "alice" }, lookupIn({ members }));
  const row = rowReader({ list_id: "l1" });
  assert.equal(scope.allows("todos", "INSERT", row), false);
  assert.equal(scope.grants().length, 1);
  members.push({ id: "m1", list_id: "l1", user_id: "alice" });
  assert.equal(scope.allows("todos", "INSERT", row), true);
  assert.equal(scope.grants().length, 2);
});

Deno.test("G11: Scope.grants refuses a caller who is granted more than 10,000 buckets", () => {
  const members = Array.from({ length: 10_000 }, (_, i) => ({
    id: `m${i}`,
    list_id: `l${i}`,
    user_id: i === 0 ? "bob" : "alice",
  }));
  const scope = (sub: string, rows: typeof members) =>
    new Scope(compiled, { sub }, lookupIn({ members: rows }));
  assert.equal(scope("alice", members).grants().length, 10_000);
  const more = [...members, { id: "m", list_id: "l", user_id: "alice" }];
  assert.throws(() => scope("alice", more).grants(), { code: "FORBIDDEN" });
  assert.equal(scope("bob", more).grants().length, 2);
});
