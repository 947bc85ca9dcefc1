/**
 * A schema and one that follows it, by every kind of change that there is.
 *
 * @module
 */

import type { DestinationSchema } from "@lakesync/adapters";
import type { SchemaSpec } from "@lakesync/core";
import { numbered } from "../conformance/testing_log.ts";

/** The first. */
export const BEFORE: SchemaSpec = {
  version: 1,
  tables: {
    notes: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        a: "integer",
        b: "date",
        c: "decimal(8,2)",
        d: "timestamp",
        list: { type: "string", references: "lists" },
        free: "string",
      },
    },
    lists: { primaryKey: ["id"], columns: { id: "string" } },
    owners: { primaryKey: ["id"], columns: { id: "uuid" } },
  },
};

/** What follows it. */
export const AFTER: DestinationSchema = numbered(
  {
    version: 3,
    tables: {
      memos: {
        primaryKey: ["id"],
        columns: {
          id: "string",
          b: "number",
          a: "string",
          c: "decimal(12,2)",
          d: "string",
          list: "string",
          free: { type: "string", references: "groups" },
          owner: { type: "uuid", references: "owners" },
        },
      },
      lists: { primaryKey: ["id"], columns: { id: "string" } },
      notes: { primaryKey: ["id"], columns: { id: "string" } },
      groups: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
      owners: { primaryKey: ["id"], columns: { id: "uuid" } },
    },
  },
  new Map([
    ["memos", { id: 1, columns: [1, 2, 3, 4, 5, 6, 7, 8] }],
    ["lists", { id: 2, columns: [1] }],
    ["notes", { id: 4, columns: [1] }],
    ["groups", { id: 5, columns: [1, 2] }],
    ["owners", { id: 3, columns: [1] }],
  ]),
);
