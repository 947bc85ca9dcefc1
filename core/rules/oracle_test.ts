import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { LakeSyncError } from "../errors.ts";
import { rowIdOf } from "../schema.ts";
import type { Value } from "../value.ts";
import { type CompiledRules, compileRules } from "./compile.ts";
import { explainRead, explainWrite } from "./explain.ts";
import type { Rules } from "./model.ts";
import { parseRules } from "./parse.ts";
import { Scope } from "./scope.ts";
import type { FilterSpec, RulesSpec } from "./spec.ts";
import { EVERYTHING, randomClaims, randomData, randomRules } from "./testing_random.ts";
import { type Data, lookupIn, rowReader } from "./testing_rules.ts";
import {
  type Bound,
  createTableSql,
  quoteName,
  ROW_ID,
  scopeSql,
  type Statement,
  toStored,
  writeSql,
} from "./testing_sql.ts";

function open(data: Data): DatabaseSync {
  const db = new DatabaseSync(":memory:");
  for (const table of EVERYTHING.tables.values()) {
    db.exec(createTableSql(table));
    const marks = table.columns.map(() => "?").join(", ");
    const insert = db.prepare(`INSERT INTO ${quoteName(table.name)} VALUES (${marks})`);
    for (const row of data[table.name] ?? []) {
      insert.run(...table.columns.map((column) => toStored(row[column.name] ?? null, column)));
    }
  }
  return db;
}

function run(db: DatabaseSync, { sql, values }: Statement): Record<string, Bound>[] {
  const statement = db.prepare(sql);
  statement.setReadBigInts(true);
  return statement.all(...values) as Record<string, Bound>[];
}

function rowId(table: string, row: Readonly<Record<string, Value>>): string {
  const found = EVERYTHING.tables.get(table);
  assert.ok(found);
  return rowIdOf(found, found.primaryKey.map((column) => row[column.name] ?? null));
}

/** The rows that a caller reads by families, keys and residual conditions. */
function read(
  compiled: CompiledRules,
  scope: Scope,
  bucket: string,
  table: string,
  data: Data,
): { ids: string[]; columns: ReadonlySet<string> | undefined } {
  const ids = new Set<string>();
  let columns: ReadonlySet<string> | undefined;
  const grants = scope.grants().filter(({ family }) => family.name.split("#")[0] === bucket);
  assert.equal(new Set(grants.map(({ family, key }) => family.name + key)).size, grants.length);
  for (const { family, key, residual } of grants) {
    assert.equal(residual.length, family.residualOperands);
    const found = family.tables.get(table);
    if (found === undefined) continue;
    assert.ok(compiled.byTable.get(table)?.families.includes(family));
    columns = found.columns;
    for (const row of data[table] ?? []) {
      const reader = rowReader(row);
      const keys = found.keysOf(reader);
      assert.equal(new Set(keys).size, keys.length);
      const values = found.residualColumns.map(reader);
      if (keys.includes(key) && found.holds(residual, values)) ids.add(rowId(table, row));
    }
  }
  return { ids: [...ids].sort(), columns };
}

function parse(spec: unknown): Rules {
  try {
    return parseRules(spec, EVERYTHING);
  } catch (error) {
    const many = error instanceof LakeSyncError && /alternatives/.test(error.message);
    fc.pre(!many);
    throw error;
  }
}

let granted = 0;
let refused = 0;

function agree(spec: unknown, data: Data, claims: Record<string, unknown>): void {
  const rules = parse(spec);
  const compiled = compileRules(rules);
  const lookup = lookupIn(data);
  const scope = new Scope(compiled, claims, lookup);
  const db = open(data);
  try {
    for (const table of EVERYTHING.tables.keys()) {
      const readable = new Set<string>();
      for (const { name } of rules.buckets) {
        const statement = scopeSql(rules, name, table, claims);
        const rows = statement === undefined ? [] : run(db, statement);
        const expected = rows.map((row) => String(row[ROW_ID])).sort();
        const actual = read(compiled, scope, name, table, data);
        assert.deepStrictEqual(actual.ids, expected, `${name} ${table}`);
        for (const id of expected) readable.add(id);
        const [first] = rows;
        if (first !== undefined) {
          const all = EVERYTHING.tables.get(table)?.columns.map((column) => column.name) ?? [];
          const shown = all.filter((column) => actual.columns?.has(column) ?? true);
          assert.deepStrictEqual(Object.keys(first), [ROW_ID, ...shown]);
        }
      }
      const writable = new Set(
        run(db, writeSql(rules, table, "UPDATE", claims)).map((row) => String(row[ROW_ID])),
      );
      for (const row of data[table] ?? []) {
        const [id, reader] = [rowId(table, row), rowReader(row)];
        const reads = explainRead(compiled, claims, lookup, table, reader);
        assert.equal(reads.allowed, readable.has(id), `explain ${table}`);
        assert.equal(scope.allows(table, "UPDATE", reader), writable.has(id), `write ${table}`);
        const writes = explainWrite(compiled, claims, lookup, table, reader, "UPDATE");
        assert.equal(writes.allowed, writable.has(id));
        assert.deepStrictEqual(reads.missing, []);
        if (readable.has(id)) granted++;
        else refused++;
      }
    }
  } finally {
    db.close();
  }
}

Deno.test("G7, G8: rules give the rows that plain SQL gives, for random rules, rows and claims", () => {
  fc.assert(fc.property(randomRules, randomData, randomClaims, agree), { numRuns: 1_000 });
  // Random rules that grant everything or nothing would test nothing.
  assert.ok(granted > 1_000 && refused > 1_000, `${granted} rows granted, ${refused} not`);
});

function oneBucket(...filters: readonly FilterSpec[]): RulesSpec {
  return { buckets: [{ name: "one", tables: [{ table: "items", filters }] }] };
}

const SIZE = { column: "size", value: "jwt:integer" } as const;
const CORNERS: Readonly<Record<string, RulesSpec>> = {
  "two residual conditions on one claim": oneBucket({
    any: [{ ...SIZE, op: "gt" }, { ...SIZE, op: "lt" }],
  }),
  "one residual condition on two claims": oneBucket({
    any: [{ ...SIZE, op: "gt" }, { column: "size", op: "gt", value: "jwt:number" }],
  }),
  "one column keyed by a claim and a parameter": {
    ...oneBucket({ ...SIZE, op: "in" }, { column: "size", op: "in", value: "param:sizes" }),
    parameters: { sizes: { from: "members", column: "size" } },
  },
  "a column nin a claim and another in it": oneBucket(
    { column: "name", op: "nin", value: "jwt:string" },
    { column: "tags", op: "contains", value: "jwt:element" },
  ),
  "two columns keyed by one array claim": oneBucket(
    { column: "id", op: "in", value: "jwt:string" },
    { column: "name", op: "in", value: "jwt:string" },
  ),
  "two columns keyed by one parameter": {
    ...oneBucket(
      { column: "size", op: "in", value: "param:sizes" },
      { any: [{ column: "name", op: "in", value: "param:names" }] },
      { column: "id", op: "in", value: "param:names" },
    ),
    parameters: {
      sizes: { from: "members", column: "size" },
      names: { from: "members", column: "name" },
    },
  },
  "two columns keyed by one claim": oneBucket(
    { column: "labels", op: "contains", value: "jwt:element" },
    { column: "tags", op: "contains", value: "jwt:element" },
  ),
};

for (const [name, spec] of Object.entries(CORNERS)) {
  Deno.test(`G7: rules give the rows that plain SQL gives for ${name}`, () => {
    fc.assert(
      fc.property(randomData, randomClaims, (data, claims) => agree(spec, data, claims)),
      { numRuns: 200 },
    );
  });
}

Deno.test("Scope reaches the same grants when look-ups are loaded only as it asks for them", () => {
  fc.assert(
    fc.property(randomRules, randomData, randomClaims, (spec, data, claims) => {
      const compiled = compileRules(parse(spec));
      const all = lookupIn(data);
      const loaded = new Set<string>();
      const lazy = new Scope(
        compiled,
        claims,
        (family, key) => loaded.has(family.signature + key) ? all(family, key) : undefined,
      );
      const eager = new Scope(compiled, claims, all).grants();
      const ids = new Set(
        eager.map(({ family, key, residual }) => JSON.stringify([family.name, key, residual])),
      );
      let grants = lazy.grants();
      for (let round = 0; lazy.missing.length > 0; round++) {
        assert.ok(round < 2, "a chain takes two rounds");
        for (const { family, key, residual } of grants) {
          assert.ok(ids.has(JSON.stringify([family.name, key, residual])), "granted by an absence");
        }
        for (const { family, key } of lazy.missing) loaded.add(family.signature + key);
        grants = lazy.grants();
      }
      assert.deepStrictEqual(grants, eager);
    }),
    { numRuns: 300 },
  );
});
