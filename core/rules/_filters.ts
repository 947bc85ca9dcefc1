/**
 * Reads filters: conditions and groups of them, checked against the columns of one table.
 *
 * @module
 */

import type { Column, Table } from "../schema.ts";
import type { JsonValue, Value } from "../value.ts";
import { valueCheck } from "../value.ts";
import { CLAIM_TYPE, isOrdered } from "./compare.ts";
import { type Condition, type Filter, fit, isCollection, type Operand } from "./model.ts";
import { fail, isRecord, list, oneOf, quoted, record, text } from "./_reading.ts";
import { type Operator, RULE_LIMITS } from "./spec.ts";

const OPERATORS: readonly Operator[] = [
  "eq",
  "neq",
  "in",
  "nin",
  "gt",
  "gte",
  "lt",
  "lte",
  "isNull",
  "contains",
];

/** What filters are read against. */
export interface FilterContext {
  /** The table whose columns they may name. */
  readonly table: Table;
  /** The type of a parameter's values, or undefined when there is no such parameter. */
  typeOfParam(name: string): string | undefined;
  /** Told of every condition, to count them. */
  onCondition(place: string): void;
}

/**
 * Reads a list of filters, all of which must hold.
 *
 * @param input an array, or undefined for none
 * @param context what they are read against
 * @param place where they are
 * @returns the filters as one group
 * @throws {LakeSyncError} `VALIDATION_ERROR`
 */
export function readFilters(input: unknown, context: FilterContext, place: string): Filter {
  const filters = list(input, place).map((item, i) => readFilter(item, context, `${place}[${i}]`));
  return { kind: "all", filters };
}

function readFilter(input: unknown, context: FilterContext, place: string): Filter {
  if (!isRecord(input)) fail(place, "must be a condition, or an object with any or all");
  for (const kind of ["any", "all"] as const) {
    if (input[kind] === undefined) continue;
    record(input, [kind], place);
    const filters = list(input[kind], `${place}.${kind}`).map((item, i) =>
      readFilter(item, context, `${place}.${kind}[${i}]`)
    );
    if (filters.length === 0) fail(`${place}.${kind}`, "must hold at least one filter");
    return { kind, filters };
  }
  return readCondition(input, context, place);
}

function readCondition(
  input: Record<string, unknown>,
  context: FilterContext,
  place: string,
): Condition {
  record(input, ["column", "claim", "op", "value"], place);
  context.onCondition(place);
  if ((input["column"] === undefined) === (input["claim"] === undefined)) {
    fail(place, "must name exactly one of column and claim");
  }
  const op = oneOf(input["op"], OPERATORS, `${place}.op`);
  if (input["claim"] !== undefined) {
    const claim = claimName(input["claim"], `${place}.claim`);
    return readClaimCondition(claim, op, input["value"], context, place);
  }
  const column = readColumn(context.table, input["column"], `${place}.column`);
  return readColumnCondition(column, op, input["value"], context, place);
}

/**
 * Finds a column.
 *
 * @param table the table
 * @param input the column's name
 * @param place where it is named
 * @returns the column
 * @throws {LakeSyncError} `VALIDATION_ERROR`
 */
export function readColumn(table: Table, input: unknown, place: string): Column {
  const name = text(input, place);
  return table.byName.get(name) ?? fail(place, `no column ${quoted(name)} in table ${table.name}`);
}

function readColumnCondition(
  column: Column,
  op: Operator,
  value: unknown,
  context: FilterContext,
  place: string,
): Condition {
  const subject = { kind: "column", column } as const;
  const at = `${place}.value`;
  const { type } = column;
  if (op === "isNull") return { kind: "condition", subject, op, operand: flag(value, at), type };
  if (op === "contains" && !isCollection(column)) {
    fail(`${place}.op`, `contains takes a set or a json column, ${column.name} is ${type}`);
  }
  if (op !== "contains" && isCollection(column)) {
    fail(`${place}.op`, `the column ${column.name} takes only contains and isNull`);
  }
  if (isComparison(op) && !isOrdered(type)) fail(`${place}.op`, `${type} has no order`);
  const operand = readOperand(op, value, type, context, at);
  return { kind: "condition", subject, op, operand, type };
}

function readClaimCondition(
  claim: string,
  op: Operator,
  value: unknown,
  context: FilterContext,
  place: string,
): Condition {
  const subject = { kind: "claim", claim } as const;
  const at = `${place}.value`;
  if (op === "isNull") {
    return { kind: "condition", subject, op, operand: flag(value, at), type: CLAIM_TYPE };
  }
  const operand = readOperand(op, value, undefined, context, at);
  const type = operand.kind === "param" ? context.typeOfParam(operand.name) : undefined;
  return { kind: "condition", subject, op, operand, type: type ?? CLAIM_TYPE };
}

function isComparison(op: Operator): boolean {
  return op === "gt" || op === "gte" || op === "lt" || op === "lte";
}

function flag(value: unknown, place: string): Operand {
  if (value !== undefined && typeof value !== "boolean") fail(place, "isNull takes true or false");
  return { kind: "literal", values: [value ?? true] };
}

/** Reads a right side; without a type it is compared with a claim. */
function readOperand(
  op: Operator,
  value: unknown,
  type: string | undefined,
  context: FilterContext,
  place: string,
): Operand {
  const several = op === "in" || op === "nin";
  if (typeof value === "string" && value.startsWith("jwt:")) {
    return { kind: "claim", name: claimName(value.slice(4), place) };
  }
  if (typeof value === "string" && value.startsWith("param:")) {
    const name = value.slice(6);
    if (!several) fail(place, `${op} takes one value and a parameter has many, use in or nin`);
    const found = context.typeOfParam(name) ?? fail(place, `no parameter ${quoted(name)}`);
    if (type !== undefined && found !== type) {
      fail(place, `the parameter ${name} has values of type ${found}, the column has ${type}`);
    }
    return { kind: "param", name };
  }
  if (!several) {
    if (Array.isArray(value)) fail(place, `${op} takes one value, use in or nin for several`);
    return { kind: "literal", values: [literal(value, type, isComparison(op), place)] };
  }
  if (!Array.isArray(value)) {
    fail(place, `${op} takes an array of literals, "jwt:<claim>" or "param:<name>"`);
  }
  if (value.length > RULE_LIMITS.maxLiterals) {
    fail(
      place,
      `at most ${RULE_LIMITS.maxLiterals} literals, keep more in a table and a parameter`,
    );
  }
  const values = value.map((item, i) => literal(item, type, false, `${place}[${i}]`));
  return { kind: "literal", values };
}

function literal(
  input: unknown,
  type: string | undefined,
  ordered: boolean,
  place: string,
): Value {
  let json = input;
  if (isRecord(input)) json = record(input, ["literal"], place)["literal"];
  else if (typeof input === "string" && /^(jwt|param):/.test(input)) {
    fail(place, `an array holds literals only; write {"literal": ${quoted(input)}} for the text`);
  }
  if (json === null) fail(place, "null equals nothing, use isNull");
  if (json === undefined) fail(place, "the value is missing");
  const scalar = typeof json === "string" || typeof json === "number" || typeof json === "boolean";
  if (!scalar) fail(place, "must be a text, a number, true or false");
  if (ordered && typeof json === "boolean") fail(place, "true and false have no order");
  const value = fit(json as JsonValue, type ?? CLAIM_TYPE);
  if (value === undefined) {
    const misfit = valueCheck(type ?? CLAIM_TYPE)?.(json as JsonValue);
    fail(place, `the column ${misfit ?? `takes a value of type ${type}`}`);
  }
  return value;
}

function claimName(input: unknown, place: string): string {
  const name = text(input, place);
  if (name.length > 256) fail(place, "the name of a claim has at most 256 characters");
  return name;
}
