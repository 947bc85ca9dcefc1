/**
 * Tables and columns keep their numbers, whatever they are called.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { SchemaSpec } from "@lakesync/core";
import { allChanges, cellsOf, held } from "./expect.ts";
import type { Case } from "./suite.ts";
import { numbered, TestLog, TODOS } from "./testing_log.ts";

/** The table todos is called tasks, its title subject; a column and a table are new. */
const RENAMED: SchemaSpec = {
  version: 2,
  tables: {
    tags: { primaryKey: ["id"], columns: { id: "string", color: "string" } },
    tasks: {
      renamedFrom: "todos",
      primaryKey: ["id"],
      columns: {
        due: "date",
        id: "string",
        subject: { type: "string", renamedFrom: "title" },
        n: "integer",
      },
    },
    lists: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
  },
};

const RENAMED_NUMBERS = new Map([
  ["tags", { id: 3, columns: [1, 2] }],
  ["tasks", { id: 1, columns: [5, 1, 2, 4] }],
  ["lists", { id: 2, columns: [1, 2] }],
]);

/** Cases of schemas. */
export const SCHEMA: readonly Case[] = [
  {
    name: "knows the tables that it was made ready for, and is made ready again",
    async run({ adapter }) {
      assert.equal(await adapter.schema(), undefined);
      const schema = numbered(TODOS);
      for (let i = 0; i < 2; i++) {
        await adapter.ensureSchema(schema);
        const found = await adapter.schema();
        assert.equal(found?.version, 1);
        assert.deepEqual(found?.tables.map(shapeOf), schema.tables.map(shapeOf));
      }
    },
  },
  {
    name: "keeps rows by the numbers of tables and columns when those are renamed",
    async run({ adapter, reopen }) {
      const log = await new TestLog(adapter).begin();
      await log.insert([
        ...log.commit({ table: "todos", rowId: "r1", cells: { title: "a", done: true, n: 1 } }),
        ...log.commit({ table: "todos", rowId: "r2", cells: { title: "b" } }),
      ]);
      log.schema = numbered(RENAMED, RENAMED_NUMBERS);
      await adapter.ensureSchema(log.schema);
      await log.insert([
        ...log.commit({ table: "tasks", rowId: "r1", cells: { subject: "c", due: "2026-02-01" } }),
        ...log.commit({ table: "tags", rowId: "t1", cells: { color: "red" } }),
      ]);
      const again = await reopen?.() ?? adapter;
      assert.deepEqual(await cellsOf(again, log, "tasks", "r1"), {
        isVisible: true,
        cells: { subject: "c", due: "2026-02-01", n: 1, "#3": true },
      });
      assert.deepEqual((await cellsOf(again, log, "tasks", "r2"))?.cells, { subject: "b" });
      assert.deepEqual((await cellsOf(again, log, "tags", "t1"))?.cells, { color: "red" });
      const changes = await allChanges(again);
      assert.deepEqual(
        changes.map(({ table, key, schemaVersion }) => [table, key?.table, schemaVersion]),
        [["todos", 1, 1], ["todos", 1, 1], ["tasks", 1, 2], ["tags", 3, 2]],
      );
      const tables = (await again.schema())?.tables ?? [];
      const byId = tables.toSorted((a, b) => a.id - b.id).map(({ table }) => table.name);
      assert.deepEqual(byId, ["tasks", "lists", "tags"]);
    },
  },
  {
    name: "takes no step back to an older schema",
    async run({ adapter }) {
      const newer = numbered(RENAMED, RENAMED_NUMBERS);
      await adapter.ensureSchema(newer);
      await adapter.ensureSchema(numbered(TODOS));
      const found = await adapter.schema();
      assert.equal(found?.version, 2);
      assert.deepEqual(
        found?.tables.map(shapeOf).toSorted(byId),
        newer.tables.map(shapeOf).toSorted(byId),
      );
    },
  },
  {
    name: "is made ready twice at once",
    async run({ adapter }) {
      const schema = numbered(TODOS);
      await Promise.all([1, 2, 3].map(() => adapter.ensureSchema(schema)));
      const log = await new TestLog(adapter, schema).begin();
      await log.insert(log.commit({ table: "lists", rowId: "l1", cells: { name: "a" } }));
      assert.equal((await held(adapter)).rows.length, 1);
    },
  },
];

type Shape = readonly [id: number, name: string, columns: readonly (readonly [number, string])[]];

function shapeOf({ id, table, columnIds }: ReturnType<typeof numbered>["tables"][number]): Shape {
  const columns = table.columns.map(({ name, type, merge }, i): [number, string] => [
    columnIds[i] ?? 0,
    `${name} ${type} ${merge}`,
  ]);
  return [id, `${table.name} ${table.primaryKey.map(({ name }) => name)}`, columns];
}

function byId([a]: Shape, [b]: Shape): number {
  return a - b;
}
