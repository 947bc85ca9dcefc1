/**
 * A schema of lists, members and todos and the rules of the first example, for tests.
 *
 * @module
 */

import { parseSchema, type Schema } from "../schema.ts";
import type { Value } from "../value.ts";
import type { RowReader } from "./judge.ts";
import type { LookupReader } from "./scope.ts";
import { paramValues } from "./scope.ts";
import type { RulesSpec } from "./spec.ts";

/** Todos in lists that have members. */
export const LISTS: Schema = parseSchema({
  version: 1,
  tables: {
    lists: { primaryKey: ["id"], columns: { id: "string", org: "string", name: "string" } },
    members: {
      primaryKey: ["id"],
      columns: { id: "string", list_id: "string", user_id: "string", role: "string" },
    },
    todos: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        title: "string",
        done: "boolean",
        level: "integer",
        list_id: "string",
        user_id: "string",
        tags: "json",
        due: "timestamp",
        price: "decimal(12,4)",
      },
    },
    preferences: { primaryKey: ["id"], columns: { id: "string", user_id: "string" } },
  },
});

/** The rule set that the documentation begins with. */
export const EXAMPLE: RulesSpec = {
  buckets: [
    {
      name: "mine",
      tables: ["todos", "preferences"],
      filters: [{ column: "user_id", op: "eq", value: "jwt:sub" }],
    },
    {
      name: "by_list",
      parameters: {
        list: {
          from: "members",
          column: "list_id",
          filters: [{ column: "user_id", op: "eq", value: "jwt:sub" }],
        },
      },
      tables: [
        { table: "lists", key: "id" },
        { table: "todos", key: "list_id", columns: ["id", "title", "done", "list_id"] },
      ],
    },
  ],
  write: [
    {
      tables: ["todos"],
      ops: ["INSERT", "UPDATE", "DELETE"],
      filters: [{ column: "list_id", op: "in", value: "param:list" }],
    },
  ],
};

/** Reads a row written as an object. */
export function rowReader(row: Readonly<Record<string, Value>>): RowReader {
  return (column) => row[column] ?? null;
}

/** Rows by table. */
export type Data = Readonly<Record<string, readonly Readonly<Record<string, Value>>[]>>;

/** Looks parameters up in rows by their families' keys, as a gateway does with its index. */
export function lookupIn(data: Data): LookupReader {
  return (family, key) => {
    const values: Value[] = [];
    for (const [name, table] of family.tables) {
      for (const row of data[name] ?? []) {
        if (table.keysOf(rowReader(row)).includes(key)) {
          values.push(row[family.yields ?? ""] ?? null);
        }
      }
    }
    return paramValues(family, values);
  };
}
