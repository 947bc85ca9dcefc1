/**
 * Rules in TypeScript, with table and column names checked against a schema literal.
 *
 * @module
 */

import { parseSchema, type SchemaSpec } from "../schema.ts";
import { parseRules } from "./parse.ts";
import type {
  BucketSpec,
  ExemptRole,
  FilterSpec,
  ParameterSpec,
  RulesSpec,
  TableMode,
  TableRuleSpec,
  WriteSpec,
} from "./spec.ts";

/** The names of a schema's tables. */
export type TableName<S extends SchemaSpec> = keyof S["tables"] & string;

/** The names of a table's columns. */
export type ColumnName<S extends SchemaSpec, T extends TableName<S>> =
  & keyof S["tables"][T]["columns"]
  & string;

/** The names of all columns of a schema. */
export type AnyColumn<S extends SchemaSpec> = {
  [T in TableName<S>]: ColumnName<S, T>;
}[TableName<S>];

/** A {@linkcode TableRuleSpec} with the names of a schema. */
export type TypedTableRule<S extends SchemaSpec> = {
  [T in TableName<S>]: Omit<TableRuleSpec, "table" | "key" | "columns" | "filters"> & {
    /** The table. */
    readonly table: T;
    /** The column that the bucket's one parameter is compared with. */
    readonly key?: ColumnName<S, T>;
    /** The columns shown. */
    readonly columns?: readonly ColumnName<S, T>[];
    /** Which rows are in the bucket. */
    readonly filters?: readonly FilterSpec<ColumnName<S, T>>[];
  };
}[TableName<S>];

/** A {@linkcode ParameterSpec} with the names of a schema. */
export type TypedParameter<S extends SchemaSpec> = {
  [T in TableName<S>]: Omit<ParameterSpec, "from" | "column" | "filters"> & {
    /** The table. */
    readonly from: T;
    /** The column that holds the values. */
    readonly column: ColumnName<S, T>;
    /** Which rows count. */
    readonly filters?: readonly FilterSpec<ColumnName<S, T>>[];
  };
}[TableName<S>];

/** A {@linkcode BucketSpec} with the names of a schema. */
export interface TypedBucket<S extends SchemaSpec>
  extends Omit<BucketSpec, "parameters" | "filters" | "tables"> {
  /** Parameters; their names are shared by the whole rule set. */
  readonly parameters?: { readonly [name: string]: TypedParameter<S> };
  /** Filters of each of its tables. */
  readonly filters?: readonly FilterSpec<AnyColumn<S>>[];
  /** Its tables. */
  readonly tables: readonly ("*" | TableName<S> | TypedTableRule<S>)[];
}

/** A {@linkcode WriteSpec} with the names of a schema. */
export interface TypedWrite<S extends SchemaSpec> extends Omit<WriteSpec, "tables" | "filters"> {
  /** The tables. */
  readonly tables: readonly ("*" | TableName<S>)[];
  /** What must hold of the row before and after. */
  readonly filters?: readonly FilterSpec<AnyColumn<S>>[];
}

/** A {@linkcode RulesSpec} with the names of a schema. */
export interface TypedRules<S extends SchemaSpec> {
  /** What may be read. */
  readonly buckets: readonly TypedBucket<S>[];
  /** Parameters that belong to no one bucket. */
  readonly parameters?: { readonly [name: string]: TypedParameter<S> };
  /** What may be written; nothing unless given. */
  readonly write?: readonly TypedWrite<S>[];
  /** Directions by table; `two-way` unless given. */
  readonly tables?: { readonly [T in TableName<S>]?: { readonly mode: TableMode } };
  /** Roles that write rules do not judge. */
  readonly exempt?: readonly ExemptRole[];
}

/**
 * Declares rules in TypeScript: names of tables and columns are checked by the compiler, all else
 * when it runs.
 *
 * @param schema the schema, as `defineSchema` gives it
 * @param rules the rules
 * @returns the same rules
 * @throws {LakeSyncError} `VALIDATION_ERROR` when they are not valid, `SCHEMA_ERROR` when the
 * schema is not
 *
 * @example
 * ```ts
 * import { defineRules, defineSchema } from "@lakesync/core";
 *
 * const schema = defineSchema({
 *   version: 1,
 *   tables: { todos: { primaryKey: ["id"], columns: { id: "string", owner: "string" } } },
 * });
 * const rules = defineRules(schema, {
 *   buckets: [{
 *     name: "mine",
 *     tables: ["todos"],
 *     filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
 *   }],
 * });
 * console.assert(rules.buckets[0]?.name === "mine");
 * ```
 */
export function defineRules<const S extends SchemaSpec>(
  schema: S,
  rules: TypedRules<NoInfer<S>>,
): RulesSpec {
  parseRules(rules, parseSchema(schema));
  return rules as RulesSpec;
}
