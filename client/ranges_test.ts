import { defineSchema, parseSchema } from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import { loadDriver } from "./database/open.ts";
import { placedTable, placeSchema } from "./layout.ts";
import { rowRanges } from "./ranges.ts";

const SCHEMA = parseSchema(defineSchema({
  version: 1,
  tables: { things: { primaryKey: ["x", "y"], columns: { x: "string", y: "integer" } } },
}));
const TABLE = placedTable(placeSchema([], SCHEMA).layout, "things");

Deno.test("rowRanges names every row once, however the table is stored and though rows go meanwhile", async () => {
  const driver = await loadDriver();
  const keys = fc.uniqueArray(fc.tuple(fc.constantFrom("a", "B", "b", ""), fc.integer()), {
    selector: String,
    maxLength: 30,
  });
  const kinds = fc.constantFrom(
    "PRIMARY KEY (x, y))",
    "PRIMARY KEY (y, x)) WITHOUT ROWID",
    "rowid TEXT DEFAULT 'r', PRIMARY KEY (x, y))",
  );
  await fc.assert(
    fc.asyncProperty(keys, kinds, fc.integer({ min: 1, max: 5 }), async (rows, kind, size) => {
      const db = await driver.open(":memory:");
      try {
        await db.script(`CREATE TABLE things (x TEXT, y INTEGER, ${kind}`);
        await db.runMany("INSERT INTO things (x, y) VALUES (?, ?)", rows);
        const named: unknown[] = [];
        for await (const { where, params } of rowRanges(db, TABLE, size)) {
          const some = await db.values(`SELECT x, y FROM things WHERE ${where}`, params);
          assert.ok(some.length <= size);
          named.push(...some);
          await db.run(`DELETE FROM things WHERE ${where} AND y % 2 = 0`, params);
        }
        assert.deepEqual(named.map(String).sort(), rows.map(String).sort());
      } finally {
        await db.close();
      }
    }),
  );
});
