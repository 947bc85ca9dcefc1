/**
 * What the guides' tests sync: lists and their todos, and the first of each.
 *
 * @module
 */

import type { SchemaSpec } from "@lakesync/core";

/** The schema. */
export const TODOS: SchemaSpec = {
  version: 1,
  tables: {
    lists: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
    todos: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        title: "string",
        done: "boolean",
        n: "integer",
        list: { type: "string", references: "lists" },
      },
    },
  },
};
/** The numbers of its tables and columns. */
export const NUMBERS: ReadonlyMap<string, { id: number; columns: number[] }> = new Map([["lists", {
  id: 1,
  columns: [1, 2],
}], ["todos", {
  id: 2,
  columns: [1, 2, 3, 4, 5],
}]]);
/** A list and a todo of it. */
export const MILK = [
  { op: "INSERT", table: "lists", rowId: "l1", cells: { name: "shop" } },
  {
    op: "INSERT",
    table: "todos",
    rowId: "milk",
    cells: { title: "Milk", done: false, n: 1, list: "l1" },
  },
] as const;
