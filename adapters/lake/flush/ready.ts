/**
 * Makes the tables of a lake ready for a schema: by numbers, so that a renamed one is not made anew.
 * Each step is a commit of its own and does nothing where it was done before, so that any of them may
 * be the last before a crash.
 *
 * @module
 */

import { DestinationError, type DestinationSchema } from "../../adapter.ts";
import { CatalogError, type LoadedTable } from "../catalog/catalog.ts";
import { schemaUpdates } from "../iceberg/evolution.ts";
import type { PartitionBy } from "../iceberg/new_table.ts";
import type { LakeSchema } from "../iceberg/schema.ts";
import { atMost, commitTo, type Lake } from "./lake.ts";
import {
  changesSchema,
  COMMITTED_AT,
  freeName,
  keyFieldIds,
  type LakeTable,
  planTable,
  printTable,
  rowsSchema,
} from "./layout.ts";
import { printSchema, PROPERTY, type TableKind } from "./properties.ts";
import { createTable, type LakeTables, notOurs, POSITION_TABLE, TABLES_AT_ONCE } from "./tables.ts";

/** How tables of changes are kept apart. */
export const BY_DAY: readonly PartitionBy[] = [{
  fieldId: COMMITTED_AT,
  transform: "day",
  name: "_committed_at_day",
}];

/**
 * Makes sure that the table of the position is there.
 *
 * @param lake the lake
 * @param tables its tables; changed
 */
export async function readyPosition(lake: Lake, tables: LakeTables): Promise<LoadedTable> {
  tables.main ??= await createTable(lake, {
    name: POSITION_TABLE,
    kind: "position",
    schema: { fields: [{ id: 1, name: "_none", type: "int", required: false }] },
  });
  return tables.main;
}

/**
 * Makes tables ready for a schema; an older one than that of before changes nothing.
 *
 * @param lake the lake
 * @param tables its tables; changed
 * @param schema the schema
 * @throws {DestinationError} `stop` when the schema does not go with the tables
 */
export async function readySchema(
  lake: Lake,
  tables: LakeTables,
  schema: DestinationSchema,
): Promise<void> {
  const main = await readyPosition(lake, tables);
  const json = printSchema(schema);
  if (schema.version < (tables.schema?.version ?? 0)) return;
  const isReady = main.metadata.properties?.[PROPERTY.schema] === json &&
    schema.tables.every(({ id }) => tables.changes.has(id) && tables.rows.has(id));
  if (isReady) return;
  const planned = schema.tables.map((wanted) => {
    const plan = planTable(wanted, schema.version, tables.changes.get(wanted.id)?.layout);
    if (typeof plan === "string") throw new DestinationError("stop", plan);
    return plan;
  });
  const names = namesFor(lake, planned, tables);
  await atMost(
    planned.map((table) => async () => {
      const name = names.get(table.table) ?? "";
      await readyTable(lake, tables, table, name);
    }),
    TABLES_AT_ONCE,
  );
  tables.main = await commitTo(
    lake,
    main,
    () => Promise.resolve({ properties: { [PROPERTY.schema]: json } }),
  );
  tables.schema = schema;
}

/** The names of tables: their own, or with `_1` behind where that one is taken. */
function namesFor(
  lake: Lake,
  planned: readonly LakeTable[],
  tables: LakeTables,
): ReadonlyMap<number, string> {
  const taken = new Set(tables.names);
  const names = new Map<number, string>();
  for (const { table, newest } of planned.toSorted(byName)) {
    const wanted = newest?.name ?? "";
    const own = tables.changes.get(table)?.loaded.table.name.replace(/__changes$/, "");
    if (own?.toLowerCase() === wanted.toLowerCase()) {
      names.set(table, own);
      continue;
    }
    const theirs = [wanted, changesName(wanted)].find((each) =>
      tables.foreign.has(each.toLowerCase())
    );
    if (theirs !== undefined) throw notOurs(lake, theirs);
    let name = freeName(wanted, taken);
    while (taken.has(changesName(name).toLowerCase())) name = freeName(wanted, taken);
    taken.add(changesName(name).toLowerCase());
    names.set(table, name);
  }
  return names;
}

/** One that is called like another's table of changes is the one that gives way. */
function byName({ newest: a }: LakeTable, { newest: b }: LakeTable): number {
  return Number(a?.name.endsWith("__changes")) - Number(b?.name.endsWith("__changes"));
}

function changesName(name: string): string {
  return `${name}__changes`;
}

async function readyTable(
  lake: Lake,
  tables: LakeTables,
  layout: LakeTable,
  name: string,
): Promise<void> {
  const id = layout.table;
  const properties = {
    [PROPERTY.tableId]: String(id),
    [PROPERTY.table]: printTable(layout),
  };
  const changes = await readyOne(lake, tables.changes.get(id)?.loaded, {
    name: changesName(name),
    kind: "changes",
    schema: changesSchema(layout),
    partitionBy: BY_DAY,
    properties,
  });
  tables.changes.set(id, { id, loaded: changes, layout });
  const rows = await readyOne(lake, tables.rows.get(id), {
    name,
    kind: "rows",
    schema: rowsSchema(layout),
    sortBy: keyFieldIds(layout),
    properties,
  });
  tables.rows.set(id, rows);
  for (const { table } of [changes, rows]) tables.names.add(table.name.toLowerCase());
}

/** What a table is to be. */
interface Wanted {
  readonly name: string;
  readonly kind: TableKind;
  readonly schema: LakeSchema;
  readonly partitionBy?: readonly PartitionBy[];
  readonly sortBy?: readonly number[];
  readonly properties: Readonly<Record<string, string>>;
}

async function readyOne(
  lake: Lake,
  known: LoadedTable | undefined,
  wanted: Wanted,
): Promise<LoadedTable> {
  const there = known ?? await createTable(lake, wanted);
  const evolved = await evolve(lake, there, wanted);
  if (evolved.table.name === wanted.name) return evolved;
  const renamed = await lake.catalog.rename(evolved.table, {
    namespace: lake.namespace,
    name: wanted.name,
  });
  if (renamed.name === evolved.table.name) return evolved;
  const loaded = await lake.catalog.load(renamed);
  if (loaded !== undefined) return loaded;
  throw new DestinationError("later", `Table ${renamed.name} of the lake was renamed and is gone`);
}

/** Gives a table its columns and properties; a merge may commit to it at the same time. */
async function evolve(
  lake: Lake,
  table: LoadedTable,
  { schema, properties }: Wanted,
): Promise<LoadedTable> {
  for (let base = table, tries = 0;; tries++) {
    const { updates } = schemaUpdates(base.metadata, schema);
    const isSame = Object.entries(properties).every(([name, value]) =>
      base.metadata.properties?.[name] === value
    );
    if (updates.length === 0 && isSame) return base;
    try {
      return await lake.catalog.commit(base, [
        ...updates,
        { action: "set-properties", updates: properties },
      ]);
    } catch (error) {
      const isConflict = error instanceof CatalogError && error.failure === "conflict";
      const now = isConflict && tries < 8 ? await lake.catalog.load(base.table) : undefined;
      if (now === undefined) throw error;
      base = now;
    }
  }
}
