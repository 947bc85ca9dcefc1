/**
 * Says why a caller reads or writes a row, or why not: each rule with its conditions, which of
 * them hold and with which values. For those who operate a gateway; it shows values of rows.
 *
 * @module
 */

import type { Op } from "../delta.ts";
import { type JsonValue, toPlainJson } from "../value.ts";
import type { CompiledRules } from "./compile.ts";
import { judgeCondition, type Judged, type RowReader, takesList } from "./judge.ts";
import type { Claims, Condition, Filter } from "./model.ts";
import { type LookupKey, type LookupReader, Scope } from "./scope.ts";
import type { Operator, TableMode } from "./spec.ts";

/** A condition as it was judged. */
export interface ExplainedCondition {
  /** Tells it from groups. */
  readonly kind: "condition";
  /** The condition, like `list_id in param:list`. */
  readonly text: string;
  /** Whether it holds; undefined when a look-up is missing. */
  readonly holds: boolean | undefined;
  /** The value on the left side; null when there is none. */
  readonly left: JsonValue;
  /**
   * The right side: the value of a claim, null when there is none; of array claims and parameters
   * an array of at most 20 values; undefined for literals.
   */
  readonly right: JsonValue | undefined;
  /** Why it cannot hold whatever the row has; undefined where that is not so. */
  readonly hint: string | undefined;
}

/** A group as it was judged. */
export interface ExplainedGroup {
  /** Which of its filters must hold. */
  readonly kind: "all" | "any";
  /** Whether it holds; undefined when a look-up is missing. */
  readonly holds: boolean | undefined;
  /** Its filters. */
  readonly filters: readonly ExplainedFilter[];
}

/** A filter as it was judged. */
export type ExplainedFilter = ExplainedCondition | ExplainedGroup;

/** A bucket or a write rule as it was judged. */
export interface ExplainedRule {
  /** The bucket's name, or the place of the write rule, like `write[0]`. */
  readonly name: string;
  /** Whether it allows the row; undefined when a look-up is missing. */
  readonly holds: boolean | undefined;
  /** Its filters. */
  readonly filter: ExplainedFilter;
  /** The columns a bucket shows; undefined for all. */
  readonly columns: readonly string[] | undefined;
}

/** Why a row may be read or written, or why not. */
export interface Explanation {
  /** What is asked for. */
  readonly action: "READ" | Op;
  /** The table. */
  readonly table: string;
  /** In which directions it is synced. */
  readonly mode: TableMode;
  /** The answer; not valid while look-ups are missing. */
  readonly allowed: boolean;
  /** The rules that name the table, and for a write the operation. */
  readonly rules: readonly ExplainedRule[];
  /** Look-ups to load before asking again. */
  readonly missing: readonly LookupKey[];
}

const MAX_VALUES = 20;

/**
 * Explains whether a caller may read a row.
 *
 * @param compiled the rules
 * @param claims the caller's claims
 * @param lookup reads look-ups that are loaded
 * @param table the table's name
 * @param row the row
 * @returns the answer with its reasons
 */
export function explainRead(
  compiled: CompiledRules,
  claims: Claims,
  lookup: LookupReader,
  table: string,
  row: RowReader,
): Explanation {
  const explain = new Explainer(new Scope(compiled, claims, lookup), row);
  const rules = compiled.rules.buckets.flatMap(({ name, tables }) =>
    tables.filter((item) => item.table.name === table).map(({ filter, columns }) =>
      explain.rule(name, filter, columns)
    )
  );
  return explain.answer("READ", table, compiled.modeOf(table), rules);
}

/**
 * Explains whether a caller may write a row. A change needs it of the row before and after.
 *
 * @param compiled the rules
 * @param claims the caller's claims
 * @param lookup reads look-ups that are loaded
 * @param table the table's name
 * @param row the row before or after the change
 * @param op the operation
 * @returns the answer with its reasons; exempt roles are not looked at
 */
export function explainWrite(
  compiled: CompiledRules,
  claims: Claims,
  lookup: LookupReader,
  table: string,
  row: RowReader,
  op: Op,
): Explanation {
  const explain = new Explainer(new Scope(compiled, claims, lookup), row);
  const rules = (compiled.writes.get(table) ?? [])
    .filter((rule) => rule.ops.includes(op))
    .map(({ place, filter }) => explain.rule(place, filter, undefined));
  return explain.answer(op, table, compiled.modeOf(table), rules);
}

class Explainer {
  readonly #scope: Scope;
  readonly #row: RowReader;
  readonly #judged: Judged;

  constructor(scope: Scope, row: RowReader) {
    this.#scope = scope;
    this.#row = row;
    const { claims } = scope;
    this.#judged = { row, claims, hasParam: (name, text) => scope.hasParam(name, text) };
  }

  rule(
    name: string,
    filter: Filter,
    columns: ReadonlySet<string> | undefined,
  ): ExplainedRule {
    const explained = this.#filter(filter);
    return { name, holds: explained.holds, filter: explained, columns: columns && [...columns] };
  }

  answer(
    action: Explanation["action"],
    table: string,
    mode: TableMode,
    rules: readonly ExplainedRule[],
  ): Explanation {
    const open = mode !== (action === "READ" ? "upload-only" : "download-only");
    const allowed = open && rules.some((rule) => rule.holds === true);
    return { action, table, mode, allowed, rules, missing: this.#scope.missing };
  }

  #filter(filter: Filter): ExplainedFilter {
    if (filter.kind === "condition") return this.#condition(filter);
    const filters = filter.filters.map((part) => this.#filter(part));
    const decisive = filter.kind === "any";
    const decided = filters.some((part) => part.holds === decisive);
    const unknown = filters.some((part) => part.holds === undefined);
    return {
      kind: filter.kind,
      holds: decided ? decisive : unknown ? undefined : !decisive,
      filters,
    };
  }

  #condition(condition: Condition): ExplainedCondition {
    const { subject } = condition;
    const right = this.#right(condition);
    return {
      kind: "condition",
      text: conditionText(condition),
      holds: judgeCondition(condition, this.#judged),
      left: subject.kind === "column"
        ? toPlainJson(this.#row(subject.column.name))
        : this.#claim(subject.claim),
      right,
      hint: operandHint(condition, right),
    };
  }

  #right({ operand }: Condition): JsonValue | undefined {
    if (operand.kind === "literal") return undefined;
    if (operand.kind === "claim") {
      const claim = this.#claim(operand.name);
      if (!Array.isArray(claim)) return claim;
      return claim.filter((value) => value !== null).slice(0, MAX_VALUES);
    }
    const { byText } = this.#scope.valuesOfParam(operand.name);
    return [...byText.values()].slice(0, MAX_VALUES).map(toPlainJson);
  }

  #claim(name: string): JsonValue {
    const { claims } = this.#scope;
    return Object.hasOwn(claims, name) ? asJson(claims[name]) : null;
  }
}

/** Which operator takes an array where another takes one value. */
const FOR_LISTS: Partial<Record<Operator, Operator>> = { eq: "in", neq: "nin" };

function operandHint(
  { op, operand }: Condition,
  right: JsonValue | undefined,
): string | undefined {
  if (operand.kind !== "claim" || !Array.isArray(right) || takesList(op)) return undefined;
  const other = FOR_LISTS[op];
  return `the claim is an array, ${op} needs one value${other ? ` (use ${other})` : ""}`;
}

function asJson(value: unknown): JsonValue {
  const text = JSON.stringify(value);
  return text === undefined ? null : JSON.parse(text);
}

/**
 * Writes a condition as one line.
 *
 * @param condition a condition
 * @returns text like `list_id in param:list`
 */
export function conditionText({ subject, op, operand }: Condition): string {
  const left = subject.kind === "column" ? subject.column.name : `jwt:${subject.claim}`;
  if (operand.kind !== "literal") {
    return `${left} ${op} ${operand.kind === "claim" ? "jwt" : "param"}:${operand.name}`;
  }
  const values = operand.values.map(toPlainJson);
  const right = op === "in" || op === "nin" ? values : values[0] ?? null;
  return `${left} ${op} ${JSON.stringify(right)}`;
}

/**
 * Writes an explanation for people.
 *
 * @param explanation what {@linkcode explainRead} or {@linkcode explainWrite} gave
 * @returns lines without line ends
 */
export function formatExplanation(explanation: Explanation): readonly string[] {
  const { action, table, mode, allowed, rules, missing } = explanation;
  const lines = [`${action} ${table}: ${allowed ? "allowed" : "not allowed"}`];
  if (mode !== "two-way") lines.push(`  the table is ${mode}`);
  if (rules.length === 0) {
    lines.push(action === "READ" ? "  no bucket has the table" : `  no write rule for ${action}`);
  }
  for (const { name, filter, columns } of rules) {
    const shows = columns === undefined ? "" : ` (shows ${columns.join(", ")})`;
    lines.push(`  ${mark(filter.holds)} ${name}${shows}`, ...filterLines(filter, 2, true));
  }
  for (const { family, key } of missing) lines.push(`  not loaded: ${family.name}${key}`);
  return lines;
}

function filterLines(filter: ExplainedFilter, depth: number, top: boolean): readonly string[] {
  const indent = "  ".repeat(depth);
  if (filter.kind !== "condition") {
    const deeper = top && filter.kind === "all" ? depth : depth + 1;
    const own = deeper === depth ? [] : [`${indent}${mark(filter.holds)} ${filter.kind} of`];
    return [...own, ...filter.filters.flatMap((part) => filterLines(part, deeper, false))];
  }
  const { text, left, right, hint, holds } = filter;
  const values = right === undefined ? "" : `, right side ${rightText(right)}`;
  const why = hint === undefined ? "" : `; ${hint}`;
  return [`${indent}${mark(holds)} ${text}: left side is ${short(left)}${values}${why}`];
}

function rightText(right: JsonValue): string {
  if (right === null) return "is missing";
  return Array.isArray(right) && right.length === 0 ? "is empty" : `is ${short(right)}`;
}

function short(value: JsonValue): string {
  const text = JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function mark(holds: boolean | undefined): string {
  return holds === undefined ? "?" : holds ? "+" : "-";
}
