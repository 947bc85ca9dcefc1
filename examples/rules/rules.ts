/**
 * Schema and rules of a small app: lists that have members, todos in them, and a log that devices
 * only write to.
 *
 * @module
 */

import { defineRules, defineSchema, type RulesSpec, type SchemaSpec } from "@lakesync/core";

const SCHEMA_OF_LISTS = defineSchema({
  version: 1,
  tables: {
    lists: { primaryKey: ["id"], columns: { id: "string", name: "string", owner: "string" } },
    members: { primaryKey: ["list", "user"], columns: { list: "string", user: "string" } },
    todos: {
      primaryKey: ["id"],
      columns: { id: "string", list: "string", title: "string", done: "boolean" },
    },
    clicks: { primaryKey: ["id"], columns: { id: "uuid", user: "string", what: "string" } },
  },
});

/** The schema. */
export const schema: SchemaSpec = SCHEMA_OF_LISTS;

/**
 * Members see and edit the todos of their lists. The owner of a list says who its members are.
 * Clicks go up and are seen by nobody.
 */
export const rules: RulesSpec = defineRules(SCHEMA_OF_LISTS, {
  parameters: {
    owned: {
      from: "lists",
      column: "id",
      filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
    },
  },
  buckets: [
    {
      name: "own_lists",
      tables: ["lists"],
      filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
    },
    {
      name: "by_list",
      parameters: {
        joined: {
          from: "members",
          column: "list",
          filters: [{ column: "user", op: "eq", value: "jwt:sub" }],
        },
      },
      tables: [
        { table: "lists", key: "id" },
        { table: "members", key: "list" },
        { table: "todos", key: "list" },
      ],
    },
  ],
  write: [
    {
      tables: ["lists"],
      ops: ["INSERT", "UPDATE", "DELETE"],
      filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
    },
    {
      tables: ["members"],
      ops: ["INSERT", "DELETE"],
      filters: [{ column: "list", op: "in", value: "param:owned" }],
    },
    {
      tables: ["todos"],
      ops: ["INSERT", "UPDATE", "DELETE"],
      filters: [{ column: "list", op: "in", value: "param:joined" }],
    },
    {
      tables: ["clicks"],
      ops: ["INSERT"],
      filters: [{ column: "user", op: "eq", value: "jwt:sub" }],
    },
  ],
  tables: { clicks: { mode: "upload-only" } },
});
