import assert from "node:assert/strict";
import { LakeSyncError } from "../errors.ts";
import { parseSchema } from "../schema.ts";
import { defineRules } from "./define.ts";
import { parseRules } from "./parse.ts";
import { OPEN_RULES, RULE_LIMITS } from "./spec.ts";
import { EXAMPLE, LISTS } from "./testing_rules.ts";

const SCHEMA = parseSchema({
  version: 1,
  tables: {
    ...LISTS.spec.tables,
    events: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        data: "bytes",
        ref: "uuid",
        day: "date",
        labels: { type: "json", merge: "set" },
      },
    },
  },
});

function refuses(input: unknown, message: RegExp): void {
  assert.throws(() => parseRules(input, SCHEMA), (error) => {
    assert.ok(error instanceof LakeSyncError);
    assert.equal(error.code, "VALIDATION_ERROR");
    assert.match(error.message, message);
    return true;
  });
}

function bucket(more: Record<string, unknown>): unknown {
  return { buckets: [{ name: "some", tables: ["todos"], ...more }] };
}

/** Rules with one filter on a table. */
function filter(filter: unknown, table = "todos"): unknown {
  return {
    parameters: { list: { from: "members", column: "list_id" } },
    ...bucket({ tables: [table], filters: [filter] }) as Record<string, unknown>,
  };
}

Deno.test("parseRules takes the example and the open rules", () => {
  const rules = parseRules(JSON.parse(JSON.stringify(EXAMPLE)), SCHEMA);
  assert.deepStrictEqual(rules.buckets.map(({ name }) => name), ["mine", "by_list"]);
  assert.deepStrictEqual(rules.spec, EXAMPLE);
  assert.deepStrictEqual([...rules.parameters.keys()], ["list"]);
  assert.equal(parseRules(OPEN_RULES, SCHEMA).writes.length, SCHEMA.tables.size);
});

Deno.test("parseRules points at the place", () => {
  refuses(
    filter({ column: "x", op: "eq", value: 1 }),
    /^Rules at \$\.buckets\[0\]\.filters\[0\]\.column: no column "x" in table todos$/,
  );
  refuses(
    filter({ any: [{ all: [{ column: "done", op: "eq", value: "yes" }] }] }),
    /^Rules at \$\.buckets\[0\]\.filters\[0\]\.any\[0\]\.all\[0\]\.value: the column takes true/,
  );
  refuses({ buckets: [], writes: [] }, /^Rules at \$: unknown field "writes"$/);
  refuses({}, /^Rules at \$\.buckets: must be an array$/);
  refuses(null, /^Rules at \$: must be an object$/);
  refuses(
    { buckets: [], write: [{ tables: ["todos"], ops: ["UPSERT"] }] },
    /^Rules at \$\.write\[0\]\.ops\[0\]: must be one of INSERT, UPDATE, DELETE$/,
  );
});

Deno.test("parseRules refuses conditions that cannot mean anything", () => {
  const wrong: readonly [Record<string, unknown>, RegExp, string?][] = [
    [{ op: "eq", value: 1 }, /exactly one of column and claim/],
    [{ column: "id", claim: "sub", op: "eq", value: 1 }, /exactly one of column and claim/],
    [{ column: "id", op: "like", value: "a" }, /must be one of eq, neq/],
    [{ column: "id", op: "eq" }, /the value is missing/],
    [{ column: "id", op: "eq", value: null }, /use isNull/],
    [{ column: "id", op: "in", value: [null] }, /use isNull/],
    [{ column: "id", op: "eq", value: ["a"] }, /use in/],
    [{ column: "list_id", op: "eq", value: "param:list" }, /use in/],
    [{ column: "list_id", op: "in", value: "param:lists" }, /no parameter "lists"/],
    [{ column: "level", op: "in", value: "param:list" }, /type string, the column has integer/],
    [{ column: "id", op: "in", value: "a" }, /takes an array/],
    [{ column: "id", op: "in", value: ["jwt:sub"] }, /write \{"literal": "jwt:sub"\}/],
    [{ column: "id", op: "eq", value: "jwt:" }, /must be a text/],
    [{ column: "id", op: "isNull", value: 1 }, /true or false/],
    [{ column: "id", op: "contains", value: "a" }, /takes a set or a json column/],
    [{ column: "labels", op: "eq", value: "a" }, /only contains and isNull/, "events"],
    [{ column: "labels", op: "contains", value: { a: 1 } }, /unknown field "a"/, "events"],
    [{ column: "level", op: "eq", value: 1.5 }, /whole number/],
    [{ column: "due", op: "gt", value: "2026-01-01" }, /RFC 3339/],
    [{ column: "price", op: "gt", value: 1 }, /decimal text/],
    [{ column: "done", op: "gt", value: true }, /boolean has no order/],
    [{ column: "ref", op: "lt", value: "jwt:ref" }, /uuid has no order/, "events"],
    [{ column: "data", op: "lt", value: "AA==" }, /bytes has no order/, "events"],
    [{ claim: "a", op: "gt", value: true }, /no order/],
    [{ any: [] }, /at least one filter/],
    [{ any: [], all: [] }, /unknown field/],
  ];
  for (const [condition, message, table] of wrong) refuses(filter(condition, table), message);
});

Deno.test("parseRules takes a literal that looks like a claim, and literals of the column's type", () => {
  const right: readonly [Record<string, unknown>, string?][] = [
    [{ column: "id", op: "eq", value: { literal: "jwt:sub" } }],
    [{ column: "id", op: "in", value: [{ literal: "param:x" }, "a"] }],
    [{ column: "id", op: "in", value: [] }],
    [{ column: "id", op: "isNull" }],
    [{ column: "price", op: "gt", value: "1.50" }],
    [{ column: "level", op: "eq", value: "9007199254740993" }],
    [{ column: "data", op: "eq", value: "AA==" }, "events"],
    [{ column: "labels", op: "contains", value: "a" }, "events"],
    [{ claim: "https://acme.com/roles", op: "contains", value: "admin" }],
    [{ claim: "sub", op: "in", value: "param:list" }],
  ];
  for (const [condition, table] of right) parseRules(filter(condition, table), SCHEMA);
});

Deno.test("parseRules checks buckets, tables, keys and projections", () => {
  const list = { from: "members", column: "list_id" };
  const keyed = { tables: [{ table: "todos", key: "list_id" }] };
  refuses(bucket({ name: "a b" }), /name must be an identifier/);
  refuses(
    { buckets: [{ name: "a", tables: ["todos"] }, { name: "a", tables: ["lists"] }] },
    /twice/,
  );
  refuses(bucket({ tables: [] }), /at least one table/);
  refuses(bucket({ tables: ["nope"] }), /no table "nope"/);
  refuses(bucket({ tables: ["*", "todos"] }), /the table todos is there twice/);
  refuses(bucket({ tables: [{ table: "todos", columns: ["nope"] }] }), /columns\[0\]: no column/);
  refuses(bucket(keyed), /exactly one parameter/);
  refuses(bucket({ ...keyed, parameters: { a: list, b: list } }), /exactly one parameter/);
  const chain = {
    list: { ...list, filters: [{ column: "role", op: "in", value: "param:roles" }] },
    roles: { from: "lists", column: "name" },
  };
  const rules = parseRules(bucket({ ...keyed, parameters: chain }), SCHEMA);
  const filter = rules.buckets[0]?.tables[0]?.conjuncts[0]?.[0];
  assert.deepStrictEqual(filter?.operand, { kind: "param", name: "list" });
  const used = [{ column: "title", op: "in", value: "param:roles" }];
  refuses(bucket({ ...keyed, parameters: chain, filters: used }), /exactly one parameter/);
});

Deno.test("parseRules shows the key's columns in every projection", () => {
  const rules = parseRules(bucket({ tables: [{ table: "todos", columns: ["title"] }] }), SCHEMA);
  assert.deepStrictEqual([...rules.buckets[0]?.tables[0]?.columns ?? []], ["id", "title"]);
});

Deno.test("parseRules takes chains of two parameters and refuses cycles and longer ones", () => {
  const by = (...names: string[]) => ({
    from: "members",
    column: "list_id",
    filters: names.map((name) => ({ column: "user_id", op: "in", value: `param:${name}` })),
  });
  const parameters = (parameters: unknown) => ({ buckets: [], parameters });
  parseRules(parameters({ a: by("b", "c"), b: by(), c: by() }), SCHEMA);
  refuses(parameters({ a: by("a") }), /depends on itself/);
  refuses(parameters({ a: by("b"), b: by("a") }), /cycle/);
  refuses(parameters({ a: by("b"), b: by("c"), c: by() }), /more than two: a, b, c/);
  refuses(
    {
      parameters: { a: by() },
      buckets: [{ name: "x", tables: ["*"], parameters: { a: by("b"), b: by() } }],
    },
    /taken by another parameter at \$\.parameters\.a/,
  );
  parseRules({ parameters: { a: by() }, ...bucket({ parameters: { a: by() } }) as object }, SCHEMA);
  const residual = { ...by(), filters: [{ column: "role", op: "neq", value: "jwt:role" }] };
  refuses(parameters({ a: residual }), /in a parameter neq compares columns with literals only/);
});

Deno.test("parseRules keeps upload-only tables out of buckets and parameters", () => {
  const tables = { events: { mode: "upload-only" }, lists: { mode: "download-only" } };
  const rules = parseRules({ tables, ...bucket({ tables: ["*"] }) as object }, SCHEMA);
  assert.deepStrictEqual(rules.buckets[0]?.tables.map(({ table }) => table.name), [
    "lists",
    "members",
    "todos",
    "preferences",
  ]);
  assert.deepStrictEqual([...rules.modes], [["events", "upload-only"], ["lists", "download-only"]]);
  refuses({ tables, ...bucket({ tables: ["events"] }) as object }, /tables\[0\]: .*upload-only/);
  refuses(
    { tables, buckets: [], parameters: { a: { from: "events", column: "id" } } },
    /upload-only/,
  );
  refuses({ tables: { events: { mode: "up" } }, buckets: [] }, /must be one of two-way/);
});

Deno.test("parseRules bounds what a rule set may be", () => {
  const condition = { column: "level", op: "eq", value: 1 };
  const buckets = (n: number) =>
    Array.from({ length: n }, (_, i) => ({ name: `b${i}`, tables: ["todos"] }));
  parseRules({ buckets: buckets(RULE_LIMITS.maxBuckets) }, SCHEMA);
  refuses({ buckets: buckets(RULE_LIMITS.maxBuckets + 1) }, /at most 200 buckets/);
  parseRules(bucket({ filters: Array(1_000).fill(condition) }), SCHEMA);
  refuses(bucket({ filters: Array(1_001).fill(condition) }), /at most 1000 conditions/);
  const pair = (i: number) => ({
    any: [{ ...condition, value: 2 * i }, { ...condition, value: 2 * i + 1 }],
  });
  const pairs = (n: number) => Array.from({ length: n }, (_, i) => pair(i));
  assert.equal(
    parseRules(bucket({ filters: pairs(6) }), SCHEMA).buckets[0]?.tables[0]?.conjuncts.length,
    64,
  );
  refuses(bucket({ filters: pairs(7) }), /more than 64 alternatives/);
  let deep: unknown = condition;
  for (let i = 0; i < 10; i++) deep = { any: [deep] };
  refuses(bucket({ filters: [deep] }), /nested too deep/);
  refuses(
    bucket({ filters: [{ column: "level", op: "in", value: Array(1_001).fill(1) }] }),
    /at most 1000 literals/,
  );
});

Deno.test("defineRules checks names of tables and columns against the schema literal", () => {
  const schema = {
    version: 1,
    tables: { todos: { primaryKey: ["id"], columns: { id: "string", owner: "string" } } },
  } as const;
  const mine = [{ column: "owner", op: "eq", value: "jwt:sub" }] as const;
  const rules = defineRules(schema, {
    buckets: [{ name: "mine", tables: ["*"], filters: mine }],
    write: [{ tables: ["todos"], ops: ["INSERT"], filters: mine }],
  });
  assert.equal(rules.buckets[0]?.name, "mine");
  const refuse = (make: () => unknown) => assert.throws(make, { code: "VALIDATION_ERROR" });
  const bucket = { name: "a", tables: ["todos"] } as const;
  const tables = ["todo"] as const;
  // @ts-expect-error no such table
  refuse(() => defineRules(schema, { buckets: [{ ...bucket, tables }] }));
  const shown = [{ table: "todos", columns: ["nope"] }] as const;
  // @ts-expect-error no such column
  refuse(() => defineRules(schema, { buckets: [{ ...bucket, tables: shown }] }));
  const filters = [{ column: "nope", op: "eq", value: 1 }] as const;
  // @ts-expect-error no such column in a filter
  refuse(() => defineRules(schema, { buckets: [{ ...bucket, filters }] }));
});
