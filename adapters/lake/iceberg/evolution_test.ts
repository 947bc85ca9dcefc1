import assert from "node:assert/strict";
import { evolveSchema, schemaUpdates, widensTo } from "./evolution.ts";
import { currentSchema, MetadataError } from "./metadata.ts";
import type { LakeField, LakeSchema } from "./schema.ts";
import { fromTableSchema, schemaText, toTableSchema } from "./schema_json.ts";
import { emptyTable, memoryLake } from "./testing_tables.ts";
import { applyUpdates } from "./updates.ts";

function field(id: number, name: string, type: LakeField["type"], required = false): LakeField {
  return { id, name, type, required };
}

const start: LakeSchema = {
  fields: [
    field(1, "id", "string", true),
    field(1001, "count", "int"),
    field(1002, "price", "decimal(9, 2)"),
    field(1003, "title", "string"),
  ],
  identifierFieldIds: [1],
};

Deno.test("fromTableSchema reads what toTableSchema writes", () => {
  const schema = { ...start, fields: [...start.fields, { ...field(9, "x", "binary"), doc: "d" }] };
  assert.deepEqual(fromTableSchema(toTableSchema(schema, 3)), schema);
  assert.equal(toTableSchema(schema, 3)["schema-id"], 3);
  assert.deepEqual(JSON.parse(schemaText(schema)), toTableSchema(schema));
  const theirs = { id: 1, name: "p", required: false, type: "decimal(9,2)" };
  const [read] = fromTableSchema({ type: "struct", "schema-id": 0, fields: [theirs] }).fields;
  assert.equal(read?.type, "decimal(9, 2)");
  for (const type of ["uuid", "decimal(x)", { type: "list" }]) {
    const schema = { type: "struct", "schema-id": 0, fields: [{ ...theirs, type }] } as const;
    assert.throws(() => fromTableSchema(schema), MetadataError);
  }
});

Deno.test("widensTo knows which types old files can be read as", () => {
  const yes = [["int", "long"], ["decimal(9, 2)", "decimal(38, 2)"], ["date", "date"]] as const;
  const no = [
    ["long", "int"],
    ["decimal(9, 2)", "decimal(9, 3)"],
    ["decimal(9, 2)", "decimal(8, 2)"],
    ["int", "string"],
    ["date", "timestamptz"],
  ] as const;
  for (const [from, to] of yes) assert.ok(widensTo(from, to), `${from} ${to}`);
  for (const [from, to] of no) assert.ok(!widensTo(from, to), `${from} ${to}`);
});

Deno.test("evolveSchema adds, renames and widens, and drops nothing", () => {
  const next = evolveSchema(start, {
    fields: [
      field(1, "id", "string", true),
      field(1002, "amount", "decimal(18, 2)"),
      field(1001, "count", "long"),
      field(1004, "Title", "boolean"),
    ],
  });
  assert.deepEqual(next, {
    fields: [
      field(1, "id", "string", true),
      field(1002, "amount", "decimal(18, 2)"),
      field(1001, "count", "long"),
      field(1004, "Title", "boolean"),
      field(1003, "title_1003", "string"),
    ],
    identifierFieldIds: [1],
  });
});

Deno.test("evolveSchema refuses what files written before would not be", () => {
  const wrong: readonly LakeField[][] = [
    [field(1, "id", "string", true), field(1001, "count", "string")],
    [field(1, "id", "string", true), field(1001, "count", "int", true)],
    [field(1, "id", "string", true), field(1009, "new", "int", true)],
    [field(1, "id", "string", true), field(1005, "again", "int")],
    [field(1001, "count", "int")],
  ];
  const used = new Map([[1005, "string"]]);
  for (const fields of wrong) {
    assert.throws(() => evolveSchema(start, { fields }, used), MetadataError);
  }
});

Deno.test("schemaUpdates give a table its schema, and nothing when it has it", () => {
  const table = emptyTable(memoryLake(), [], start);
  assert.deepEqual(schemaUpdates(table, start).updates, []);
  const wanted = { ...start, fields: [...start.fields, field(2001, "more", "date")] };
  const { schema, updates } = schemaUpdates(table, wanted);
  const next = applyUpdates(table, updates, 2_000);
  assert.deepEqual(fromTableSchema(currentSchema(next)), schema);
  assert.equal(next["last-column-id"], 2001);
  assert.equal(next.schemas.length, 2);
  assert.deepEqual(schemaUpdates(next, wanted).updates, []);
  assert.deepEqual(schemaUpdates(next, start), { schema, updates: [] });
});
