/**
 * Random rules over a world's tables: every operator, keyed, static, residual and claim conditions,
 * groups, parameters and chains of two, projections, modes and write rules.
 *
 * @module
 */

import type {
  BucketSpec,
  ConditionSpec,
  FilterSpec,
  JsonValue,
  Op,
  Operator,
  ParameterSpec,
  RulesSpec,
  TableMode,
  TableRuleSpec,
  WriteSpec,
} from "@lakesync/core";
import type { ColumnPlan, TablePlan } from "./plan.ts";
import type { Random } from "./random.ts";
import { CLAIM_OF, DOMAINS, ELEMENTS } from "./random_values.ts";

type Parameters = ReadonlyMap<string, ParameterSpec & { readonly type: string }>;

const EQUALITIES: readonly (readonly [number, Operator])[] = [
  [6, "eq"],
  [4, "in"],
  [1, "neq"],
  [1, "nin"],
  [2, "gte"],
  [1, "gt"],
  [1, "lt"],
  [1, "lte"],
  [1, "isNull"],
];
const HAS_ORDER = /^(string|integer|timestamp|decimal.*)$/;
const CLAIMS = ["sub", "k", "n", "d", "t", "e", "none"];
const OPS: readonly Op[] = ["INSERT", "UPDATE", "DELETE"];

const MEMBERS = {
  column: "k",
  filters: [{ column: "user", op: "eq", value: "jwt:sub" }],
  type: "string",
} as const;

/** Columns that every table has and that are never renamed. */
export const SHARED: readonly string[] = ["user", "k"];

function literals(random: Random, column: ColumnPlan): JsonValue[] {
  return random.list(0, 3, () => random.pick(DOMAINS[column.name] ?? []) as JsonValue);
}

/** Rules over some tables, as they are in one version. */
export class RuleMaker {
  readonly #random: Random;
  readonly #tables: readonly TablePlan[];

  constructor(random: Random, tables: readonly TablePlan[]) {
    this.#random = random;
    this.#tables = tables;
  }

  #claimCondition(parameters: Parameters): ConditionSpec {
    const random = this.#random;
    const claim = random.pick(CLAIMS);
    const domain = DOMAINS[claim === "sub" ? "user" : claim] ?? ELEMENTS;
    const value = random.pick(domain) as JsonValue;
    return random.weighted<() => ConditionSpec>([
      [3, () => ({ claim, op: random.pick(["eq", "neq"]), value })],
      [2, () => ({ claim, op: random.pick(["gt", "gte", "lt", "lte"]), value: random.below(4) })],
      [2, () => ({ claim, op: "contains", value })],
      [2, () => ({ claim, op: random.pick(["in", "nin"]), value: [value, "u0"] })],
      [1, () => ({ claim, op: "eq", value: `jwt:${random.pick(CLAIMS)}` })],
      [parameters.size > 0 ? 2 : 0, () => {
        const param = `param:${random.pick([...parameters.keys()])}`;
        return { claim, op: random.pick(["in", "nin"]), value: param };
      }],
      [1, () => ({ claim, op: "isNull", value: random.chance(0.5) })],
    ])();
  }

  #condition(
    columns: readonly ColumnPlan[],
    parameters: Parameters,
    inParameter: boolean,
  ): FilterSpec {
    const random = this.#random;
    if (random.chance(0.06)) return this.#claimCondition(parameters);
    const column = random.pick(columns);
    const { name } = column;
    if (column.type === "json") {
      return random.chance(0.15) ? { column: name, op: "isNull", value: random.chance(0.5) } : {
        column: name,
        op: "contains",
        value: random.chance(0.5) ? "jwt:k" : random.pick(["jwt:e", ...ELEMENTS]),
      };
    }
    let op = random.weighted(EQUALITIES);
    if (!HAS_ORDER.test(column.type) && /^[gl]te?$/.test(op)) op = "eq";
    if (op === "isNull") return { column: name, op, value: random.chance(0.5) };
    const domain = DOMAINS[name] ?? [];
    const one = () => random.pick(domain) as JsonValue;
    const claim = `jwt:${random.chance(0.9) ? CLAIM_OF[name] ?? "e" : random.pick(CLAIMS)}`;
    const fitting = [...parameters].filter(([, { type }]) => type === column.type);
    if (op === "in" || op === "nin") {
      const param = fitting.length === 0 ? claim : `param:${random.pick(fitting)[0]}`;
      const value = random.weighted<JsonValue>([
        [2, literals(random, column)],
        [2, claim],
        [fitting.length > 0 ? 6 : 0, param],
      ]);
      const keyed = op === "in" || !inParameter || Array.isArray(value);
      return { column: name, op: keyed ? op : "in", value };
    }
    const takesClaim = op === "eq" || !inParameter;
    return { column: name, op, value: takesClaim && random.chance(0.6) ? claim : one() };
  }

  #filters(
    columns: readonly ColumnPlan[],
    parameters: Parameters,
    inParameter = false,
  ): readonly FilterSpec[] {
    const random = this.#random;
    const one = () => this.#condition(columns, parameters, inParameter);
    return random.list(0, 2, () =>
      random.weighted<() => FilterSpec>([
        [8, one],
        [1, () => ({ any: random.list(1, 3, one) })],
        [1, () => ({ any: [{ all: random.list(1, 2, one) }, one()] })],
        [1, () => ({ all: [{ any: random.list(1, 2, one) }, one()] })],
      ])());
  }

  #parameter(chained: Parameters): ParameterSpec & { readonly type: string } {
    const random = this.#random;
    const table = random.pick(this.#tables);
    const yields = table.columns.filter(({ type }) => type !== "json");
    const preferred = yields.filter(({ name }) => ["k", "n", "ref"].includes(name));
    const column = random.pick(random.chance(0.8) ? preferred : yields);
    const own: FilterSpec[] = random.chance(0.7)
      ? [{ column: "user", op: "eq", value: "jwt:sub" }]
      : [];
    const filters = [...own, ...this.#filters(table.columns, chained, true)];
    return { from: table.name, column: column.name, filters, type: column.type };
  }

  /**
   * Parameters; the later ones may use the first.
   *
   * @param members whether the first one looks memberships up in the first table
   */
  parameters(members: boolean): Parameters {
    const [table] = this.#tables;
    const first = new Map(
      this.#random.list(0, 2, (i) => [`p${i}`, this.#parameter(new Map())] as const),
    );
    if (members && table !== undefined) first.set("p0", { ...MEMBERS, from: table.name });
    const later = this.#random.list(0, 1, (i) => [`q${i}`, this.#parameter(first)] as const);
    return new Map([...first, ...later]);
  }

  #tableRule(table: TablePlan, parameters: Parameters): TableRuleSpec {
    const random = this.#random;
    const columns = table.columns.map(({ name }) => name);
    return {
      table: table.name,
      ...(random.chance(0.3) ? { columns: random.some(columns, 0.5, 1) } : {}),
      filters: this.#filters(table.columns, parameters),
    };
  }

  /** A bucket. */
  bucket(name: string, parameters: Parameters): BucketSpec {
    const random = this.#random;
    const shared = this.#tables[0]?.columns.filter((column) => SHARED.includes(column.name)) ?? [];
    const filters: FilterSpec[] = random.chance(0.3)
      ? [this.#condition(shared, parameters, false)]
      : [];
    if (random.chance(0.1)) return { name, filters, tables: ["*"] };
    const tables = random.some(this.#tables, 0.5, 1).map((table) =>
      this.#tableRule(table, parameters)
    );
    if (!random.chance(0.15)) return { name, filters, tables };
    const { type, ...parameter } = this.#parameter(new Map());
    const own = `own_${name}`;
    const keyed = tables.map((rule) => {
      const columns = this.#tables.find((table) => table.name === rule.table)?.columns ?? [];
      const keys = columns.filter((column) => column.type === type);
      return keys.length === 0 ? rule : { ...rule, key: random.pick(keys).name };
    });
    return { name, parameters: { [own]: parameter }, filters, tables: keyed };
  }

  #write(parameters: Parameters): WriteSpec {
    const random = this.#random;
    const ops = random.some(OPS, 0.7, 1);
    if (random.chance(0.25)) {
      const shared = this.#tables[0]?.columns.filter(({ name }) => SHARED.includes(name)) ?? [];
      const filters = random.chance(0.5) ? [] : [this.#condition(shared, parameters, false)];
      return { tables: ["*"], ops, filters };
    }
    const table = random.pick(this.#tables);
    if (random.chance(0.3) && parameters.get("p0")?.column === "k") {
      const filters: FilterSpec[] = [{ column: "k", op: "in", value: "param:p0" }];
      return { tables: [table.name], ops: OPS, filters };
    }
    return { tables: [table.name], ops, filters: this.#filters(table.columns, parameters) };
  }

  /** Rules of some buckets. */
  rules(buckets: readonly BucketSpec[], parameters: Parameters): RulesSpec {
    const random = this.#random;
    const modes: Record<string, { mode: TableMode }> = {};
    if (random.chance(0.1)) {
      modes[random.pick(this.#tables).name] = {
        mode: random.pick<TableMode>(["download-only", "download-only", "upload-only"]),
      };
    }
    const hidden = Object.entries(modes).flatMap(([name, { mode }]) =>
      mode === "upload-only" ? [name] : []
    );
    const readable = buckets.map((bucket) => ({
      ...bucket,
      tables: bucket.tables.filter((rule) =>
        typeof rule === "string" || !hidden.includes(rule.table)
      ),
    })).filter(({ tables }) => tables.length > 0);
    const anything: WriteSpec[] = random.chance(0.4) ? [{ tables: ["*"], ops: OPS }] : [];
    return {
      parameters: Object.fromEntries(
        [...parameters].map(([name, { type: _, ...parameter }]) => [name, parameter]),
      ),
      buckets: readable,
      write: [...anything, ...random.list(1, 4, () => this.#write(parameters))],
      ...(Object.keys(modes).length === 0 ? {} : { tables: modes }),
      ...(random.chance(0.6) ? { exempt: ["admin"] as const } : {}),
    };
  }
}
