/**
 * A world as data: its schemas, who is in it and what happens, step by step. All of it is fixed
 * before it is run, so that steps can be left out and the rest still means something.
 *
 * Tables and columns are named as they are called first; what they are called in a version of the
 * schema is worked out when a step is run.
 *
 * @module
 */

import type {
  ColumnSpec,
  ColumnType,
  FilterSpec,
  MergeKind,
  Op,
  RulesSpec,
  SchemaSpec,
  TableMode,
  TableRuleSpec,
  TableSpec,
  Value,
} from "@lakesync/core";

/** A column through all versions. */
export interface ColumnPlan {
  readonly name: string;
  readonly type: ColumnType;
  readonly merge?: MergeKind;
  /** The version that adds it. */
  readonly since: number;
  /** The version that renames it. */
  readonly renamedAt?: number;
}

/** A table through all versions. */
export interface TablePlan {
  readonly name: string;
  readonly primaryKey: readonly string[];
  readonly columns: readonly ColumnPlan[];
  readonly since: number;
  readonly renamedAt?: number;
  /** The rows it may have. */
  readonly rowIds: readonly string[];
}

/** One database of a user. */
export interface ClientPlan {
  readonly clientId: string;
  readonly sub: string;
  readonly admin: boolean;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** A change to a row. */
export interface DeltaPlan {
  readonly op: Op;
  readonly table: string;
  readonly rowId: string;
  /** When it was written, in milliseconds since the world began, and the counter. */
  readonly stamp: readonly [ms: number, counter: number];
  readonly columns: Readonly<Record<string, Value>>;
}

/** One client's transactions, sent together. */
export interface PushPlan {
  readonly client: number;
  readonly transactions: readonly (readonly DeltaPlan[])[];
  /** Whether they are sent a second time, as after a lost answer. */
  readonly again: boolean;
}

/** What a client does about a page. */
export type PullMode =
  /** Pages until the checkpoint is complete. */
  | "complete"
  /** One page, more of them later. */
  | "page"
  /** One page that is lost on its way. */
  | "lost"
  /** All pages of the checkpoint so far are forgotten, and one is read. */
  | "anew";

/** Something that happens. */
export type Event =
  | { readonly kind: "push"; readonly pushes: readonly PushPlan[] }
  | {
    readonly kind: "pull";
    readonly client: number;
    readonly mode: PullMode;
    readonly limit: number;
    /** Buckets that are damaged and asked for again: the seed of that. */
    readonly repair?: number;
  }
  | { readonly kind: "claims"; readonly client: number; readonly claims: ClientPlan["claims"] }
  | {
    readonly kind: "rules";
    readonly rules: RulesSpec;
    /** What is sent while the rules are built. */
    readonly pushes: readonly PushPlan[];
    /** How long after the rules, in microtasks. */
    readonly delay: number;
  }
  | { readonly kind: "schema"; readonly version: number }
  | { readonly kind: "upgrade"; readonly client: number }
  | { readonly kind: "forget"; readonly client: number }
  | { readonly kind: "restart" }
  /** Asks why a client sees a row or not. */
  | {
    readonly kind: "explain";
    readonly client: number;
    readonly table: string;
    readonly rowId: string;
  };

/** Something that happens at a time, in milliseconds since the world began. */
export type Step = Event & { readonly atMs: number };

/** A world. */
export interface Plan {
  readonly seed: number;
  readonly store: "memory" | "sqlite" | "kv";
  readonly tables: readonly TablePlan[];
  readonly clients: readonly ClientPlan[];
  readonly steps: readonly Step[];
}

/** What something is called in a version. */
export function nameIn(
  { name, renamedAt }: { readonly name: string; readonly renamedAt?: number },
  version: number,
): string {
  return renamedAt !== undefined && version >= renamedAt ? `${name}_now` : name;
}

function formerly({ name, renamedAt }: ColumnPlan | TablePlan, version: number) {
  return renamedAt !== undefined && version >= renamedAt ? { renamedFrom: name } : {};
}

function columnSpec(column: ColumnPlan, version: number): ColumnSpec {
  const { type, merge } = column;
  return { type, ...(merge === undefined ? {} : { merge }), ...formerly(column, version) };
}

/** The tables that a version has. */
export function tablesIn({ tables }: Plan, version: number): readonly TablePlan[] {
  return tables.filter(({ since }) => since <= version);
}

/** The columns that a version has. */
export function columnsIn({ columns }: TablePlan, version: number): readonly ColumnPlan[] {
  return columns.filter(({ since }) => since <= version);
}

/** The schema of a version. */
export function schemaIn(plan: Plan, version: number): SchemaSpec {
  const tables: Record<string, TableSpec> = {};
  for (const table of tablesIn(plan, version)) {
    tables[nameIn(table, version)] = {
      primaryKey: table.primaryKey,
      columns: Object.fromEntries(
        columnsIn(table, version).map((
          column,
        ) => [nameIn(column, version), columnSpec(column, version)]),
      ),
      ...formerly(table, version),
    };
  }
  return { version, tables };
}

/** Rules in the names of a version. */
export function rulesIn(plan: Plan, rules: RulesSpec, version: number): RulesSpec {
  const byName = new Map(plan.tables.map((table) => [table.name, table]));
  const tableName = (name: string) => nameIn(byName.get(name) ?? { name }, version);
  const columnName = (table: string, name: string) =>
    nameIn(
      byName.get(table)?.columns.find((column) => column.name === name) ?? { name },
      version,
    );
  const filter = (table: string, spec: FilterSpec): FilterSpec => {
    if ("any" in spec) return { any: spec.any.map((part) => filter(table, part)) };
    if ("all" in spec) return { all: spec.all.map((part) => filter(table, part)) };
    return spec.column === undefined ? spec : { ...spec, column: columnName(table, spec.column) };
  };
  const filters = (table: string, specs: readonly FilterSpec[] | undefined) =>
    specs === undefined ? {} : { filters: specs.map((spec) => filter(table, spec)) };
  const parameters = (spec: RulesSpec["parameters"]) =>
    spec === undefined ? {} : {
      parameters: Object.fromEntries(
        Object.entries(spec).map(([name, one]) => [name, {
          from: tableName(one.from),
          column: columnName(one.from, one.column),
          ...filters(one.from, one.filters),
        }]),
      ),
    };
  const tableRule = (rule: string | TableRuleSpec): string | TableRuleSpec =>
    typeof rule === "string" ? tableName(rule) : {
      table: tableName(rule.table),
      ...(rule.key === undefined ? {} : { key: columnName(rule.table, rule.key) }),
      ...(rule.columns === undefined
        ? {}
        : { columns: rule.columns.map((name) => columnName(rule.table, name)) }),
      ...filters(rule.table, rule.filters),
    };
  const modes = (spec: Readonly<Record<string, { readonly mode: TableMode }>>) => ({
    tables: Object.fromEntries(Object.entries(spec).map(([name, mode]) => [tableName(name), mode])),
  });
  return {
    ...parameters(rules.parameters),
    buckets: rules.buckets.map((bucket) => ({
      ...bucket,
      ...parameters(bucket.parameters),
      tables: bucket.tables.map(tableRule),
    })),
    ...(rules.write === undefined ? {} : {
      write: rules.write.map((write) => ({
        tables: write.tables.map(tableName),
        ops: write.ops,
        ...filters(write.tables[0] ?? "", write.filters),
      })),
    }),
    ...(rules.tables === undefined ? {} : modes(rules.tables)),
    ...(rules.exempt === undefined ? {} : { exempt: rules.exempt }),
  };
}
