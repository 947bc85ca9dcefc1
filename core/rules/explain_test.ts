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
    '    - user_id eq jwt:sub: left side is "bob", right side is "alice"',
    "  + by_list (shows id, title, done, list_id)",
    '    + list_id in param:list: left side is "l1", right side is ["l1"]',
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

Deno.test("formatExplanation tells a claim that is a text from an array, and what takes an array", () => {
  const line = (op: string, orgs: unknown): string | undefined => {
    const filters = [{ column: "user_id", op, value: "jwt:orgs" }];
    const rules = parseRules({ buckets: [{ name: "b", tables: ["todos"], filters }] }, LISTS);
    const explanation = explainRead(compileRules(rules), { orgs }, lookup, "todos", row);
    return formatExplanation(explanation).at(-1)?.trim();
  };
  const left = (op: string) => `user_id ${op} jwt:orgs: left side is "bob", right side`;
  assert.equal(line("eq", "bob"), `+ ${left("eq")} is "bob"`);
  assert.equal(
    line("eq", ["bob"]),
    `- ${left("eq")} is ["bob"]; the claim is an array, eq needs one value (use in)`,
  );
  assert.equal(
    line("neq", ["eve"]),
    `- ${left("neq")} is ["eve"]; the claim is an array, neq needs one value (use nin)`,
  );
  assert.equal(
    line("gt", []),
    `- ${left("gt")} is empty; the claim is an array, gt needs one value`,
  );
  assert.equal(line("in", ["bob", null]), `+ ${left("in")} is ["bob"]`);
  assert.equal(line("in", "bob"), `+ ${left("in")} is "bob"`);
  assert.equal(line("eq", undefined), `- ${left("eq")} is missing`);
});
