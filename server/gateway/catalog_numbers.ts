/**
 * The numbers of a schema version's tables and columns: a successor takes over those of what it
 * keeps or renames and gives new ones to the rest. A number is never given twice, so a column that
 * is added under the name of a dropped one begins empty.
 *
 * @module
 */

import {
  type Column,
  formerNameOf,
  LakeSyncError,
  type Schema,
  type SchemaSpec,
  type Table,
} from "@lakesync/core";

/** The numbers of a version, in the order in which its spec has the tables and their columns. */
export type Numbers = readonly (readonly [table: number, columns: readonly number[]])[];

/** A version as it is stored. */
export interface NumberedSpec {
  /** What was registered. */
  readonly spec: SchemaSpec;
  /** The numbers of its tables and columns. */
  readonly numbers: Numbers;
}

/** For each number ever given, tables from 1 and columns from 0, the version that gave it. */
export type Given = readonly (readonly [since: number, columns: readonly number[]])[];

/** A version's schema and its numbers. */
export interface NumberedSchema {
  /** The schema. */
  readonly schema: Schema;
  /** The numbers of its tables and columns. */
  readonly numbers: Numbers;
}

function fail(what: string): never {
  throw new LakeSyncError("SCHEMA_ERROR", `The new schema ${what}`);
}

/** Finds what an item was called in the version before, and refuses a rename that is none. */
function formerOf<T extends Table | Column>(
  item: T,
  before: ReadonlyMap<string, T>,
  place: string,
  version: number,
): T | undefined {
  const { name, renamedFrom } = item;
  const former = formerNameOf(item, before);
  if (renamedFrom !== undefined) {
    if (former === undefined) {
      fail(`renames ${place} from ${renamedFrom}, which schema version ${version} does not have`);
    }
    if (former !== name && before.has(name)) {
      fail(`renames ${place} from ${renamedFrom}, but schema version ${version} has both`);
    }
  }
  return former === undefined ? undefined : before.get(former);
}

function numberColumns(
  table: Table,
  before: { readonly table: Table; readonly ids: readonly number[] } | undefined,
  given: readonly number[],
  version: number,
  beforeVersion: number,
): { readonly ids: number[]; readonly given: number[] } {
  const all = [...given];
  const former = before?.table.byName ?? new Map<string, Column>();
  const ids = table.columns.map((column) => {
    const place = `column ${table.name}.${column.name}`;
    const kept = beforeVersion === 0 ? undefined : formerOf(column, former, place, beforeVersion);
    const at = kept === undefined ? undefined : before?.table.columns.indexOf(kept);
    return (at === undefined ? undefined : before?.ids[at]) ?? all.push(version) - 1;
  });
  return { ids, given: all };
}

/**
 * Numbers a schema.
 *
 * @param before the version before it; undefined: it is the first, and what it declares to be
 * renamed is new too
 * @param given the numbers ever given
 * @param schema the schema
 * @returns its numbers, and the numbers ever given then
 * @throws {LakeSyncError} `SCHEMA_ERROR` when a declared rename names nothing of the version before
 */
export function numberSchema(
  before: NumberedSchema | undefined,
  given: Given,
  schema: Schema,
): { readonly numbers: Numbers; readonly given: Given } {
  const { version } = schema;
  const beforeVersion = before?.schema.version ?? 0;
  const all = [...given];
  const formerTables = before?.schema.tables ?? new Map<string, Table>();
  const order = [...formerTables.values()];
  const numbers = [...schema.tables.values()].map((table): Numbers[number] => {
    const kept = before === undefined
      ? undefined
      : formerOf(table, formerTables, `table ${table.name}`, beforeVersion);
    const [keptId, keptColumns = []] = kept === undefined
      ? []
      : before?.numbers[order.indexOf(kept)] ?? [];
    const id = keptId ?? all.push([version, []]);
    const [since, columns] = all[id - 1] ?? [version, []];
    const former = kept === undefined ? undefined : { table: kept, ids: keptColumns };
    const numbered = numberColumns(table, former, columns, version, beforeVersion);
    all[id - 1] = [since, numbered.given];
    return [id, numbered.ids];
  });
  return { numbers, given: all };
}
