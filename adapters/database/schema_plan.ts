/**
 * What is to be done to a database's tables for a schema: compared by the numbers of tables and
 * columns, so that a renamed one is renamed and not made anew. Nothing is ever dropped: what the
 * schema no longer has stays as it is. Data only, for any dialect.
 *
 * @module
 */

import { type Column, type ColumnType, widens } from "@lakesync/core";
import type { DestinationSchema, DestinationTable } from "../adapter.ts";

/** The columns that tables have beside those of the schema, unless the schema takes the names. */
export const EXTRA_COLUMNS = ["synced_at", "props"] as const;

/** A column as it was last made ready. */
export interface StoredColumn {
  /** Its number. */
  readonly id: number;
  /** Its name in the database. */
  readonly name: string;
  /** The type of its values. */
  readonly type: ColumnType;
}

/** A table as it was last made ready; also one that the schema no longer has. */
export interface StoredTable {
  /** Its number. */
  readonly id: number;
  /** Its name in the database. */
  readonly name: string;
  /** Whether it was there before LakeSync and was adopted. */
  readonly isAdopted: boolean;
  /** Which of {@linkcode EXTRA_COLUMNS} it has. */
  readonly extras: readonly string[];
  /** Its columns; also those that the schema no longer has. */
  readonly columns: readonly StoredColumn[];
}

/** What a database has. */
export interface DatabaseFacts {
  /** The tables as they were last made ready. */
  readonly stored: readonly StoredTable[];
  /** Every table and view that is there, with the names of its columns, by name. */
  readonly existing: ReadonlyMap<string, ReadonlySet<string>>;
  /** The names of tables that configuration allows to take over. */
  readonly adopt: ReadonlySet<string>;
  /** How long a name may be, in characters. */
  readonly maxNameLength: number;
}

/** One thing to be done to a table, whose name is the one it has when all before it is done. */
export type SchemaStep =
  | { readonly kind: "renameTable"; readonly from: string; readonly to: string }
  | {
    readonly kind: "renameColumn";
    readonly table: string;
    readonly from: string;
    readonly to: string;
  }
  /** Make a table with key, columns and {@linkcode EXTRA_COLUMNS}. */
  | {
    readonly kind: "createTable";
    readonly table: DestinationTable;
    readonly extras: readonly string[];
  }
  /** Check that columns that are there already can hold what they are to hold. */
  | {
    readonly kind: "checkTable";
    readonly table: DestinationTable;
    readonly columns: readonly Column[];
  }
  | {
    readonly kind: "addColumn";
    readonly table: string;
    readonly column: Column;
    readonly columnId: number;
  }
  | { readonly kind: "addExtra"; readonly table: string; readonly extra: string }
  /** Change a column's type, if no value that is there would be lost. */
  | {
    readonly kind: "widenColumn";
    readonly table: string;
    readonly column: Column;
    readonly from: ColumnType;
  }
  /** Write all rows anew from what is kept of them. */
  | { readonly kind: "fillTable"; readonly table: DestinationTable };

/** What is to be done. */
export interface SchemaPlan {
  /** In this order. */
  readonly steps: readonly SchemaStep[];
  /** The tables as they are then; nothing is known of any other from then on. */
  readonly stored: readonly StoredTable[];
  /** Why nothing can be done, each with what to do about it; nothing is to be done then. */
  readonly refusals: readonly string[];
}

/**
 * Plans what is to be done for a schema.
 *
 * @param schema the schema
 * @param facts what the database has
 */
export function planSchema(schema: DestinationSchema, facts: DatabaseFacts): SchemaPlan {
  const refusals: string[] = [];
  const storedById = new Map(facts.stored.map((table) => [table.id, table]));
  const current = new Set(schema.tables.map(({ id }) => id));
  const kept = facts.stored.filter(({ id }) => current.has(id));
  const gone = facts.stored.filter(({ id }) => !current.has(id));
  // One that is gone may have been dropped, and its name be that of another since.
  const owners = new Map([...gone, ...kept].map((table) => [table.name, table]));
  const names = new Set(schema.tables.map(({ table }) => table.name));
  const steps: SchemaStep[] = renames(
    schema.tables.flatMap(({ id, table }) => {
      const from = storedById.get(id)?.name;
      return from === undefined || !facts.existing.has(from) ? [] : [{ from, to: table.name }];
    }),
    (from, to) => ({ kind: "renameTable", from, to }),
  );
  const after: StoredTable[] = gone.filter(({ name }) => !names.has(name));
  for (const wanted of schema.tables) {
    const { table } = wanted;
    const long = [table.name, ...table.columns.map(({ name }) => name)]
      .find((name) => name.length > facts.maxNameLength);
    if (long !== undefined) {
      refusals.push(
        `The name ${long} is longer than the ${facts.maxNameLength} characters that the database ` +
          `takes, rename it in the schema`,
      );
      continue;
    }
    const stored = storedById.get(wanted.id);
    const columns = stored && facts.existing.get(stored.name);
    const owner = owners.get(table.name);
    const isTaken = facts.existing.has(table.name) && owner?.id !== wanted.id &&
      !(owner !== undefined && current.has(owner.id));
    if (stored !== undefined && columns !== undefined) {
      if (isTaken) {
        refusals.push(taken(table.name, owner));
        continue;
      }
      after.push(evolve(wanted, stored, columns, steps, refusals));
    } else if (!isTaken) {
      const extras = extrasOf(wanted);
      steps.push({ kind: "createTable", table: wanted, extras });
      steps.push({ kind: "fillTable", table: wanted });
      after.push({ ...recordOf(wanted), isAdopted: false, extras });
    } else if (owner === undefined && facts.adopt.has(table.name)) {
      after.push(adopt(wanted, facts.existing.get(table.name) ?? new Set(), steps));
    } else {
      refusals.push(taken(table.name, owner));
    }
  }
  return refusals.length > 0
    ? { steps: [], stored: facts.stored, refusals }
    : { steps, stored: after, refusals };
}

function recordOf({ id, table, columnIds }: DestinationTable): Pick<
  StoredTable,
  "id" | "name" | "columns"
> {
  const columns = table.columns.map(({ name, type }, i) => ({ id: columnIds[i] ?? 0, name, type }));
  return { id, name: table.name, columns };
}

function extrasOf({ table }: DestinationTable): readonly string[] {
  const names = new Set(table.columns.map(({ name }) => name.toLowerCase()));
  return EXTRA_COLUMNS.filter((extra) => !names.has(extra));
}

function taken(name: string, owner: StoredTable | undefined): string {
  return owner === undefined
    ? `Table ${name} is there already and was not made by LakeSync: add it to adopt to let LakeSync ` +
      `write it, or rename it`
    : `Table ${name} holds the rows of a table that the schema no longer has: rename or drop it`;
}

/** Two tables or columns may exchange their names, so they are all put aside first if need be. */
function renames(
  pairs: readonly { readonly from: string; readonly to: string }[],
  step: (from: string, to: string) => SchemaStep,
): SchemaStep[] {
  const moved = pairs.filter(({ from, to }) => from !== to);
  const leaving = new Set(moved.map(({ from }) => from));
  if (!moved.some(({ to }) => leaving.has(to))) return moved.map(({ from, to }) => step(from, to));
  return [
    ...moved.map(({ from }, i) => step(from, `lakesync_renamed_${i}`)),
    ...moved.map(({ to }, i) => step(`lakesync_renamed_${i}`, to)),
  ];
}

function evolve(
  wanted: DestinationTable,
  stored: StoredTable,
  existing: ReadonlySet<string>,
  steps: SchemaStep[],
  refusals: string[],
): StoredTable {
  const { table, columnIds } = wanted;
  const known = new Map(stored.columns.map((column) => [column.id, column]));
  const isThere = (id: number) => existing.has(known.get(id)?.name ?? "");
  steps.push(...renames(
    table.columns.flatMap(({ name }, i) => {
      const id = columnIds[i] ?? 0;
      const from = known.get(id)?.name;
      return from === undefined || !isThere(id) ? [] : [{ from, to: name }];
    }),
    (from, to) => ({ kind: "renameColumn", table: table.name, from, to }),
  ));
  const current = new Set(columnIds);
  const owners = new Map(stored.columns.map((column) => [column.name, column.id]));
  let mustFill = false;
  for (const [i, column] of table.columns.entries()) {
    const id = columnIds[i] ?? 0;
    const before = known.get(id);
    const owner = owners.get(column.name);
    const isTaken = existing.has(column.name) && owner !== id &&
      !(owner !== undefined && current.has(owner));
    if (isTaken) {
      refusals.push(
        `Column ${column.name} of table ${table.name} is there already and is not the schema's: ` +
          `rename or drop it`,
      );
    } else if (before === undefined || !isThere(id)) {
      if (column.key) {
        refusals.push(`Table ${table.name} lost its key column ${column.name}: put it back`);
      }
      steps.push({ kind: "addColumn", table: table.name, column, columnId: id });
      mustFill ||= true;
    } else if (before.type !== column.type) {
      if (!widens(before.type, column.type)) {
        refusals.push(
          `Column ${column.name} of table ${table.name} cannot become ${column.type} from ` +
            `${before.type} without losing values: give it another name in the schema`,
        );
      }
      steps.push({ kind: "widenColumn", table: table.name, column, from: before.type });
      // The text of a time or a date is as it was written, which only the kept cells tell.
      mustFill ||= column.type === "string";
    }
  }
  // The schema may have taken the name of one, and one that was dropped is made again.
  const free = new Set(extrasOf(wanted));
  const extras = stored.extras.filter((extra) => free.has(extra));
  for (const extra of extras) {
    if (!existing.has(extra)) steps.push({ kind: "addExtra", table: table.name, extra });
  }
  if (mustFill) steps.push({ kind: "fillTable", table: wanted });
  const record = recordOf(wanted);
  const gone = stored.columns.filter(({ id, name }) => !current.has(id) && existing.has(name));
  return { ...stored, ...record, extras, columns: [...record.columns, ...gone] };
}

function adopt(
  wanted: DestinationTable,
  existing: ReadonlySet<string>,
  steps: SchemaStep[],
): StoredTable {
  const { table } = wanted;
  const there = table.columns.filter(({ name }) => existing.has(name));
  steps.push({ kind: "checkTable", table: wanted, columns: there });
  for (const [i, column] of table.columns.entries()) {
    if (existing.has(column.name)) continue;
    const columnId = wanted.columnIds[i] ?? 0;
    steps.push({ kind: "addColumn", table: table.name, column, columnId });
  }
  const extras = extrasOf(wanted).filter((extra) => !existing.has(extra));
  for (const extra of extras) steps.push({ kind: "addExtra", table: table.name, extra });
  steps.push({ kind: "fillTable", table: wanted });
  return { ...recordOf(wanted), isAdopted: true, extras };
}
