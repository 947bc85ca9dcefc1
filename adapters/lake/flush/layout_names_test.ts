import { parseSchema } from "@lakesync/core";
import assert from "node:assert/strict";
import { changesSchema, planTable, rowsSchema } from "./layout.ts";

/** Spark refuses a table that has a column of one of these names. */
const RESERVED = ["_file", "_pos", "_deleted", "_spec_id", "_partition", "_row_id"];

Deno.test("no column of a lake is called like one of an engine's own", () => {
  const names = ["id", ...RESERVED, "_OP"];
  const columns = Object.fromEntries(names.map((name) => [name, "string"]));
  const { tables } = parseSchema({ version: 1, tables: { t: { primaryKey: ["id"], columns } } });
  const [table] = tables.values();
  assert.ok(table);
  const planned = planTable({ id: 1, table, columnIds: names.map((_, i) => i + 1) }, 1, undefined);
  assert.ok(typeof planned !== "string");
  const named = changesSchema(planned).fields.map(({ name }) => name);
  assert.deepEqual(named.filter((name) => RESERVED.includes(name)), []);
  assert.equal(new Set(named.map((name) => name.toLowerCase())).size, named.length);
  assert.deepEqual(
    rowsSchema(planned).fields.map(({ name }) => name).toSorted(),
    ["id", ...RESERVED.map((name) => `${name}_1`), "_OP_1"].toSorted(),
  );
});
