import fc from "fast-check";
import assert from "node:assert/strict";
import type { RulesSpec, Value } from "@lakesync/core";
import type { Caller } from "./gateway.ts";
import { ALICE, at, delta, openFixture, Puller, push, tx } from "./testing_fixture.ts";

const TABLES = ["todos", "notes", "members"] as const;

const SCHEMA = {
  version: 1,
  tables: Object.fromEntries(
    TABLES.map((name) => [name, {
      primaryKey: ["id"],
      columns: { id: "string", list: "string", n: "integer" },
    }]),
  ),
};

const WRITE = [{ tables: ["*"], ops: ["INSERT", "UPDATE", "DELETE"] }] as const;

/** Everything in one bucket, tables that share buckets, and buckets of one table each. */
const RULES: readonly (RulesSpec | undefined)[] = [
  undefined,
  { buckets: [{ name: "all", tables: ["*"] }], write: WRITE },
  {
    buckets: [
      {
        name: "by_list",
        tables: ["todos", "notes"],
        filters: [{ column: "list", op: "in", value: "jwt:lists" }],
      },
      { name: "members", tables: ["members"] },
    ],
    write: WRITE,
  },
];

const table = fc.constantFrom(...TABLES);
const row = fc.constantFrom("a", "b", "c", "d");

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("write" as const), table, row, list: row }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("delete" as const), table, row }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("reach" as const),
      deny: fc.subarray([...TABLES]),
      allow: fc.option(fc.subarray([...TABLES]), { nil: undefined, freq: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("pull" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rules" as const), at: fc.nat(2) }) },
);

const READER: Caller = { ...ALICE, claims: { sub: "alice", lists: ["a", "b"] } };
/** What the reader sees of rules 2, of tables that are filtered. */
const SEEN = ["a", "b"];

Deno.test("G7: whatever is closed, opened, written and put in between, a client has what it may see", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(2), fc.array(step, { maxLength: 25 }), async (first, steps) => {
      let reach: { deny: string[]; allow?: string[] | undefined } = { deny: [] };
      await using fixture = await openFixture(undefined, {
        tablesOf: () => ({
          deny: reach.deny,
          ...(reach.allow === undefined ? {} : { allow: reach.allow }),
        }),
      });
      const gateway = await fixture.gateways.create("laws");
      await gateway.putSchema(SCHEMA);
      let rules = RULES[first];
      if (rules !== undefined) await gateway.putRules(rules, 5_000);
      const rows = new Map<string, string>();
      const isClosed = (name: string) =>
        reach.deny.includes(name) || reach.allow !== undefined && !reach.allow.includes(name);
      const reader = new Puller(gateway, "reader", 2, 1, READER);
      let mutationId = 0;
      const write = async (
        op: "INSERT" | "DELETE",
        name: string,
        rowId: string,
        columns: Record<string, Value>,
      ) => {
        const stamp = at(++mutationId);
        const { rejected } = await push(gateway, "writer", [
          tx(mutationId, delta(op, rowId, stamp, columns, name)),
        ]);
        assert.deepEqual(
          rejected.map(({ code }) => code),
          isClosed(name) ? ["FORBIDDEN_WRITE"] : [],
        );
        return rejected.length === 0;
      };
      for (const one of steps) {
        switch (one.kind) {
          case "write": {
            const { table: name, row: rowId, list } = one;
            const columns = { list, n: BigInt(mutationId) };
            if (await write("INSERT", name, rowId, columns)) rows.set(`${name}/${rowId}`, list);
            break;
          }
          case "delete":
            if (await write("DELETE", one.table, one.row, {})) {
              rows.delete(`${one.table}/${one.row}`);
            }
            break;
          case "reach":
            reach = { deny: one.deny, allow: one.allow };
            await gateway.refreshTables(5_000);
            break;
          case "rules":
            if (RULES[one.at] === undefined) break;
            rules = RULES[one.at];
            await gateway.putRules(rules, 5_000);
            break;
          case "pull":
            await reader.pull();
        }
      }
      await reader.pull();
      const fresh = new Puller(gateway, "fresh", 100, 1, READER);
      await fresh.pull();
      assert.deepEqual(reader.table(), fresh.table());
      const filtered = rules === RULES[2];
      const seen = [...rows].filter(([key, list]) => {
        const [name = ""] = key.split("/");
        return !isClosed(name) && (!filtered || name === "members" || SEEN.includes(list));
      });
      assert.deepEqual([...fresh.rows.keys()].sort(), seen.map(([key]) => key).sort());
      const closed = [...fresh.named].filter((key) => isClosed(key.split("/")[0] ?? ""));
      assert.deepEqual(closed, []);
    }),
    { numRuns: 60 },
  );
});
