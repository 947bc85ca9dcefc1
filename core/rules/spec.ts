/**
 * Rules as they are written in JSON or TypeScript: who reads and who writes what.
 *
 * @module
 */

import type { Op } from "../delta.ts";
import type { JsonValue } from "../value.ts";

/** How a condition compares. Every operator but `isNull` is false of null. */
export type Operator =
  | "eq"
  | "neq"
  | "in"
  | "nin"
  | "gt"
  | "gte"
  | "lt"
  | "lte"
  | "isNull"
  | "contains";

/** A literal that may begin with `jwt:` or `param:`. */
export interface LiteralSpec {
  /** The value as it is. */
  readonly literal: JsonValue;
}

/** A literal, `jwt:<claim>` or `param:<name>`; for `in` and `nin` also an array of literals. */
export type OperandSpec = JsonValue | LiteralSpec;

/** What is compared with what; the left side is a column or a claim. */
export interface ConditionSpec<C extends string = string> {
  /** The column on the left side. */
  readonly column?: C;
  /** The claim on the left side, without `jwt:`. */
  readonly claim?: string;
  /** How to compare. */
  readonly op: Operator;
  /** The right side; `isNull` takes true (unless given) or false. */
  readonly value?: OperandSpec;
}

/** At least one of several filters holds. */
export interface AnySpec<C extends string = string> {
  /** The filters. */
  readonly any: readonly FilterSpec<C>[];
}

/** Each of several filters holds. */
export interface AllSpec<C extends string = string> {
  /** The filters. */
  readonly all: readonly FilterSpec<C>[];
}

/** A condition or a group of filters. */
export type FilterSpec<C extends string = string> = ConditionSpec<C> | AnySpec<C> | AllSpec<C>;

/** Values that are looked up in a table for a caller, used as `param:<name>`. */
export interface ParameterSpec {
  /** The table. */
  readonly from: string;
  /** The column that holds the values. */
  readonly column: string;
  /** Which rows count; all must hold. */
  readonly filters?: readonly FilterSpec[];
}

/** A table of a bucket. */
export interface TableRuleSpec {
  /** The table. */
  readonly table: string;
  /** Short for `{column: key, op: "in", value: "param:<the bucket's one parameter>"}`. */
  readonly key?: string;
  /** The columns shown beside the key's; all, also those added later, unless given. */
  readonly columns?: readonly string[];
  /** Which rows are in the bucket; all must hold. */
  readonly filters?: readonly FilterSpec[];
}

/** A set of rows that may be read. */
export interface BucketSpec {
  /** Its name, an identifier. */
  readonly name: string;
  /** Parameters; their names are shared by the whole rule set. */
  readonly parameters?: { readonly [name: string]: ParameterSpec };
  /** Filters of each of its tables; all must hold. */
  readonly filters?: readonly FilterSpec[];
  /** Its tables; `*` is every table that is not upload-only. */
  readonly tables: readonly (string | TableRuleSpec)[];
}

/** Who may write. Write rules add up. */
export interface WriteSpec {
  /** The tables; `*` is every table. */
  readonly tables: readonly string[];
  /** What may be done. */
  readonly ops: readonly Op[];
  /** What must hold of the row before and after; all must hold. */
  readonly filters?: readonly FilterSpec[];
}

/** In which directions a table is synced. */
export type TableMode = "two-way" | "download-only" | "upload-only";

/** Callers that write rules may leave alone. */
export type ExemptRole = "admin" | "connector";

/** A rule set. */
export interface RulesSpec {
  /** What may be read. */
  readonly buckets: readonly BucketSpec[];
  /** Parameters that belong to no one bucket. */
  readonly parameters?: { readonly [name: string]: ParameterSpec };
  /** What may be written; nothing unless given. */
  readonly write?: readonly WriteSpec[];
  /** Directions by table; `two-way` unless given. */
  readonly tables?: { readonly [table: string]: { readonly mode: TableMode } };
  /** Roles that write rules do not judge. */
  readonly exempt?: readonly ExemptRole[];
}

/** Everybody reads and writes everything, in one bucket. */
export const OPEN_RULES: RulesSpec = {
  buckets: [{ name: "all", tables: ["*"] }],
  write: [{ tables: ["*"], ops: ["INSERT", "UPDATE", "DELETE"] }],
};

/** What a rule set may be. */
export const RULE_LIMITS = {
  /** Buckets of a rule set. */
  maxBuckets: 200,
  /** Parameters of a rule set. */
  maxParameters: 200,
  /** Write rules of a rule set. */
  maxWriteRules: 200,
  /** Conditions of a rule set as written. */
  maxFilters: 1_000,
  /** Literals in one array. */
  maxLiterals: 1_000,
  /** Characters of a rule set as JSON. */
  maxCharacters: 131_072,
  /** Buckets of one family that a row may be in. */
  maxKeys: 1_000,
  /** Conjuncts of one table's or parameter's filters in disjunctive form. */
  maxConjuncts: 64,
  /** Conjuncts of all tables and parameters, and write rules counted for each table they name. */
  maxTotalConjuncts: 20_000,
  /** Nesting of the JSON. */
  maxDepth: 16,
  /** Buckets that one caller may be granted, and keys that one look-up may ask for. */
  maxGrants: 10_000,
} as const;
