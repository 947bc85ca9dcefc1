/**
 * Which tables reference which, and in which order rows of them can be written so that what a row
 * references is there before it. Pure functions.
 *
 * @module
 */

import type { DestinationSchema, DestinationTable } from "../adapter.ts";

/** A column that holds the key of a table, and of which a foreign key is made. */
export interface Reference {
  /** The number of the table that has the column. */
  readonly child: number;
  /** The column's number. */
  readonly columnId: number;
  /** The column's name. */
  readonly column: string;
  /** The number of the table whose key it holds. */
  readonly parent: number;
}

/**
 * Tells whether a foreign key can be made between two types.
 *
 * @param child the type of the column that references
 * @param parent the type of the key's column
 */
export type CanReference = (child: string, parent: string) => boolean;

/**
 * The references of a schema. A column that references a table whose key has several columns, or
 * one of another type, is not among them: no foreign key can be made of it.
 *
 * @param schema the schema
 * @param canReference whether a foreign key can be made between two types
 */
export function referencesOf(
  { tables }: DestinationSchema,
  canReference: CanReference = (child, parent) => child === parent,
): readonly Reference[] {
  const byName = new Map(tables.map((table) => [table.table.name, table]));
  return tables.flatMap(({ id, table, columnIds }) =>
    table.columns.flatMap((column, i) => {
      const parent = byName.get(column.references ?? "");
      const [key, ...more] = parent?.table.primaryKey ?? [];
      if (parent === undefined || key === undefined || more.length > 0) return [];
      if (!canReference(column.type, key.type)) return [];
      return [{ child: id, columnId: columnIds[i] ?? 0, column: column.name, parent: parent.id }];
    })
  );
}

/**
 * Orders tables so that each comes after those it references. Tables that reference each other in a
 * circle are one group.
 *
 * Source: R. Tarjan, "Depth-first search and linear graph algorithms" (1972).
 *
 * @param tables the tables
 * @param references what references what
 * @returns groups of tables, parents first
 */
export function writeOrder(
  tables: readonly DestinationTable[],
  references: readonly Reference[],
): readonly (readonly number[])[] {
  const parents = new Map<number, number[]>(tables.map(({ id }) => [id, []]));
  for (const { child, parent } of references) parents.get(child)?.push(parent);
  const groups: number[][] = [];
  const index = new Map<number, number>();
  const low = new Map<number, number>();
  const path: number[] = [];
  const open = new Set<number>();
  interface Frame {
    readonly id: number;
    readonly rest: number[];
  }
  const enter = (id: number): Frame => {
    index.set(id, index.size);
    low.set(id, index.get(id) ?? 0);
    path.push(id);
    open.add(id);
    return { id, rest: [...parents.get(id) ?? []] };
  };
  const lower = (id: number, to: number) => low.set(id, Math.min(low.get(id) ?? to, to));
  for (const root of parents.keys()) {
    if (index.has(root)) continue;
    const frames = [enter(root)];
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      const next = frame.rest.pop();
      if (next !== undefined) {
        if (!index.has(next)) frames.push(enter(next));
        else if (open.has(next)) lower(frame.id, index.get(next) ?? 0);
        continue;
      }
      frames.pop();
      const { id } = frame;
      const above = frames.at(-1);
      if (above !== undefined) lower(above.id, low.get(id) ?? 0);
      if (low.get(id) !== index.get(id)) continue;
      const group = path.splice(path.indexOf(id));
      for (const member of group) open.delete(member);
      groups.push(group.sort((a, b) => a - b));
    }
  }
  return groups;
}
