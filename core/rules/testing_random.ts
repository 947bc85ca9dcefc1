/**
 * Random rules, rows and claims over a schema with every column type, from domains so small that
 * conditions often hold.
 *
 * @module
 */

import fc from "fast-check";
import { type Column, parseSchema, type Schema, type Table } from "../schema.ts";
import { type JsonValue, toPlainJson, type Value } from "../value.ts";
import { isOrdered } from "./compare.ts";
import { isCollection } from "./model.ts";
import type { ConditionSpec, FilterSpec, Operator, RulesSpec } from "./spec.ts";
import type { Data } from "./testing_rules.ts";

/** Items of every type, and two tables for parameters. */
export const EVERYTHING: Schema = parseSchema({
  version: 1,
  tables: {
    items: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        name: "string",
        size: "integer",
        weight: "number",
        done: "boolean",
        at: "timestamp",
        day: "date",
        ref: "uuid",
        price: "decimal(12,4)",
        blob: "bytes",
        tags: "json",
        labels: { type: "json", merge: "set" },
      },
    },
    members: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        name: "string",
        size: "integer",
        price: "decimal(12,4)",
        at: "timestamp",
        tags: "json",
      },
    },
    pairs: {
      primaryKey: ["name", "size"],
      columns: { name: "string", size: "integer", team: "string", weight: "number" },
    },
  },
});

/** A few values of each type, some of them equal in other words. */
const DOMAINS: Readonly<Record<string, readonly Value[]>> = {
  string: ["a", "b", "", "\uffff", "😀", "jwt:sub"],
  integer: [0, 1, -1, 2, Number.MAX_SAFE_INTEGER, 2n ** 53n + 1n, -(2n ** 63n)],
  number: [0, -0, 1, 1.5, -2, 1e300],
  boolean: [true, false],
  timestamp: [
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.000Z",
    "2026-01-01T00:00:00.5Z",
    "2026-01-01T00:00:00.500000Z",
    "2026-01-01T00:00:00.000001Z",
    "2025-12-31T23:59:59.999999Z",
  ],
  date: ["2026-01-01", "2025-12-31", "0001-01-01"],
  uuid: ["00000000-0000-0000-0000-000000000001", "ffffffff-0000-0000-0000-000000000001"],
  decimal: ["0", "-0", "0.0", "1", "1.0", "1.0001", "-1", "-1.5", "9.9", "10", "-10"],
  bytes: [new Uint8Array(), new Uint8Array([1]), new Uint8Array([1, 2])],
  element: ["a", "b", "", 1, 1.5, true, false],
};

function domain(type: string): readonly Value[] {
  return DOMAINS[type.startsWith("decimal") ? "decimal" : type] ?? [];
}

function cell(column: Column): fc.Arbitrary<Value> {
  const elements = fc.array(fc.constantFrom(...(DOMAINS["element"] ?? []), null), { maxLength: 3 });
  const value: fc.Arbitrary<Value> = column.type === "json"
    ? fc.oneof(
      elements.map((items) => items.map(toPlainJson)),
      fc.constantFrom<Value>("a", 1, { a: "a" }, [["a"]], []),
    )
    : fc.constantFrom(...domain(column.type));
  return column.key ? value : fc.oneof({ weight: 1, arbitrary: fc.constant(null) }, {
    weight: 5,
    arbitrary: value,
  });
}

function rowsOf(table: Table): fc.Arbitrary<readonly Record<string, Value>[]> {
  const cells: Record<string, fc.Arbitrary<Value>> = {};
  for (const column of table.columns) cells[column.name] = cell(column);
  const single = table.primaryKey.length === 1;
  return fc.array(fc.record(cells), { minLength: 2, maxLength: 8 }).map((rows) => {
    if (single) return rows.map((row, i) => ({ ...row, id: i === 0 ? "a" : `r${i}` }));
    const byKey = new Map(rows.map((row) => [`${row["name"]} ${row["size"]}`, row]));
    return [...byKey.values()];
  });
}

/** Rows of all tables. */
export const randomData: fc.Arbitrary<Data> = fc.record({
  items: rowsOf(table("items")),
  members: rowsOf(table("members")),
  pairs: rowsOf(table("pairs")),
});

function table(name: string): Table {
  const found = EVERYTHING.tables.get(name);
  if (found === undefined) throw new Error(`no table ${name}`);
  return found;
}

const ALL_VALUES = Object.values(DOMAINS).flat().map(toPlainJson);
const CLAIMS = ["string", "integer", "number", "timestamp", "decimal", "element", "none"] as const;

function claimValue(name: string): fc.Arbitrary<unknown> {
  const own = (DOMAINS[name] ?? ALL_VALUES).map(toPlainJson);
  const one = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...own) },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(...ALL_VALUES, null, {}, [[]]) },
  );
  return fc.oneof({ weight: 2, arbitrary: one }, {
    weight: 1,
    arbitrary: fc.array(one, { maxLength: 3 }),
  });
}

/** Claims, some of them missing, some of the wrong type. */
export const randomClaims: fc.Arbitrary<Record<string, unknown>> = fc.record(
  Object.fromEntries(CLAIMS.map((name) => [name, claimValue(name)])),
  { requiredKeys: ["string"] },
);

const PARAMS: Readonly<Record<string, string>> = {
  names: "string",
  sizes: "integer",
  prices: "decimal(12,4)",
  times: "timestamp",
  teams: "string",
};

function literal(value: Value): JsonValue {
  const plain = toPlainJson(value);
  return typeof plain === "string" && /^(jwt|param):/.test(plain) ? { literal: plain } : plain;
}

/** Conditions on a table: any claim beside any column, literals of the column's type. */
function condition(of: Table, params: readonly string[], keyedOnly: boolean) {
  const claim = fc.constantFrom(...CLAIMS).map((name) => `jwt:${name}`);
  const onColumn = fc.constantFrom(...of.columns).chain((column) => {
    const { name, type } = column;
    const make = (op: Operator) => (value: JsonValue): ConditionSpec => ({
      column: name,
      op,
      value,
    });
    const one = (values: readonly Value[]) => fc.constantFrom(...values.map(literal));
    const many = (values: readonly Value[]) => fc.array(one(values), { maxLength: 3 });
    const own = CLAIMS.find((item) => type.startsWith(item));
    const claims = own === undefined ? claim : fc.oneof(fc.constant(`jwt:${own}`), claim);
    const isNull = fc.boolean().map(make("isNull"));
    if (isCollection(column)) {
      const element = fc.constant("jwt:element");
      return fc.oneof(
        fc.oneof(one(DOMAINS["element"] ?? []), element, claims).map(make("contains")),
        isNull,
      );
    }
    const values = domain(type);
    const fitting = params.filter((param) => PARAMS[param] === type).map((param) =>
      `param:${param}`
    );
    const param = fitting.length === 0 ? claims : fc.constantFrom(...fitting);
    const orders = fc.constantFrom<Operator>("gt", "gte", "lt", "lte");
    const ordered = isOrdered(type)
      ? fc.tuple(orders, keyedOnly ? one(values) : fc.oneof(one(values), claims)).map((
        [op, value],
      ) => make(op)(value))
      : isNull;
    return fc.oneof(
      fc.oneof(one(values), claims).map(make("eq")),
      fc.oneof(many(values), claims, param).map(make("in")),
      (keyedOnly ? one(values) : fc.oneof(one(values), claims)).map(make("neq")),
      (keyedOnly ? many(values) : fc.oneof(many(values), claims, param)).map(make("nin")),
      ordered,
      isNull,
    );
  });
  const element = fc.constantFrom(...(DOMAINS["element"] ?? []).map(literal));
  const scalar = fc.constantFrom<JsonValue>("a", "", 1, 1.5, "jwt:element", "jwt:string");
  const onClaim = fc.constantFrom(...CLAIMS).chain((name) =>
    fc.oneof(
      fc.tuple(fc.constantFrom<Operator>("eq", "neq", "gt", "gte", "lt", "lte"), scalar),
      fc.tuple(fc.constant<Operator>("contains"), fc.oneof(element, claim)),
      fc.tuple(
        fc.constantFrom<Operator>("in", "nin"),
        fc.oneof(
          fc.array(element, { maxLength: 3 }),
          claim,
          params.length === 0 ? claim : fc.constantFrom(...params).map((item) => `param:${item}`),
        ),
      ),
      fc.tuple(fc.constant<Operator>("isNull"), fc.boolean()),
    ).map(([op, value]): ConditionSpec => ({ claim: name, op, value }))
  );
  return fc.oneof({ weight: 6, arbitrary: onColumn }, { weight: 1, arbitrary: onClaim });
}

function filters(
  of: Table,
  params: readonly string[],
  keyedOnly = false,
): fc.Arbitrary<FilterSpec[]> {
  const one = condition(of, params, keyedOnly);
  const some = fc.array(one, { minLength: 1, maxLength: 3 });
  const group: fc.Arbitrary<FilterSpec> = fc.oneof(
    some.map((any) => ({ any })),
    fc.tuple(some, some).map(([all, other]) => ({ any: [{ all }, ...other] })),
    fc.tuple(some, some).map(([any, other]) => ({ all: [{ any }, ...other] })),
  );
  return fc.array(fc.oneof({ weight: 3, arbitrary: one }, { weight: 1, arbitrary: group }), {
    maxLength: 3,
  });
}

const MEMBERS = table("members");
const PAIRS = table("pairs");

function bucket(name: string) {
  const all = Object.keys(PARAMS);
  const columns = fc.option(
    fc.subarray(table("items").columns.map((column) => column.name), { minLength: 1 }),
  );
  // Filters of the bucket name columns that all of its tables have.
  const shared = fc.constantFrom<FilterSpec[]>(
    [],
    [],
    [{ column: "name", op: "eq", value: "jwt:string" }],
    [{ column: "size", op: "in", value: "param:sizes" }],
    [{
      any: [{ column: "name", op: "in", value: "param:teams" }, {
        column: "size",
        op: "gt",
        value: 0,
      }],
    }],
  );
  return fc.tuple(columns, filters(table("items"), all), filters(PAIRS, all), shared, fc.nat(3))
    .map(([shown, items, pairs, own, which]) => ({
      name,
      filters: own,
      tables: which === 0 ? ["*"] : [
        { table: "items", filters: items, ...(shown === null ? {} : { columns: shown }) },
        ...(which === 1 ? [] : [{ table: "pairs", filters: pairs }]),
      ],
    }));
}

/** Rule sets with parameters, some of them in a chain. */
export const randomRules: fc.Arbitrary<RulesSpec> = fc.record({
  parameters: fc.record({
    names: filters(MEMBERS, [], true).map((own) => ({
      from: "members",
      column: "name",
      filters: own,
    })),
    sizes: filters(MEMBERS, [], true).map((own) => ({
      from: "members",
      column: "size",
      filters: own,
    })),
    prices: filters(MEMBERS, ["names"], true).map((own) => ({
      from: "members",
      column: "price",
      filters: own,
    })),
    times: filters(MEMBERS, ["sizes"], true).map((own) => ({
      from: "members",
      column: "at",
      filters: own,
    })),
    teams: filters(PAIRS, ["names", "sizes"], true).map((own) => ({
      from: "pairs",
      column: "team",
      filters: own,
    })),
  }),
  buckets: fc.tuple(bucket("one"), bucket("two")),
  write: fc.array(
    filters(table("items"), Object.keys(PARAMS)).map((own) => ({
      tables: ["items"],
      ops: ["UPDATE" as const],
      filters: own,
    })),
    { maxLength: 2 },
  ),
});
