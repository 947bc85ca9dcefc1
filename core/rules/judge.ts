/**
 * Judges conditions. Where a look-up is not loaded the answer is not known (undefined), which is
 * neither true nor false, so that nothing is granted by an absence.
 *
 * @module
 */

import type { Value } from "../value.ts";
import { compareValues, keyText } from "./compare.ts";
import { type Claims, type Condition, type Filter, readClaim } from "./model.ts";
import type { Operator } from "./spec.ts";

/** Reads a column of a row, key columns included; null where there is no value. */
export type RowReader = (column: string) => Value;

/** What conditions are judged with. */
export interface Judged {
  /** The row; undefined where only claims are judged. */
  readonly row: RowReader | undefined;
  /** The caller's claims. */
  readonly claims: Claims;
  /** Whether a parameter has a value, given as key text; undefined when it is not known. */
  hasParam(name: string, text: string): boolean | undefined;
}

/**
 * Judges a filter.
 *
 * @param filter a condition or a group
 * @param judged the row, the claims and the parameters
 * @returns whether it holds, undefined when a look-up that decides is not loaded
 */
export function judge(filter: Filter, judged: Judged): boolean | undefined {
  if (filter.kind === "condition") return judgeCondition(filter, judged);
  const decisive = filter.kind === "any";
  let known = true;
  for (const part of filter.filters) {
    const holds = judge(part, judged);
    if (holds === decisive) return decisive;
    if (holds === undefined) known = false;
  }
  return known ? !decisive : undefined;
}

/**
 * Judges one condition.
 *
 * @param condition the condition
 * @param judged the row, the claims and the parameters
 * @returns whether it holds, undefined when a look-up that decides is not loaded
 */
export function judgeCondition(condition: Condition, judged: Judged): boolean | undefined {
  const { subject, op, operand, type } = condition;
  if (subject.kind === "claim") return judgeClaim(condition, subject.claim, judged);
  const value = judged.row?.(subject.column.name) ?? null;
  if (operand.kind === "literal") return compareWith(op, type, value, operand.values);
  if (value === null) return false;
  if (operand.kind === "param") return inParam(op, keyText(value, type), operand.name, judged);
  const claim = readClaim(judged.claims, operand.name, type);
  if (claim === undefined || (claim.list && !takesList(op))) return false;
  return compareWith(op, type, value, claim.values);
}

function judgeClaim(
  condition: Condition,
  name: string,
  judged: Judged,
): boolean | undefined {
  const { op, operand, type } = condition;
  const left = readClaim(judged.claims, name, type);
  if (op === "isNull") {
    const absent = !Object.hasOwn(judged.claims, name) || judged.claims[name] === null ||
      judged.claims[name] === undefined;
    return operand.kind === "literal" && absent === operand.values[0];
  }
  if (left === undefined || left.list !== (op === "contains")) return false;
  const [first = null] = left.values;
  const value = left.list ? left.values : first;
  if (operand.kind === "literal") return compareWith(op, type, value, operand.values);
  if (operand.kind === "param") return inParam(op, keyText(first, type), operand.name, judged);
  const right = readClaim(judged.claims, operand.name, type);
  if (right === undefined || (right.list && !takesList(op))) return false;
  return compareWith(op, type, value, right.values);
}

function inParam(
  op: Operator,
  text: string,
  name: string,
  judged: Judged,
): boolean | undefined {
  const has = judged.hasParam(name, text);
  return has === undefined ? undefined : has === (op === "in");
}

/**
 * Tells whether an operator takes several values on its right side.
 *
 * @param op an operator
 * @returns whether it is `in` or `nin`
 */
export function takesList(op: Operator): boolean {
  return op === "in" || op === "nin";
}

/**
 * Compares a value with known values.
 *
 * @param op the operator
 * @param type the type both sides have; of the elements for `contains`
 * @param value the left side, null when there is none
 * @param values the right side: one value, any number for `in` and `nin`, a boolean for `isNull`
 * @returns whether the condition holds
 */
export function compareWith(
  op: Operator,
  type: string,
  value: Value | readonly Value[],
  values: readonly Value[],
): boolean {
  if (op === "isNull") return (value === null) === values[0];
  if (value === null) return false;
  if (op === "contains") {
    const [item] = values;
    return Array.isArray(value) && item !== undefined &&
      value.some((other) => isEqual(other, item, type));
  }
  if (isList(value)) return false;
  if (op === "in") return values.some((other) => isEqual(value, other, type));
  if (op === "nin") return !values.some((other) => isEqual(value, other, type));
  const [other] = values;
  if (other === undefined || other === null) return false;
  if (op === "eq") return isEqual(value, other, type);
  if (op === "neq") return !isEqual(value, other, type);
  const order = compareValues(value, other, type);
  if (order === undefined) return false;
  if (op === "gt") return order > 0;
  if (op === "gte") return order >= 0;
  return op === "lt" ? order < 0 : order <= 0;
}

function isList(value: Value | readonly Value[]): value is readonly Value[] {
  return Array.isArray(value);
}

function isEqual(a: Value, b: Value, type: string): boolean {
  if (a === null || b === null) return false;
  if (type === "string") return a === b;
  return keyText(a, type) === keyText(b, type);
}
