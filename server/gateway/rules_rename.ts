/**
 * Rules under the names of another schema version. Rules name tables and columns as the schema did
 * when they were put; when a later version renames some, the stored rules follow.
 *
 * @module
 */

import {
  type BucketSpec,
  type FilterSpec,
  LakeSyncError,
  type ParameterSpec,
  type RulesSpec,
  type TableMode,
  type TableRuleSpec,
  type WriteSpec,
} from "@lakesync/core";
import type { CatalogTable } from "./catalog.ts";

/** What has tables by name and by number: a catalog, or one version of it. */
export interface Names {
  /** A table by its name. */
  table(name: string): CatalogTable | undefined;
  /** A table by its number. */
  tableById(id: number): CatalogTable | undefined;
  /** All tables. */
  tables(): Iterable<CatalogTable>;
}

const EVERY_TABLE = "*";

function lost(what: string): LakeSyncError {
  return new LakeSyncError(
    "SCHEMA_ERROR",
    `The sync rules use ${what}, which the new schema drops; put rules without it first`,
  );
}

class Renamer {
  readonly #uploadOnly: ReadonlySet<string>;

  constructor(
    spec: RulesSpec,
    readonly from: Names,
    readonly to: Names,
    readonly expand: boolean,
  ) {
    const modes = Object.entries(spec.tables ?? {});
    this.#uploadOnly = new Set(
      modes.filter(([, { mode }]) => mode === "upload-only").map(([table]) => table),
    );
  }

  table(name: string): string {
    if (name === EVERY_TABLE) return name;
    const id = this.from.table(name)?.id;
    const renamed = id === undefined ? undefined : this.to.tableById(id);
    if (renamed === undefined) throw lost(`table ${name}`);
    return renamed.table.name;
  }

  column(table: string, name: string): string {
    const before = this.from.table(table);
    const column = before?.byName.get(name);
    const renamed = before === undefined || column === undefined
      ? undefined
      : this.to.tableById(before.id)?.columns[column.id];
    if (renamed === undefined) throw lost(`column ${table}.${name}`);
    return renamed.name;
  }

  filter(table: string, filter: FilterSpec): FilterSpec {
    if ("any" in filter) return { any: this.filters(table, filter.any) };
    if ("all" in filter) return { all: this.filters(table, filter.all) };
    if (filter.column === undefined) return filter;
    return { ...filter, column: this.column(table, filter.column) };
  }

  filters(table: string, filters: readonly FilterSpec[]): readonly FilterSpec[] {
    return filters.map((filter) => this.filter(table, filter));
  }

  parameter({ from, column, filters, ...rest }: ParameterSpec): ParameterSpec {
    return {
      ...rest,
      from: this.table(from),
      column: this.column(from, column),
      ...(filters === undefined ? {} : { filters: this.filters(from, filters) }),
    };
  }

  parameters(
    parameters: RulesSpec["parameters"],
  ): { readonly parameters?: NonNullable<RulesSpec["parameters"]> } {
    if (parameters === undefined) return {};
    const renamed = Object.entries(parameters).map(([name, parameter]) =>
      [name, this.parameter(parameter)] as const
    );
    return { parameters: Object.fromEntries(renamed) };
  }

  rule({ table, key, columns, filters, ...rest }: TableRuleSpec): TableRuleSpec {
    return {
      ...rest,
      table: this.table(table),
      ...(key === undefined ? {} : { key: this.column(table, key) }),
      ...(columns === undefined
        ? {}
        : { columns: columns.map((column) => this.column(table, column)) }),
      ...(filters === undefined ? {} : { filters: this.filters(table, filters) }),
    };
  }

  /** The tables that a name in a list stands for. */
  named(table: string): readonly string[] {
    if (table !== EVERY_TABLE) return [table];
    return [...this.from.tables()].map((known) => known.table.name);
  }

  /** The same in a bucket, where `*` passes over tables that cannot be read. */
  read(table: string): readonly string[] {
    const named = this.named(table);
    return table === EVERY_TABLE ? named.filter((name) => !this.#uploadOnly.has(name)) : named;
  }

  /** Filters that several tables share, when they are still the same for all of them. */
  shared(tables: readonly string[], filters: readonly FilterSpec[]) {
    const renamed = tables.flatMap((table) => this.named(table)).map((table) =>
      JSON.stringify(this.filters(table, filters))
    );
    return new Set(renamed).size <= 1 ? JSON.parse(renamed[0] ?? "[]") : undefined;
  }

  bucket(bucket: BucketSpec): BucketSpec {
    const { filters, tables, parameters, ...rest } = bucket;
    const common = { ...rest, ...this.parameters(parameters) };
    const rules = tables.map((table) => typeof table === "string" ? { table } : table);
    const renamed = tables.map((table) =>
      typeof table === "string" ? this.table(table) : this.rule(table)
    );
    if (filters === undefined) return { ...common, tables: renamed };
    const shared = this.shared(rules.flatMap(({ table }) => this.read(table)), filters);
    const expands = this.expand && rules.some(({ table }) => table === EVERY_TABLE);
    if (shared !== undefined && !expands) return { ...common, filters: shared, tables: renamed };
    return {
      ...common,
      tables: rules.flatMap((rule) =>
        this.read(rule.table).map((table) =>
          this.rule({ ...rule, table, filters: [...filters, ...rule.filters ?? []] })
        )
      ),
    };
  }

  write(write: WriteSpec): readonly WriteSpec[] {
    const { tables, filters } = write;
    if (filters === undefined) {
      return [{ ...write, tables: tables.map((table) => this.table(table)) }];
    }
    const shared = this.shared(tables, filters);
    if (shared !== undefined) {
      return [{ ...write, tables: tables.map((table) => this.table(table)), filters: shared }];
    }
    return tables.flatMap((table) => this.named(table)).map((table) => ({
      ...write,
      tables: [this.table(table)],
      filters: this.filters(table, filters),
    }));
  }

  modes(tables: NonNullable<RulesSpec["tables"]>): NonNullable<RulesSpec["tables"]> {
    const modes: Record<string, { readonly mode: TableMode }> = {};
    for (const [table, mode] of Object.entries(tables)) modes[this.table(table)] = mode;
    return modes;
  }
}

/**
 * Writes rules under the names of another version.
 *
 * @param spec valid rules under the names of `from`
 * @param from the version that the rules go by
 * @param to the version that they are to go by
 * @param expand whether `*` with filters is to name the tables of `from` alone
 * @returns the rules
 * @throws {LakeSyncError} `SCHEMA_ERROR` when they use what the other version does not have
 */
export function renameRules(
  spec: RulesSpec,
  from: Names,
  to: Names,
  expand = false,
): RulesSpec {
  const renamer = new Renamer(spec, from, to, expand);
  const { buckets, parameters, write, tables, ...rest } = spec;
  return {
    ...rest,
    buckets: buckets.map((bucket) => renamer.bucket(bucket)),
    ...renamer.parameters(parameters),
    ...(write === undefined ? {} : { write: write.flatMap((rule) => renamer.write(rule)) }),
    ...(tables === undefined ? {} : { tables: renamer.modes(tables) }),
  };
}
