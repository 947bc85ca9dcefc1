/**
 * What tables a schema has, and which of them are LakeSync's.
 *
 * @module
 */

import type { DestinationSchema } from "../adapter.ts";
import type { StoredLayouts, TableLayout } from "../database/backend.ts";
import type { StoredTable } from "../database/schema_plan.ts";
import { fromStoredSchema, type StoredSchema } from "../database/stored_schema.ts";
import type { Parameter, ReadRow } from "./client.ts";
import type { OwnTables } from "./names.ts";
import { nativeOf } from "./values.ts";

/** Runs a statement. */
export type Run = (text: string, ...parameters: Parameter[]) => Promise<readonly ReadRow[]>;

/** A table that is there: its columns and their types, as `format_type` writes them. */
export type ExistingTable = ReadonlyMap<string, string>;

/**
 * Reads which tables are there.
 *
 * @param run runs a statement
 * @param schema the schema's name
 */
export async function existingTables(
  run: Run,
  schema: string,
): Promise<ReadonlyMap<string, ExistingTable>> {
  const rows = await run(
    `SELECT c.relname AS name, a.attname AS column, ` +
      `format_type(a.atttypid, a.atttypmod) AS type FROM pg_class c ` +
      `JOIN pg_namespace s ON s.oid = c.relnamespace ` +
      `LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ` +
      `WHERE s.nspname = $1::text AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ` +
      `AND NOT c.relispartition ORDER BY a.attnum`,
    schema,
  );
  const tables = new Map<string, Map<string, string>>();
  for (const { name, column, type } of rows) {
    const table = tables.get(String(name)) ?? new Map<string, string>();
    tables.set(String(name), table);
    if (column !== null) table.set(String(column), String(type));
  }
  return tables;
}

/** Reads the tables as they were last made ready. */
export async function storedTables(run: Run, own: OwnTables): Promise<readonly StoredTable[]> {
  const rows = await run(
    `SELECT id, name, is_adopted, extras, columns FROM ${own.tables} WHERE id > 0 ORDER BY id`,
  );
  return rows.map((row) => ({
    id: Number(row.id),
    name: String(row.name),
    isAdopted: row.is_adopted === true,
    extras: row.extras as StoredTable["extras"],
    columns: row.columns as StoredTable["columns"],
  }));
}

/** Reads the schema as it was last made ready. */
export async function storedSchema(
  run: Run,
  own: OwnTables,
): Promise<DestinationSchema | undefined> {
  const [row] = await run(`SELECT schema::text AS schema FROM ${own.position} WHERE only_row`);
  if (typeof row?.schema !== "string") return undefined;
  return fromStoredSchema(JSON.parse(row.schema) as StoredSchema);
}

/**
 * Reads the schema and its tables as they are.
 *
 * @param run runs a statement
 * @param own LakeSync's own tables
 * @param schemaName the schema's name
 */
export async function readLayouts(
  run: Run,
  own: OwnTables,
  schemaName: string,
): Promise<StoredLayouts | undefined> {
  const schema = await storedSchema(run, own);
  if (schema === undefined) return undefined;
  const [stored, existing] = [await storedTables(run, own), await existingTables(run, schemaName)];
  const byId = new Map(stored.map((table) => [table.id, table]));
  const tables = schema.tables.map((wanted): [number, TableLayout] => {
    const { id, table, columnIds } = wanted;
    const types = existing.get(table.name);
    const columns = table.columns.map((column, i) => ({
      id: columnIds[i] ?? 0,
      column,
      native: types?.get(column.name) ?? nativeOf(column),
    }));
    const key = table.primaryKey.flatMap(({ name }) =>
      columns.filter(({ column }) => column.name === name)
    );
    return [id, { ...wanted, columns, key, extras: new Set(byId.get(id)?.extras) }];
  });
  return { schema, tables: new Map(tables) };
}
