/**
 * A TypeScript program that uses the packages as npm installed them. It is compiled, not run: the
 * lines that expect an error fail when the packages lost their types.
 *
 * @module
 */

import { defineSchema, encodePush, type InsertOf, parseSchema, type RowOf } from "@lakesync/core";

const schema = defineSchema({
  version: 1,
  tables: {
    todos: { primaryKey: ["id"], columns: { id: "string", title: "string", votes: "integer" } },
  },
});

const row: RowOf<typeof schema, "todos"> = { id: "t1", title: null, votes: 1n };

// @ts-expect-error a key column is never null
const noKey: InsertOf<typeof schema, "todos"> = { id: null };

const body: Uint8Array = encodePush({
  clientId: "phone-1",
  schemaVersion: 1,
  transactions: [],
});

// @ts-expect-error a schema is not a text
const text: string = parseSchema(schema);

console.log(row, noKey, body, text);
