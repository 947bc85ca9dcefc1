/**
 * Parsed rules: names are resolved to tables and columns, literals are values, sugar is gone.
 *
 * @module
 */

import type { Op } from "../delta.ts";
import type { Column, Schema, Table } from "../schema.ts";
import { fromPlainJson, type JsonValue, type Value, valueCheck } from "../value.ts";
import type { ExemptRole, Operator, RulesSpec, TableMode } from "./spec.ts";

/** The left side of a condition. */
export type Subject =
  | { readonly kind: "column"; readonly column: Column }
  | { readonly kind: "claim"; readonly claim: string };

/** The right side of a condition. */
export type Operand =
  | { readonly kind: "literal"; readonly values: readonly Value[] }
  | { readonly kind: "claim"; readonly name: string }
  | { readonly kind: "param"; readonly name: string };

/** What is compared with what. */
export interface Condition {
  /** Tells it from groups. */
  readonly kind: "condition";
  /** The left side. */
  readonly subject: Subject;
  /** How to compare. */
  readonly op: Operator;
  /** The right side; for `isNull` a literal true or false. */
  readonly operand: Operand;
  /** The type in which both sides are compared; for `contains` that of the elements. */
  readonly type: string;
}

/** Filters of which all or any must hold. */
export interface Group {
  /** Which of them must hold. */
  readonly kind: "all" | "any";
  /** The filters; none in `all` holds always. */
  readonly filters: readonly Filter[];
}

/** A condition or a group. */
export type Filter = Condition | Group;

/** Conditions of which all must hold. */
export type Conjunct = readonly Condition[];

/** A parsed parameter. */
export interface Parameter {
  /** Its name. */
  readonly name: string;
  /** The table it is looked up in. */
  readonly table: Table;
  /** The column that holds the values. */
  readonly column: Column;
  /** Which rows count. */
  readonly filter: Filter;
  /** The same in disjunctive form. */
  readonly conjuncts: readonly Conjunct[];
}

/** A table of a parsed bucket. */
export interface BucketTable {
  /** The table. */
  readonly table: Table;
  /** Which of its rows are in the bucket. */
  readonly filter: Filter;
  /** The same in disjunctive form. */
  readonly conjuncts: readonly Conjunct[];
  /** The columns shown, the key's included; undefined shows all, also those added later. */
  readonly columns: ReadonlySet<string> | undefined;
  /** Whether `*` brought it. */
  readonly star: boolean;
}

/** A parsed bucket. */
export interface Bucket {
  /** Its name. */
  readonly name: string;
  /** Its tables, without doubles. */
  readonly tables: readonly BucketTable[];
}

/** A parsed write rule. */
export interface WriteRule {
  /** The table's name. */
  readonly table: string;
  /** What may be done. */
  readonly ops: readonly Op[];
  /** What must hold of the row. */
  readonly filter: Filter;
  /** Its place in the rule set, like `write[0]`. */
  readonly place: string;
}

/** A parsed rule set. */
export interface Rules {
  /** The schema it was read against. */
  readonly schema: Schema;
  /** What it was parsed from. */
  readonly spec: RulesSpec;
  /** All parameters by name. */
  readonly parameters: ReadonlyMap<string, Parameter>;
  /** All buckets in order. */
  readonly buckets: readonly Bucket[];
  /** Write rules, one for each table that each of them names. */
  readonly writes: readonly WriteRule[];
  /** Directions of the tables that are not `two-way`. */
  readonly modes: ReadonlyMap<string, TableMode>;
  /** Roles that write rules do not judge. */
  readonly exempt: ReadonlySet<ExemptRole>;
  /** Tables that were taken out of the rules, and what tells the rest apart from the whole. */
  readonly closed?: { readonly tables: ReadonlySet<string>; readonly mark: readonly string[] };
}

/**
 * Tells whether a column holds a set that `contains` looks into.
 *
 * @param column a column
 * @returns whether its merge kind is `set` or its type `json`
 */
export function isCollection(column: Column): boolean {
  return (column.merge as string) === "set" || column.type === "json";
}

/** The claims of a caller, as its token has them. */
export type Claims = Readonly<Record<string, unknown>>;

/** A claim as a rule reads it. */
export interface ClaimValue {
  /** Whether it is an array. */
  readonly list: boolean;
  /** The values that fit the type; of a claim that is not an array, exactly one. */
  readonly values: readonly Value[];
}

/**
 * Reads a claim by the type it is compared in.
 *
 * @param claims the caller's claims
 * @param name the claim's name
 * @param type a column's type, `json` takes every scalar
 * @returns its values, or undefined when it is missing, null, or no value of the type. Elements
 * of an array that are no values of the type are left out
 */
export function readClaim(claims: Claims, name: string, type: string): ClaimValue | undefined {
  const claim = Object.hasOwn(claims, name) ? claims[name] : undefined;
  if (Array.isArray(claim)) {
    const values = claim.map((item) => scalar(item, type)).filter((item) => item !== undefined);
    return { list: true, values };
  }
  const value = scalar(claim, type);
  return value === undefined ? undefined : { list: false, values: [value] };
}

function scalar(json: unknown, type: string): Value | undefined {
  return isScalar(json) ? fit(json, type) : undefined;
}

function isScalar(json: unknown): json is string | number | boolean {
  return typeof json === "string" || typeof json === "number" || typeof json === "boolean";
}

/**
 * Reads a value by its type.
 *
 * @param json plain JSON
 * @param type a column's type
 * @returns the value, or undefined when it does not fit
 */
export function fit(json: JsonValue, type: string): Value | undefined {
  const value = fromPlainJson(json, type);
  return valueCheck(type)?.(value) === undefined ? value : undefined;
}
