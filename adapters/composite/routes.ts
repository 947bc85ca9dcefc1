/**
 * Which of several adapters a table is in. A table stays where it is: its number is found in what the
 * adapters were made ready for, so that a rename does not move it.
 *
 * @module
 */

import type { Column, Table } from "@lakesync/core";
import {
  type Change,
  type DatabaseAdapter,
  DestinationError,
  type DestinationSchema,
  type DestinationTable,
} from "../adapter.ts";

/** Where tables go. */
export class Routes {
  /** The adapters, each once; the default is the last. */
  readonly children: readonly DatabaseAdapter[];
  readonly #routes: ReadonlyMap<string, DatabaseAdapter>;
  readonly #default: DatabaseAdapter;
  readonly #byNumber = new Map<number, DatabaseAdapter>();
  readonly #byName = new Map<string, DatabaseAdapter>();
  #isLoaded = false;

  /**
   * @param routes adapters by the names of tables
   * @param other for all other tables
   */
  constructor(routes: Readonly<Record<string, DatabaseAdapter>>, other: DatabaseAdapter) {
    this.#routes = new Map(Object.entries(routes));
    this.#default = other;
    this.children = [...new Set([...this.#routes.values(), other])];
  }

  /** Finds out where tables are, the first time. */
  async load(): Promise<void> {
    if (this.#isLoaded) return;
    const schemas = await Promise.all(this.children.map((child) => child.schema()));
    for (const { id, table } of schemas.flatMap((schema) => schema?.tables ?? [])) {
      this.#assign(id, table, schemas);
    }
    this.#isLoaded = true;
  }

  /**
   * Decides where the tables of a schema go.
   *
   * @param schema the schema of all
   * @returns the schema of each child, in their order; references to tables of another are left out
   * @throws {DestinationError} when a table is to be in another adapter than it is
   */
  async split(schema: DestinationSchema): Promise<readonly DestinationSchema[]> {
    const known = await Promise.all(this.children.map((child) => child.schema()));
    const isNewest = known.every((own) => (own?.version ?? 0) <= schema.version);
    for (const { id, table } of schema.tables) this.#assign(id, table, known, isNewest);
    this.#isLoaded = true;
    return this.children.map((child) => {
      const tables = schema.tables.filter(({ id }) => this.#byNumber.get(id) === child);
      const names = new Set(tables.map(({ table }) => table.name));
      return { version: schema.version, tables: tables.map((table) => within(table, names)) };
    });
  }

  /** The adapter that a table is in, by its number; undefined for one that is not known. */
  ofNumber(table: number): DatabaseAdapter | undefined {
    return this.#byNumber.get(table);
  }

  /** The adapter that rows of a table are written to. */
  forRows(table: number): DatabaseAdapter {
    return this.#byNumber.get(table) ?? this.#default;
  }

  /** The adapter that a change is for. */
  ofChange({ effect, unsettles, table }: Change): DatabaseAdapter {
    const key = effect?.key ?? unsettles;
    const found = key === undefined ? undefined : this.#byNumber.get(key.table);
    return found ?? this.#byName.get(table) ?? this.#routes.get(table) ?? this.#default;
  }

  #assign(
    id: number,
    { name }: Table,
    schemas: readonly (DestinationSchema | undefined)[],
    isNewest = true,
  ): void {
    const wanted = isNewest ? this.#routes.get(name) : undefined;
    const holders = this.children.filter((_, i) =>
      schemas[i]?.tables.some((table) => table.id === id)
    );
    const routed = wanted ?? this.#default;
    const held = holders.includes(routed) ? routed : holders[0];
    if (wanted !== undefined && held !== undefined && held !== wanted) {
      throw new DestinationError(
        "stop",
        `The table ${name} is in ${held.name} and is routed to ${wanted.name}: route it to ${held.name}, or migrate its rows first`,
      );
    }
    const child = held ?? routed;
    this.#byNumber.set(id, child);
    this.#byName.set(name, child);
  }
}

/**
 * A table without references to tables that are not beside it.
 *
 * @param numbered the table
 * @param names the tables that are
 */
export function within(
  numbered: DestinationTable,
  names: ReadonlySet<string>,
): DestinationTable {
  const { id, table, columnIds } = numbered;
  const isOut = ({ references }: Column) => references !== undefined && !names.has(references);
  if (!table.columns.some(isOut)) return numbered;
  const columns = table.columns.map((column) =>
    isOut(column) ? { ...column, references: undefined } : column
  );
  const byName = new Map(columns.map((column) => [column.name, column]));
  const primaryKey = table.primaryKey.map((column) => byName.get(column.name) ?? column);
  return { id, table: { ...table, columns, byName, primaryKey }, columnIds };
}
