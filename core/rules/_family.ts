/**
 * What one table of a family does with a row, and the text by which families are told apart.
 *
 * @module
 */

import type { Table } from "../schema.ts";
import { fromPlainJson, type JsonValue, type Value } from "../value.ts";
import { conditionId } from "./_disjunctive.ts";
import { keyText } from "./compare.ts";
import type { FamilyTable, Naming } from "./compile.ts";
import { compareWith, type RowReader } from "./judge.ts";
import type { Condition, Conjunct } from "./model.ts";
import { RULE_LIMITS } from "./spec.ts";

/** One conjunct of a table, without its claim conditions. */
export interface Alternative {
  /** For each operand of the key the conditions that name it. */
  readonly keyed: readonly Conjunct[];
  /** The conditions on literals. */
  readonly fixed: Conjunct;
  /** The residual conditions, with the number of their operand. */
  readonly residual: readonly { readonly condition: Condition; readonly operand: number }[];
}

/**
 * Makes one table of a family.
 *
 * @param table the table
 * @param columns the columns it shows
 * @param alternatives its conjuncts; exactly one when there are residual conditions
 * @returns the table of the family
 */
export function familyTable(
  table: Table,
  columns: ReadonlySet<string> | undefined,
  alternatives: readonly Alternative[],
): FamilyTable {
  const residual = alternatives.flatMap((alternative) => alternative.residual);
  const residualColumns = [...new Set(residual.map(({ condition }) => columnOf(condition)))];
  const tests = residual.map(({ condition, operand }) => ({
    condition,
    operand,
    column: residualColumns.indexOf(columnOf(condition)),
  }));
  const places = alternatives.map(({ keyed, fixed }) => ({ keyed, tests: fixed.map(testOf) }));
  const [only] = places;
  return {
    table,
    columns,
    residualColumns,
    keysOf: (row) =>
      only !== undefined && places.length === 1
        ? keysOf(only, row)
        : [...new Set(places.flatMap((place) => keysOf(place, row)))],
    spreads: alternatives.some(({ keyed }) =>
      keyed.some((conditions) => conditions.some(({ op }) => op === "contains"))
    ),
    keyCount: (row) => Math.max(0, ...alternatives.map((item) => keyCount(item, row))),
    holds: (operands, values) =>
      tests.every(({ condition, operand, column }) => {
        const { op, type } = condition;
        const right = readOperand(operands[operand] ?? null, type);
        return compareWith(op, type, values[column] ?? null, right);
      }),
  };
}

function readOperand(operand: JsonValue, type: string): readonly Value[] {
  const values: readonly JsonValue[] = Array.isArray(operand) ? operand : [operand];
  return values.map((value) => fromPlainJson(value, type));
}

function columnOf({ subject }: Condition): string {
  return subject.kind === "column" ? subject.column.name : "";
}

/** Judges the conditions on literals; long lists are looked up. */
function testOf({ subject, op, type, operand }: Condition): (row: RowReader) => boolean {
  const column = subject.kind === "column" ? subject.column.name : "";
  const values = operand.kind === "literal" ? operand.values : [];
  if (op !== "in" && op !== "nin") return (row) => compareWith(op, type, row(column), values);
  const texts = new Set(values.map((value) => keyText(value, type)));
  return (row) => {
    const value = row(column);
    return value !== null && texts.has(keyText(value, type)) === (op === "in");
  };
}

/** An alternative made ready for rows. */
interface Place {
  readonly keyed: readonly Conjunct[];
  readonly tests: readonly ((row: RowReader) => boolean)[];
}

function keysOf({ keyed, tests }: Place, row: RowReader): readonly string[] {
  for (const test of tests) if (!test(row)) return [];
  const parts = keyed.map((conditions) => sharedTexts(conditions, row));
  const count = parts.reduce((product, texts) => product * texts.length, 1);
  if (count === 0 || count > RULE_LIMITS.maxKeys) return [];
  let keys: readonly string[] = [""];
  for (const texts of parts) {
    keys = keys.flatMap((key) => texts.map((text) => key === "" ? text : `${key},${text}`));
  }
  return keys.map((key) => `[${key}]`);
}

/** How many buckets a row would be in by the keyed conditions alone. */
function keyCount({ keyed }: Alternative, row: RowReader): number {
  return keyed.reduce((product, conditions) => product * sharedTexts(conditions, row).length, 1);
}

/** The values that satisfy all conditions on one operand. */
function sharedTexts(conditions: Conjunct, row: RowReader): readonly string[] {
  const [first, ...others] = conditions;
  if (first === undefined) return [];
  let texts = textsOf(first, row);
  for (const condition of others) {
    const more = new Set(textsOf(condition, row));
    texts = texts.filter((text) => more.has(text));
  }
  return texts;
}

function textsOf(condition: Condition, row: RowReader): readonly string[] {
  const value = row(columnOf(condition));
  if (value === null) return [];
  if (condition.op !== "contains") return [keyText(value, condition.type)];
  if (!Array.isArray(value)) return [];
  const items = value.filter((item) => item !== null && typeof item !== "object");
  return [...new Set(items.map((item) => keyText(item, condition.type)))];
}

/** What a signature is written from. */
interface Signed {
  readonly keyed: readonly { readonly type: string }[];
  readonly residual: readonly { readonly type: string }[];
  readonly tables: ReadonlyMap<string, {
    readonly source: {
      readonly table: Table;
      readonly columns: ReadonlySet<string> | undefined;
      readonly star: boolean;
    };
    readonly alternatives: readonly Alternative[];
  }>;
}

/**
 * Writes a signature: equal for families with equal rows, keys, projection and residual
 * conditions. Where operands come from is no part of it, since that moves no row.
 *
 * @param bucket the bucket's name, undefined for a look-up
 * @param yields the column that a look-up yields
 * @param signed the family
 * @param excluded tokens of the tables that `*` passes over, sorted
 * @param naming tokens of tables and columns
 * @returns JSON
 */
export function signatureOf(
  bucket: string | undefined,
  yields: string | undefined,
  signed: Signed,
  excluded: readonly string[],
  naming: Naming,
): string {
  const tables: JsonValue[] = [];
  let star = false;
  for (const [name, { source, alternatives }] of signed.tables) {
    // A table that is added later is empty then, so whole tables under `*` need no names.
    if (source.star && alternatives.every(isWhole)) {
      star = true;
      continue;
    }
    const column = (other: string) => naming.column(name, other);
    tables.push([
      naming.table(name),
      source.columns === undefined ? null : [...source.columns].map(column).sort(),
      alternatives.map((item) => JSON.stringify(signAlternative(item, column))).sort(),
      yields === undefined ? null : column(yields),
    ]);
  }
  const sorted = tables.map((table) => JSON.stringify(table)).sort();
  const types = [...signed.keyed, ...signed.residual].map(({ type }) => type);
  return JSON.stringify([bucket ?? null, star ? excluded : null, types, sorted]);
}

function isWhole({ keyed, fixed, residual }: Alternative): boolean {
  return keyed.length + fixed.length + residual.length === 0;
}

function signAlternative(
  { keyed, fixed, residual }: Alternative,
  column: (name: string) => string,
): JsonValue {
  return [
    keyed.map((conditions) =>
      conditions.map((item) => JSON.stringify([item.op === "contains", column(columnOf(item))]))
        .sort()
    ),
    fixed.map((item) => conditionId(item, column)).sort(),
    residual.map(({ condition, operand }) =>
      JSON.stringify([condition.op, column(columnOf(condition)), operand])
    ).sort(),
  ];
}
