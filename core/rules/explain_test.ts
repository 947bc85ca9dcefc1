import assert from "node:assert/strict";
import { compileRules } from "./compile.ts";
import { explainRead, explainWrite, formatExplanation } from "./explain.ts";
import { parseRules } from "./parse.ts";
import { EXAMPLE, LISTS, lookupIn, rowReader } from "./testing_rules.ts";

const compiled = compileRules(
  parseRules({ ...EXAMPLE, tables: { preferences: { mode: "download-only" } } }, LISTS),
);
const lookup = lookupIn({ members: [{ id: "m1", list_id: "l1", user_id: "alice" }] });
const row = rowReader({ id: "t1", list_id: "l1", user_id: "bob" });

Deno.test("explainRead names each bucket with its conditions and values", () => {
  const explanation = explainRead(compiled, { sub: "alice" }, lookup, "todos", row);
  assert.equal(explanation.allowed, true);
  assert.deepStrictEqual(explanation.rules.map(({ name, holds }) => [name, holds]), [
    ["mine", false],
    ["by_list", true],
  ]);
  assert.deepStrictEqual(formatExplanation(explanation), [
    "READ todos: allowed",
    "  - mine",
    '    - user_id eq jwt:sub: left side is "bob", right side ["alice"]',
    "  + by_list (shows id, title, done, list_id)",
    '    + list_id in param:list: left side is "l1", right side ["l1"]',
  ]);
});

Deno.test("explainRead says which look-ups are missing", () => {
  const explanation = explainRead(compiled, { sub: "alice" }, () => undefined, "todos", row);
  assert.equal(explanation.allowed, false);
  assert.equal(explanation.rules[1]?.holds, undefined);
  assert.equal(formatExplanation(explanation).at(-1), '  not loaded: param:list["alice"]');
});

Deno.test("explainWrite says that no rule names the operation, or that the table is read only", () => {
  const lists = explainWrite(compiled, { sub: "alice" }, lookup, "lists", row, "UPDATE");
  assert.deepStrictEqual(formatExplanation(lists), [
    "UPDATE lists: not allowed",
    "  no write rule for UPDATE",
  ]);
  const own = explainWrite(compiled, {}, lookup, "preferences", row, "INSERT");
  assert.equal(formatExplanation(own)[1], "  the table is download-only");
  const todos = explainWrite(compiled, {}, lookup, "todos", row, "INSERT");
  assert.deepStrictEqual(formatExplanation(todos), [
    "INSERT todos: not allowed",
    "  - write[0]",
    '    - list_id in param:list: left side is "l1", right side is empty',
  ]);
});
