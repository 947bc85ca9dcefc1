import assert from "node:assert/strict";
import fc from "fast-check";
import { parseSchema, type SchemaSpec } from "@lakesync/core";
import type { DestinationTable } from "../adapter.ts";
import { referencesOf, writeOrder } from "./references.ts";

function tablesOf(spec: SchemaSpec): readonly DestinationTable[] {
  return [...parseSchema(spec).tables.values()].map((table, i) => ({
    id: i + 1,
    table,
    columnIds: table.columns.map((_, j) => j + 1),
  }));
}

/** Tables that reference each other as pairs of numbers say. */
function family(count: number, pairs: readonly (readonly [number, number])[]): SchemaSpec {
  const tables = Array.from({ length: count }, (_, i) => {
    const columns = pairs.filter(([child]) => child === i).map(([, parent], j) =>
      [`c${j}`, { type: "string", references: `t${parent}` }] as const
    );
    return [`t${i}`, {
      primaryKey: ["id"],
      columns: { id: "string", ...Object.fromEntries(columns) },
    }] as const;
  });
  return { version: 1, tables: Object.fromEntries(tables) };
}

/** Which tables lead to which, by any number of references. */
function reach(count: number, pairs: readonly (readonly [number, number])[]): boolean[][] {
  const leads = Array.from({ length: count }, () => new Array<boolean>(count).fill(false));
  for (const [child, parent] of pairs) (leads[child] ?? [])[parent] = true;
  for (let via = 0; via < count; via++) {
    for (const row of leads) {
      if (row[via]) leads[via]?.forEach((does, to) => row[to] = row[to] || does);
    }
  }
  return leads;
}

Deno.test("writeOrder puts parents first, and together what leads to each other", () => {
  const worlds = fc.integer({ min: 1, max: 7 }).chain((count) => {
    const table = fc.integer({ min: 0, max: count - 1 });
    return fc.tuple(fc.constant(count), fc.array(fc.tuple(table, table), { maxLength: 12 }));
  });
  fc.assert(fc.property(worlds, ([count, pairs]) => {
    const tables = tablesOf(family(count, pairs));
    const groups = writeOrder(tables, referencesOf({ version: 1, tables }));
    assert.deepEqual(groups.flat().sort((a, b) => a - b), tables.map(({ id }) => id));
    const leads = reach(count, pairs);
    const placeOf = (id: number) => groups.findIndex((group) => group.includes(id));
    for (let a = 0; a < count; a++) {
      for (let b = 0; b < count; b++) {
        if (a === b || !leads[a]?.[b]) continue;
        const [child, parent] = [placeOf(a + 1), placeOf(b + 1)];
        if (leads[b]?.[a]) assert.equal(child, parent);
        else assert.ok(parent < child);
      }
    }
  }));
});

Deno.test("referencesOf leaves out keys of several columns and of other types", () => {
  const tables = tablesOf({
    version: 1,
    tables: {
      one: { primaryKey: ["id"], columns: { id: "uuid" } },
      two: { primaryKey: ["a", "b"], columns: { a: "uuid", b: "uuid" } },
      child: {
        primaryKey: ["id"],
        columns: {
          id: { type: "uuid", references: "one" },
          text: { type: "string", references: "one" },
          pair: { type: "uuid", references: "two" },
        },
      },
    },
  });
  assert.deepEqual(referencesOf({ version: 1, tables }), [
    { child: 3, columnId: 1, column: "id", parent: 1 },
  ]);
});
