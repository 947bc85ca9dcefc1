/**
 * Rules as plain SQL for SQLite, over real tables: what a bucket holds, said a second time and in
 * another way, to test the engine against. Nothing of families, keys or disjunctive forms is used.
 *
 * Columns hold `boolean` as 0 and 1, `integer` as INTEGER, `number` as REAL, `bytes` as BLOB,
 * sets and `json` as JSON text, everything else as TEXT.
 *
 * @module
 */

import type { Column, Table } from "../schema.ts";
import { fromPlainJson, type JsonValue, toPlainJson, type Value, valueCheck } from "../value.ts";
import type { Claims, Condition, Filter, Rules } from "./model.ts";

/** What SQLite is given for one value. */
export type Bound = null | bigint | number | string | Uint8Array;

/** A statement with numbered parameters. */
export interface Statement {
  /** The text. */
  readonly sql: string;
  /** The values of `?1`, `?2` and so on. */
  readonly values: readonly Bound[];
}

/** The column of the result that holds the rowId. */
export const ROW_ID = "_lakesync_row_id";

/** Puts a name between quotes. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Whether a column is stored as JSON text. */
function isJson(column: Column): boolean {
  return column.type === "json" || (column.merge as string) === "set";
}

/** The value as it is stored in a column. */
export function toStored(value: Value, column: Column): Bound {
  if (value === null) return null;
  if (isJson(column)) return JSON.stringify(toPlainJson(value));
  return toBound(value, column.type);
}

function toBound(value: Value, type: string): Bound {
  if (typeof value === "boolean") return value ? 1n : 0n;
  if (type === "integer" && typeof value === "number") return BigInt(value);
  if (typeof value === "object") {
    return value instanceof Uint8Array ? value : JSON.stringify(value);
  }
  return value;
}

/** The statement that makes a table. */
export function createTableSql(table: Table): string {
  const columns = table.columns.map((column) =>
    `${quoteName(column.name)} ${isJson(column) ? "TEXT" : AFFINITY[column.type] ?? "TEXT"}`
  );
  const key = table.primaryKey.map((column) => quoteName(column.name));
  return `CREATE TABLE ${quoteName(table.name)} (${columns.join(", ")}, ` +
    `PRIMARY KEY (${key.join(", ")}))`;
}

const AFFINITY: Readonly<Record<string, string>> = {
  boolean: "INTEGER",
  integer: "INTEGER",
  number: "REAL",
  bytes: "BLOB",
};

/**
 * What a caller may read of one table by one bucket.
 *
 * @param rules the rules
 * @param bucket the bucket's name
 * @param table the table's name
 * @param claims the caller's claims
 * @returns a SELECT of {@linkcode ROW_ID} and of the columns shown, in the order of the schema;
 * undefined when the bucket does not have the table
 */
export function scopeSql(
  rules: Rules,
  bucket: string,
  table: string,
  claims: Claims,
): Statement | undefined {
  const found = rules.buckets.find(({ name }) => name === bucket)
    ?.tables.find((item) => item.table.name === table);
  if (found === undefined) return undefined;
  const shown = found.table.columns.filter(({ name }) => found.columns?.has(name) ?? true);
  const writer = new Writer(rules, claims);
  const columns = shown.map(({ name }) => `t0.${quoteName(name)} AS ${quoteName(name)}`);
  const where = writer.filter(found.filter, "t0");
  const sql = `SELECT ${[`${rowIdSql(found.table, "t0")} AS ${ROW_ID}`, ...columns].join(", ")} ` +
    `FROM ${quoteName(table)} AS t0 WHERE ${where}`;
  return { sql, values: writer.values };
}

/**
 * The rows of a table that write rules let a caller write.
 *
 * @param rules the rules
 * @param table the table's name
 * @param op the operation
 * @param claims the caller's claims
 * @returns a SELECT of {@linkcode ROW_ID}
 */
export function writeSql(rules: Rules, table: string, op: string, claims: Claims): Statement {
  const found = rules.schema.tables.get(table);
  if (found === undefined) throw new Error(`no table ${table}`);
  const writer = new Writer(rules, claims);
  const tests = rules.writes
    .filter((rule) => rule.table === table && rule.ops.some((item) => item === op))
    .map((rule) => writer.filter(rule.filter, "t0"));
  const where = tests.length === 0 ? "0" : tests.join(" OR ");
  const sql = `SELECT ${rowIdSql(found, "t0")} AS ${ROW_ID} ` +
    `FROM ${quoteName(table)} AS t0 WHERE ${where}`;
  return { sql, values: writer.values };
}

function rowIdSql(table: Table, alias: string): string {
  const parts = table.primaryKey.map(({ name, type }) => {
    const column = `${alias}.${quoteName(name)}`;
    if (table.primaryKey.length === 1) return `CAST(${column} AS TEXT)`;
    if (type !== "integer") return column;
    return `CASE WHEN ${column} BETWEEN -9007199254740991 AND 9007199254740991 ` +
      `THEN ${column} ELSE CAST(${column} AS TEXT) END`;
  });
  return table.primaryKey.length === 1 ? parts.join() : `json_array(${parts.join(", ")})`;
}

/** A claim's values that are of a type; undefined when it is missing or of another type. */
function readClaim(
  claims: Claims,
  name: string,
  type: string,
): { readonly list: boolean; readonly values: readonly Value[] } | undefined {
  const claim = new Map(Object.entries(claims)).get(name);
  const list = Array.isArray(claim);
  const values: Value[] = [];
  for (const item of list ? claim : [claim]) {
    if (!["string", "number", "boolean"].includes(typeof item)) continue;
    const value = fromPlainJson(item as JsonValue, type);
    const check = valueCheck(type);
    if (check !== undefined && check(value) === undefined) values.push(value);
  }
  return list || values.length > 0 ? { list, values } : undefined;
}

const COMPARISON: Readonly<Record<string, string>> = {
  eq: "=",
  neq: "<>",
  gt: ">",
  gte: ">=",
  lt: "<",
  lte: "<=",
};

class Writer {
  readonly values: Bound[] = [];
  readonly #rules: Rules;
  readonly #claims: Claims;
  #aliases = 0;

  constructor(rules: Rules, claims: Claims) {
    this.#rules = rules;
    this.#claims = claims;
  }

  filter(filter: Filter, alias: string): string {
    if (filter.kind === "condition") return `(${this.#condition(filter, alias)})`;
    const parts = filter.filters.map((part) => this.filter(part, alias));
    if (parts.length === 0) return "1";
    return `(${parts.join(filter.kind === "all" ? " AND " : " OR ")})`;
  }

  #bind(value: Bound): string {
    this.values.push(value);
    return `?${this.values.length}`;
  }

  #condition(condition: Condition, alias: string): string {
    const { subject, op, operand, type } = condition;
    if (subject.kind === "claim") return this.#claimCondition(condition, subject.claim);
    const column = `${alias}.${quoteName(subject.column.name)}`;
    if (op === "isNull") {
      const yes = operand.kind === "literal" && operand.values[0] === true;
      return `${column} IS ${yes ? "" : "NOT "}NULL`;
    }
    if (operand.kind === "param") {
      return `${column} IS NOT NULL AND ${comparable(column, type)} ` +
        `${op === "in" ? "IN" : "NOT IN"} (${this.#param(operand.name)})`;
    }
    const values = this.#operandValues(condition);
    if (values === undefined) return "0";
    if (op === "contains") return this.#contains(column, type, values[0] ?? null);
    const right = values.map((value) => comparable(this.#bind(toBound(value, type)), type));
    if (op === "in" || op === "nin") {
      return `${column} IS NOT NULL AND ${comparable(column, type)} ` +
        `${op === "in" ? "IN" : "NOT IN"} (${right.join(", ")})`;
    }
    return `${comparable(column, type)} ${COMPARISON[op]} ${right[0]}`;
  }

  /** The values of the right side; undefined makes the condition false. */
  #operandValues({ operand, op, type }: Condition): readonly Value[] | undefined {
    if (operand.kind === "literal") return operand.values;
    const claim = readClaim(this.#claims, operand.name, type);
    return claim === undefined || (claim.list && op !== "in" && op !== "nin")
      ? undefined
      : claim.values;
  }

  #contains(column: string, type: string, value: Value): string {
    const plain = toPlainJson(value);
    const alias = `e${++this.#aliases}`;
    const item = `${alias}.value`;
    const test = typeof plain === "boolean"
      ? `${alias}.type = '${plain}'`
      : typeof plain === "number"
      ? `${alias}.type IN ('integer', 'real') AND ${item} = ${this.#bind(plain)}`
      : `${alias}.type = 'text' AND ${comparable(item, type)} = ` +
        comparable(this.#bind(String(plain)), type);
    return `json_type(${column}) = 'array' AND ` +
      `EXISTS (SELECT 1 FROM json_each(${column}) AS ${alias} WHERE ${test})`;
  }

  #param(name: string): string {
    const parameter = this.#rules.parameters.get(name);
    if (parameter === undefined) throw new Error(`no parameter ${name}`);
    const alias = `t${++this.#aliases}`;
    const column = `${alias}.${quoteName(parameter.column.name)}`;
    return `SELECT ${comparable(column, parameter.column.type)} ` +
      `FROM ${quoteName(parameter.table.name)} AS ${alias} ` +
      `WHERE ${column} IS NOT NULL AND ${this.filter(parameter.filter, alias)}`;
  }

  /** Claims are known, so all but look-ups is decided here, on JavaScript values. */
  #claimCondition(condition: Condition, name: string): string {
    const { op, operand, type } = condition;
    const raw = Object.hasOwn(this.#claims, name) ? this.#claims[name] ?? null : null;
    if (op === "isNull") {
      const wanted = operand.kind === "literal" && operand.values[0] === true;
      return (raw === null) === wanted ? "1" : "0";
    }
    const left = readClaim(this.#claims, name, type);
    if (left === undefined || left.list !== (op === "contains")) return "0";
    if (operand.kind === "param") {
      const value = comparable(this.#bind(toBound(left.values[0] ?? null, type)), type);
      return `${value} ${op === "in" ? "IN" : "NOT IN"} (${this.#param(operand.name)})`;
    }
    const right = this.#operandValues(condition);
    if (right === undefined) return "0";
    return claimHolds(op, left.values, right) ? "1" : "0";
  }
}

/** Claims and literals beside them are texts, numbers and booleans, equal when identical. */
function claimHolds(op: string, left: readonly Value[], right: readonly Value[]): boolean {
  const [a, b] = [left[0] ?? null, right[0] ?? null];
  if (op === "in") return right.includes(a);
  if (op === "nin") return !right.includes(a);
  if (op === "contains") return left.includes(b);
  if (op === "eq") return a === b;
  if (op === "neq") return a !== b;
  const order = typeof a === "number" && typeof b === "number"
    ? a - b
    : typeof a === "string" && typeof b === "string"
    ? compareBytes(a, b)
    : NaN;
  if (op === "gt") return order > 0;
  if (op === "gte") return order >= 0;
  return op === "lt" ? order < 0 : order <= 0;
}

function compareBytes(a: string, b: string): number {
  const [x, y] = [[...a], [...b]].map((points) => points.map((c) => c.codePointAt(0) ?? 0));
  for (const [i, point] of (x ?? []).entries()) {
    const other = y?.[i];
    if (other === undefined) return 1;
    if (point !== other) return point - other;
  }
  return (x?.length ?? 0) - (y?.length ?? 0);
}

/** An expression that SQLite compares as the type is compared. */
function comparable(value: string, type: string): string {
  if (type === "timestamp") {
    const fraction = `replace(replace(substr(${value}, 20), 'Z', ''), '.', '')`;
    return `(substr(${value}, 1, 19) || substr(${fraction} || '000000', 1, 6))`;
  }
  return type.startsWith("decimal") ? comparableDecimal(value) : value;
}

/** A sign and 76 digits; of negative numbers letters that fall as the digits rise. */
function comparableDecimal(value: string): string {
  const digits = `ltrim(${value}, '-')`;
  const point = `instr(${digits} || '.', '.')`;
  const zeros = `'${"0".repeat(38)}'`;
  const whole = `substr(${zeros} || substr(${digits}, 1, ${point} - 1), -38)`;
  const fraction = `substr(substr(${digits}, ${point} + 1) || ${zeros}, 1, 38)`;
  const all = `(${whole} || ${fraction})`;
  let falling = all;
  for (const [digit, letter] of [..."jihgfedcba"].entries()) {
    falling = `replace(${falling}, '${digit}', '${letter}')`;
  }
  const negative = `${value} LIKE '-%' AND ${all} GLOB '*[1-9]*'`;
  return `(CASE WHEN ${value} IS NULL THEN NULL WHEN ${negative} ` +
    `THEN 'n' || ${falling} ELSE 'p' || ${all} END)`;
}
