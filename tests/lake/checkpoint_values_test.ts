/**
 * What a lake's rows give back of each type, beside what the gateway has.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ColumnType, Value } from "@lakesync/core";
import fc from "fast-check";
import { SCHEMA, throughJson, valueOf } from "../../core/testing_values.ts";
import { LakeSource } from "../../server/destinations/testing_lake_rows.ts";
import { writeValue } from "../../server/gateway/record_value.ts";
import { at, delta, openFixture, push, TODOS, tx } from "../../server/gateway/testing_fixture.ts";

const THINGS = SCHEMA.tables.get("things")?.columns ?? [];

/** Types of which a value has one text only. */
const EXACT: readonly ColumnType[] = [
  "string",
  "integer",
  "number",
  "boolean",
  "date",
  "uuid",
  "bytes",
  "json",
];

const EVERYTHING = {
  version: 2,
  tables: {
    ...TODOS.tables,
    things: {
      primaryKey: ["id"],
      columns: {
        ...Object.fromEntries(THINGS.map(({ name, type }) => [name, type])),
        votes: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
        last: { type: "integer", merge: "max" },
        least: { type: "number", merge: "min" },
      },
    },
    moments: {
      primaryKey: ["at", "price"],
      columns: { at: "timestamp", price: "decimal(12,4)", n: "integer" },
    },
    days: {
      primaryKey: ["day", "no"],
      columns: { day: "date", no: "integer", n: "integer" },
    },
  },
} as const;

const thing = fc.record<Record<string, Value>>({
  ...Object.fromEntries(
    THINGS.filter(({ name }) => name !== "id").map(({ name, type }) => [
      name,
      fc.option<Value>(valueOf(type), { freq: 4 }),
    ]),
  ),
  votes: fc.integer(),
  tags: fc.uniqueArray(fc.oneof(fc.string({ maxLength: 3 }), fc.integer())),
  last: valueOf("integer"),
  least: valueOf("number"),
});

function text(value: Value): string {
  return JSON.stringify(writeValue(value));
}

Deno.test("a lake's rows give back every value as the gateway has it, but times and decimals", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await gateway.putSchema(EVERYTHING);
  await using source = new LakeSource(() => gateway);
  let number = 0;
  const version = { schemaVersion: 2 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(thing, { minLength: 3, maxLength: 30 }),
      fc.array(fc.tuple(valueOf("timestamp"), valueOf("decimal(12,4)")), { maxLength: 5 }),
      fc.array(fc.tuple(valueOf("date"), valueOf("integer")), { maxLength: 5 }),
      async (things, moments, days) => {
        const client = `c${++number}`;
        const key = (parts: readonly Value[]) =>
          JSON.stringify(parts.map((part) => typeof part === "bigint" ? String(part) : part));
        const all = [
          ...things.map((columns, i) =>
            delta("INSERT", `${number}-${i}`, at(number, i), columns, "things")
          ),
          ...moments.map(([when, price]) =>
            delta(
              "INSERT",
              key([when, price]),
              at(number, 100),
              { at: when, price, n: 1 },
              "moments",
            )
          ),
          ...days.map(([day, no]) =>
            delta("INSERT", key([day, no]), at(number, 100), { day, no, n: 2 }, "days")
          ),
          ...things.map((_, i) =>
            delta("UPDATE", `${number}-${i}`, at(number, 200), {
              votes: { add: 3 },
              tags: { add: ["x"], remove: [1] },
            }, "things")
          ),
        ];
        const result = await push(gateway, client, [tx(1, ...all)], version);
        assert.deepEqual([result.rejected, result.stopped], [[], undefined]);
      },
    ),
    { numRuns: 15 },
  );
  await source.copy();
  const tables = gateway.history.schema.tables.filter(({ table }) => table.name !== "lists");
  const rows = await source.open(tables.map(({ id }) => id));
  assert.ok(rows);
  assert.equal(rows.seq, (await gateway.history.head()).seq);
  const wanted = new Map<string, string>();
  const types = new Map(
    tables.flatMap(({ id, table, columnIds }) =>
      table.columns.map(({ type }, i) => [`${id} ${columnIds[i]}`, type] as const)
    ),
  );
  let place: string | undefined = "";
  while (place !== undefined) {
    const page: Awaited<ReturnType<typeof gateway.history.walk>> = await gateway.history.walk(
      place,
      500,
    );
    for (const { key: { table, rowId }, cells } of page.rows) {
      wanted.set(`${table} ${rowId}`, "");
      for (const [column, value] of cells) {
        if (value === null) continue;
        // A lake has JSON as a text, in which there is no -0.
        const isJson = types.get(`${table} ${column}`) === "json";
        wanted.set(`${table} ${rowId} ${column}`, text(isJson ? throughJson(value) : value));
      }
    }
    place = page.place;
  }
  const other = new Set<string>();
  for (const { id } of tables) {
    for await (const page of rows.read(id)) {
      for (const { rowId, cells } of page) {
        assert.ok(wanted.delete(`${id} ${rowId}`), `${rowId} is there`);
        for (const [column, value] of cells) {
          const name = `${id} ${rowId} ${column}`;
          const expected = wanted.get(name);
          wanted.delete(name);
          const type = types.get(`${id} ${column}`) ?? "string";
          if (EXACT.includes(type)) assert.equal(text(value), expected, `${type} ${column}`);
          else if (text(value) !== expected) other.add(type);
        }
      }
    }
  }
  assert.deepEqual([...wanted], []);
  assert.deepEqual([...other].sort(), ["decimal(12,4)", "timestamp"]);
});
