/**
 * Reads and checks a rule set against a schema.
 *
 * @module
 */

import { canonicalJson, type Op } from "../delta.ts";
import type { Schema, Table } from "../schema.ts";
import type { JsonValue } from "../value.ts";
import { disjunctiveForm } from "./_disjunctive.ts";
import { type FilterContext, readColumn, readFilters } from "./_filters.ts";
import { checkDepth, fail, isRecord, list, oneOf, quoted, record, text } from "./_reading.ts";
import {
  type Bucket,
  type BucketTable,
  type Conjunct,
  type Filter,
  isCollection,
  type Parameter,
  type Rules,
  type WriteRule,
} from "./model.ts";
import { type ExemptRole, RULE_LIMITS, type RulesSpec, type TableMode } from "./spec.ts";

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
const OPS: readonly Op[] = ["INSERT", "UPDATE", "DELETE"];
const MODES: readonly TableMode[] = ["two-way", "download-only", "upload-only"];
const ROLES: readonly ExemptRole[] = ["admin", "connector"];

/** A parameter before its filters are read. */
interface Declared {
  readonly spec: Record<string, unknown>;
  readonly table: Table;
  readonly column: Parameter["column"];
  readonly place: string;
}

/**
 * Reads and checks a rule set.
 *
 * @param input a rule set as JSON or as a TypeScript literal
 * @param schema the schema whose tables and columns it names
 * @returns the rules, ready to be compiled
 * @throws {LakeSyncError} `VALIDATION_ERROR`, with the place in the message
 */
export function parseRules(input: unknown, schema: Schema): Rules {
  checkDepth(input, RULE_LIMITS.maxDepth, "$");
  const { maxCharacters } = RULE_LIMITS;
  if ((JSON.stringify(input) ?? "").length > maxCharacters) {
    fail("$", `at most ${maxCharacters} characters as JSON, keep lists in a table and a parameter`);
  }
  const spec = record(input, ["buckets", "parameters", "write", "tables", "exempt"], "$");
  return new Reader(spec, schema).read();
}

class Reader {
  readonly #spec: Record<string, unknown>;
  readonly #schema: Schema;
  readonly #modes = new Map<string, TableMode>();
  readonly #declared = new Map<string, Declared>();
  #conditions = 0;
  #conjuncts = 0;

  constructor(spec: Record<string, unknown>, schema: Schema) {
    this.#spec = spec;
    this.#schema = schema;
  }

  read(): Rules {
    this.#readModes();
    const buckets = list(this.#spec["buckets"] ?? null, "$.buckets");
    if (buckets.length > RULE_LIMITS.maxBuckets) {
      fail("$.buckets", `at most ${RULE_LIMITS.maxBuckets} buckets`);
    }
    this.#declareAll(buckets);
    const parameters = this.#readParameters();
    return {
      schema: this.#schema,
      spec: this.#spec as unknown as RulesSpec,
      parameters,
      buckets: this.#readBuckets(buckets, parameters),
      writes: this.#readWrites(),
      modes: this.#modes,
      exempt: new Set(
        list(this.#spec["exempt"], "$.exempt").map((role, i) =>
          oneOf(role, ROLES, `$.exempt[${i}]`)
        ),
      ),
    };
  }

  #table(input: unknown, place: string): Table {
    const name = text(input, place);
    return this.#schema.tables.get(name) ?? fail(place, `no table ${quoted(name)} in the schema`);
  }

  /** A table whose rows the gateway keeps. */
  #kept(input: unknown, place: string): Table {
    const table = this.#table(input, place);
    if (this.#modes.get(table.name) === "upload-only") {
      fail(place, `the table ${table.name} is upload-only, its rows cannot be read`);
    }
    return table;
  }

  #readModes(): void {
    const tables = record(this.#spec["tables"] ?? {}, undefined, "$.tables");
    for (const [name, input] of Object.entries(tables)) {
      const place = `$.tables.${name.slice(0, 64)}`;
      const { name: table } = this.#table(name, place);
      const mode = oneOf(record(input, ["mode"], place)["mode"], MODES, `${place}.mode`);
      if (mode !== "two-way") this.#modes.set(table, mode);
    }
  }

  #declareAll(buckets: readonly unknown[]): void {
    this.#declare(this.#spec["parameters"], "$.parameters");
    for (const [i, input] of buckets.entries()) {
      const place = `$.buckets[${i}]`;
      const bucket = record(input, ["name", "parameters", "filters", "tables"], place);
      this.#declare(bucket["parameters"], `${place}.parameters`);
    }
    if (this.#declared.size > RULE_LIMITS.maxParameters) {
      fail("$", `at most ${RULE_LIMITS.maxParameters} parameters`);
    }
  }

  #declare(input: unknown, place: string): void {
    for (const [name, value] of Object.entries(record(input ?? {}, undefined, place))) {
      const at = `${place}.${name.slice(0, 64)}`;
      if (!IDENTIFIER.test(name)) fail(at, "a parameter's name must be an identifier");
      const spec = record(value, ["from", "column", "filters"], at);
      const known = this.#declared.get(name);
      if (known !== undefined) {
        if (canonicalJson(known.spec as JsonValue) !== canonicalJson(spec as JsonValue)) {
          fail(at, `the name is taken by another parameter at ${known.place}`);
        }
        continue;
      }
      const table = this.#kept(spec["from"], `${at}.from`);
      const column = readColumn(table, spec["column"], `${at}.column`);
      if (isCollection(column)) fail(`${at}.column`, "must not be a set or a json column");
      this.#declared.set(name, { spec, table, column, place: at });
    }
  }

  #readParameters(): ReadonlyMap<string, Parameter> {
    const parameters = new Map<string, Parameter>();
    for (const [name, { spec, table, column, place }] of this.#declared) {
      const filter = this.#filters(spec["filters"], table, `${place}.filters`);
      this.#refuseResidual(filter, `${place}.filters`);
      const conjuncts = this.#conjunctsOf(filter, `${place}.filters`);
      parameters.set(name, { name, table, column, filter, conjuncts });
    }
    for (const { name, filter } of parameters.values()) {
      const { place } = this.#declared.get(name) ?? { place: "$" };
      for (const first of paramsOf(filter)) {
        if (first === name) fail(place, "the parameter depends on itself");
        for (const second of paramsOf(parameters.get(first)?.filter)) {
          if (second === name) fail(place, `the parameters ${name} and ${first} form a cycle`);
          fail(place, `a chain of more than two: ${name}, ${first}, ${second}`);
        }
      }
    }
    return parameters;
  }

  /** A look-up is found by its key, so its conditions must be keyed or compare with literals. */
  #refuseResidual(filter: Filter, place: string): void {
    if (filter.kind !== "condition") {
      for (const part of filter.filters) this.#refuseResidual(part, place);
    } else if (
      filter.subject.kind === "column" && filter.operand.kind !== "literal" &&
      !isKeyedOp(filter.op)
    ) {
      fail(
        place,
        `in a parameter ${filter.op} compares columns with literals only; ` +
          `eq, in and contains also take claims`,
      );
    }
  }

  #readBuckets(
    inputs: readonly unknown[],
    parameters: ReadonlyMap<string, Parameter>,
  ): readonly Bucket[] {
    const names = new Set<string>();
    return inputs.map((input, i) => {
      const place = `$.buckets[${i}]`;
      const spec = record(input, undefined, place);
      const name = text(spec["name"], `${place}.name`);
      if (!IDENTIFIER.test(name)) fail(`${place}.name`, "a bucket's name must be an identifier");
      if (names.has(name)) fail(`${place}.name`, `the name ${name} is there twice`);
      names.add(name);
      return { name, tables: this.#readBucketTables(spec, place, parameters) };
    });
  }

  #readBucketTables(
    bucket: Record<string, unknown>,
    place: string,
    parameters: ReadonlyMap<string, Parameter>,
  ): readonly BucketTable[] {
    const inputs = list(bucket["tables"] ?? null, `${place}.tables`);
    if (inputs.length === 0) fail(`${place}.tables`, "name at least one table");
    const tables = new Map<string, BucketTable>();
    for (const [i, input] of inputs.entries()) {
      const at = `${place}.tables[${i}]`;
      const named = input === "*" ? this.#all() : [this.#kept(
        isRecord(input) ? input["table"] : input,
        isRecord(input) ? `${at}.table` : at,
      )];
      const rule = isRecord(input) ? record(input, ["table", "key", "columns", "filters"], at) : {};
      for (const table of named) {
        if (tables.has(table.name)) fail(at, `the table ${table.name} is there twice`);
        const parts = [
          this.#filters(bucket["filters"], table, `${place}.filters`, i > 0 || named[0] !== table),
          this.#key(rule["key"], table, bucket, parameters, at, place),
          this.#filters(rule["filters"], table, `${at}.filters`),
        ].flatMap((part) => part?.kind === "all" ? part.filters : part ?? []);
        const filter: Filter = { kind: "all", filters: parts };
        tables.set(table.name, {
          table,
          filter,
          conjuncts: this.#conjunctsOf(filter, at),
          columns: readProjection(rule["columns"], table, `${at}.columns`),
          star: input === "*",
        });
      }
    }
    return [...tables.values()];
  }

  #all(): readonly Table[] {
    return [...this.#schema.tables.values()].filter((table) =>
      this.#modes.get(table.name) !== "upload-only"
    );
  }

  #key(
    key: unknown,
    table: Table,
    bucket: Record<string, unknown>,
    parameters: ReadonlyMap<string, Parameter>,
    at: string,
    place: string,
  ): Filter | undefined {
    if (key === undefined) return undefined;
    const own = Object.keys(record(bucket["parameters"] ?? {}, undefined, `${place}.parameters`));
    const inside = new Set(own.flatMap((name) => [...paramsOf(parameters.get(name)?.filter)]));
    const candidates = own.filter((name) => !inside.has(name) || usesParam(bucket, name));
    const [only] = candidates;
    if (only === undefined || candidates.length > 1) {
      fail(`${at}.key`, "key needs a bucket with exactly one parameter, write a filter with in");
    }
    readColumn(table, key, `${at}.key`);
    const filter = { column: key, op: "in", value: `param:${only}` };
    return this.#filters([filter], table, `${at}.key`);
  }

  #readWrites(): readonly WriteRule[] {
    const inputs = list(this.#spec["write"], "$.write");
    if (inputs.length > RULE_LIMITS.maxWriteRules) {
      fail("$.write", `at most ${RULE_LIMITS.maxWriteRules} write rules`);
    }
    return inputs.flatMap((input, i) => {
      const at = `$.write[${i}]`;
      const spec = record(input, ["tables", "ops", "filters"], at);
      const ops = list(spec["ops"] ?? null, `${at}.ops`).map((op, j) =>
        oneOf(op, OPS, `${at}.ops[${j}]`)
      );
      const names = list(spec["tables"] ?? null, `${at}.tables`);
      if (ops.length === 0) fail(`${at}.ops`, "name at least one operation");
      if (names.length === 0) fail(`${at}.tables`, "name at least one table");
      const tables = new Set(
        names.flatMap((name, j) =>
          name === "*"
            ? [...this.#schema.tables.values()]
            : [this.#table(name, `${at}.tables[${j}]`)]
        ),
      );
      this.#count(tables.size, at);
      return [...tables].map((table, j) => ({
        table: table.name,
        ops,
        filter: this.#filters(spec["filters"], table, `${at}.filters`, j > 0),
        place: `write[${i}]`,
      }));
    });
  }

  #filters(input: unknown, table: Table, place: string, counted = false): Filter {
    const context: FilterContext = {
      table,
      typeOfParam: (name) => this.#declared.get(name)?.column.type,
      onCondition: (at) => {
        if (counted) return;
        this.#conditions++;
        if (this.#conditions > RULE_LIMITS.maxFilters) {
          fail(at, `at most ${RULE_LIMITS.maxFilters} conditions in a rule set`);
        }
      },
    };
    return readFilters(input, context, place);
  }

  #conjunctsOf(filter: Filter, place: string): readonly Conjunct[] {
    const conjuncts = disjunctiveForm(filter, RULE_LIMITS.maxConjuncts) ??
      fail(place, `any and all multiply to more than ${RULE_LIMITS.maxConjuncts} alternatives`);
    this.#count(conjuncts.length, place);
    return conjuncts;
  }

  #count(conjuncts: number, place: string): void {
    this.#conjuncts += conjuncts;
    if (this.#conjuncts > RULE_LIMITS.maxTotalConjuncts) {
      const most = RULE_LIMITS.maxTotalConjuncts;
      fail(place, `at most ${most} alternatives in a rule set, counted for each table`);
    }
  }
}

function readProjection(
  input: unknown,
  table: Table,
  place: string,
): ReadonlySet<string> | undefined {
  if (input === undefined) return undefined;
  const columns = list(input, place).map((name, i) => readColumn(table, name, `${place}[${i}]`));
  return new Set([...table.primaryKey, ...columns].map((column) => column.name));
}

function paramsOf(filter: Filter | undefined): ReadonlySet<string> {
  if (filter === undefined) return new Set();
  if (filter.kind !== "condition") {
    return new Set(filter.filters.flatMap((part) => [...paramsOf(part)]));
  }
  return new Set(filter.operand.kind === "param" ? [filter.operand.name] : []);
}

/** Whether the filters of a bucket or of its tables name a parameter. */
function usesParam(bucket: Record<string, unknown>, name: string): boolean {
  const uses = (input: unknown): boolean => {
    if (Array.isArray(input)) return input.some(uses);
    if (!isRecord(input)) return false;
    return input["value"] === `param:${name}` ||
      [input["any"], input["all"], input["filters"]].some(uses);
  };
  return uses(bucket["filters"]) || uses(bucket["tables"]);
}

/** The operators whose conditions on claims and parameters are part of a key. */
function isKeyedOp(op: string): boolean {
  return op === "eq" || op === "in" || op === "contains";
}
