/**
 * Tables with what they reference, looked up from either side.
 *
 * @module
 */

import type { Value } from "@lakesync/core";
import type { DestinationKey } from "../adapter.ts";
import type { SqlBackend, StoredLayouts, TableLayout } from "./backend.ts";
import { type Reference, referencesOf, writeOrder } from "./references.ts";

/** A reference with its column's place among the columns of its table. */
export interface PlacedReference extends Reference {
  /** The column's place. */
  readonly place: number;
}

/** The tables of a schema and their references. */
export class Family {
  /** The tables by their numbers. */
  readonly tables: ReadonlyMap<number, TableLayout>;
  /** All references. */
  readonly references: readonly PlacedReference[];
  /** The numbers of tables, parents first; those that reference each other together. */
  readonly groups: readonly (readonly number[])[];
  readonly #parents = new Map<number, PlacedReference[]>();
  readonly #children = new Map<number, PlacedReference[]>();
  readonly #circular = new Set<number>();

  /**
   * @param layouts the tables
   * @param backend tells what can reference what
   */
  constructor({ schema, tables }: StoredLayouts, backend: Pick<SqlBackend, "canReference">) {
    this.tables = tables;
    const references = referencesOf(schema, (a, b) => backend.canReference(a, b));
    this.references = references.map((reference) => {
      const columns = tables.get(reference.child)?.columns ?? [];
      return { ...reference, place: columns.findIndex(({ id }) => id === reference.columnId) };
    });
    this.groups = writeOrder(schema.tables, references);
    for (const reference of this.references) {
      add(this.#parents, reference.child, reference);
      add(this.#children, reference.parent, reference);
    }
    for (const group of this.groups) {
      const isCircular = group.length > 1 || this.parentsOf(group[0] ?? 0)
        .some(({ parent, child }) => parent === child);
      if (isCircular) this.#circular.add(group[0] ?? 0);
    }
  }

  /** What a table references. */
  parentsOf(table: number): readonly PlacedReference[] {
    return this.#parents.get(table) ?? [];
  }

  /** What references a table. */
  childrenOf(table: number): readonly PlacedReference[] {
    return this.#children.get(table) ?? [];
  }

  /** Whether the tables of a group reference each other, or one itself. */
  isCircular(group: readonly number[]): boolean {
    return this.#circular.has(group[0] ?? 0);
  }
}

/**
 * The row that a row references.
 *
 * @param reference by which column
 * @param values the row's values, in the order of its table's columns
 * @returns undefined when it references none
 */
export function parentOf(
  { place, parent }: PlacedReference,
  values: readonly Value[],
): DestinationKey | undefined {
  const value = values[place] ?? null;
  // The key of the parent has one column, so its rowId is the value as text.
  return value === null ? undefined : { table: parent, rowId: String(value) };
}

function add<T>(map: Map<number, T[]>, key: number, item: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [item]);
  else list.push(item);
}
