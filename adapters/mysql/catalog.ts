/**
 * What the database and LakeSync's own tables tell of tables.
 *
 * @module
 */

import type { DestinationSchema } from "../adapter.ts";
import type { StoredLayouts, TableLayout } from "../database/backend.ts";
import type { StoredTable } from "../database/schema_plan.ts";
import { fromStoredSchema } from "../database/stored_schema.ts";
import type { Session } from "./client.ts";
import { POSITION, TABLES } from "./names.ts";
import { textOf } from "./reading.ts";
import { type NativeColumn, nativeOf } from "./types.ts";

/** Columns by their names, by the names of their tables and views. */
export type ExistingTables = ReadonlyMap<string, ReadonlyMap<string, NativeColumn>>;

/** Names of tables that are compared as the server does, when it writes them in lower case. */
class FoldedMap<T> extends Map<string, T> {
  override get(name: string): T | undefined {
    return super.get(name.toLowerCase());
  }
  override has(name: string): boolean {
    return super.has(name.toLowerCase());
  }
}

/** Every table and view of the database. */
export async function existingTables(session: Session): Promise<ExistingTables> {
  const rows = await session.run(
    "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, COLLATION_NAME " +
      "FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()",
  );
  const tables: Map<string, Map<string, NativeColumn>> = session.facts.foldsNames
    ? new FoldedMap()
    : new Map();
  for (const row of rows) {
    const [table, column, type, collation] = row;
    const name = textOf(table);
    let columns = tables.get(name);
    if (columns === undefined) tables.set(name, columns = new Map());
    columns.set(textOf(column), {
      type: textOf(type).toLowerCase(),
      collation: collation === null ? undefined : textOf(collation),
    });
  }
  return tables;
}

/** The names of columns by the names of their tables. */
export function namesIn(existing: ExistingTables): ReadonlyMap<string, ReadonlySet<string>> {
  const names: Map<string, ReadonlySet<string>> = existing instanceof FoldedMap
    ? new FoldedMap()
    : new Map();
  for (const [name, columns] of existing) names.set(name, new Set(columns.keys()));
  return names;
}

/** The tables as they were last made ready. */
export async function storedTables(session: Session): Promise<readonly StoredTable[]> {
  const rows = await session.run(`SELECT id, name, is_adopted, extras, columns FROM ${TABLES}`);
  return rows.map(([id, name, isAdopted, extras, columns]) => ({
    id: Number(id),
    name: String(name),
    isAdopted: isAdopted === 1,
    extras: JSON.parse(String(extras)),
    columns: JSON.parse(String(columns)),
  }));
}

/** The schema as it was last made ready; undefined before the first time. */
export async function storedSchema(session: Session): Promise<DestinationSchema | undefined> {
  const [row] = await session.run(`SELECT schema_json FROM ${POSITION} WHERE only_row = 1`);
  const json = row?.[0] ?? null;
  return json === null ? undefined : fromStoredSchema(JSON.parse(String(json)));
}

/** The schema with its tables; undefined before the first time. */
export async function readLayouts(session: Session): Promise<StoredLayouts | undefined> {
  const schema = await storedSchema(session);
  if (schema === undefined) return undefined;
  const stored = new Map((await storedTables(session)).map((table) => [table.id, table]));
  const isAnyAdopted = schema.tables.some(({ id }) => stored.get(id)?.isAdopted);
  const existing = isAnyAdopted ? await existingTables(session) : new Map();
  const tables = schema.tables.map((each): TableLayout => {
    const { id, table, columnIds } = each;
    const { isAdopted = false, extras = [] } = stored.get(id) ?? {};
    const there: ReadonlyMap<string, NativeColumn> | undefined = isAdopted
      ? existing.get(table.name)
      : undefined;
    const columns = table.columns.map((column, i) => ({
      id: columnIds[i] ?? 0,
      column,
      native: there?.get(column.name)?.type ?? nativeOf(column, table.primaryKey),
    }));
    const key = table.primaryKey.flatMap((column) =>
      columns.find((each) => each.column.name === column.name) ?? []
    );
    return { ...each, columns, key, extras: new Set(extras) };
  });
  return { schema, tables: new Map(tables.map((table) => [table.id, table])) };
}
