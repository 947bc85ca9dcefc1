/**
 * The tables of a lake as they were last read or written. Whoever is told of a failure forgets all of
 * it and reads everything anew.
 *
 * @module
 */

import { DestinationError, type DestinationSchema, type FlushPosition } from "../../adapter.ts";
import { CatalogError, type LoadedTable } from "../catalog/catalog.ts";
import { newTableMetadata, type PartitionBy } from "../iceberg/new_table.ts";
import type { LakeSchema } from "../iceberg/schema.ts";
import { tableFolder } from "../location.ts";
import { atMost, type Lake } from "./lake.ts";
import { type LakeTable, parseTable } from "./layout.ts";
import { FORMAT, positionOf, PROPERTY, schemaOf, type TableKind } from "./properties.ts";

/** The table that has the position. */
export const POSITION_TABLE = "lakesync_position";

/**
 * Whether a gateway has a lake: its flusher makes the table of its position before all else.
 *
 * @param lake where it is to be
 */
export async function isLake({ catalog, namespace }: Pick<Lake, "catalog" | "namespace">): Promise<
  boolean
> {
  return await catalog.load({ namespace, name: POSITION_TABLE }) !== undefined;
}

/** The table for changes of tables that nobody knows. */
export const OTHERS_TABLE = "lakesync_changes";

/** So many tables are read or written at once. */
export const TABLES_AT_ONCE = 4;

/** A table of changes. */
export interface ChangesTable {
  /** The number of the synced table; 0 for changes of tables that nobody knows. */
  readonly id: number;
  /** The table. */
  loaded: LoadedTable;
  /** The synced table; undefined for those of tables that nobody knows. */
  layout: LakeTable | undefined;
}

/** The tables of a lake. */
export interface LakeTables {
  /** The table that has the position; undefined before the first time. */
  main: LoadedTable | undefined;
  /** The schema that it was last made ready for. */
  schema: DestinationSchema | undefined;
  /** Tables of changes, by the number of the synced table. */
  readonly changes: Map<number, ChangesTable>;
  /** Tables of rows, by the number of the synced table. */
  readonly rows: Map<number, LoadedTable>;
  /** The names of all tables in the namespace, in lower case. */
  readonly names: Set<string>;
  /** Those of tables that LakeSync did not make for this namespace, in lower case. */
  readonly foreign: ReadonlySet<string>;
}

/**
 * Reads all tables.
 *
 * @param lake the lake
 */
export async function loadTables(lake: Lake): Promise<LakeTables> {
  const names = await lake.catalog.list(lake.namespace);
  const loaded = await atMost(
    names.map((name) => () => lake.catalog.load(name)),
    2 * TABLES_AT_ONCE,
  );
  const own = loaded.filter((table) => table !== undefined && isOwn(lake, table));
  const tables: LakeTables = {
    main: own.find((table) => table !== undefined && kindOf(table) === "position"),
    schema: undefined,
    changes: new Map(),
    rows: new Map(),
    names: new Set(names.map(({ name }) => name.toLowerCase())),
    foreign: new Set(
      loaded.flatMap((table) =>
        table === undefined || own.includes(table) ? [] : [table.table.name.toLowerCase()]
      ),
    ),
  };
  tables.schema = tables.main && schemaOf(tables.main.metadata);
  const newest = new Map(tables.schema?.tables.map(({ id, table }) => [id, table]));
  for (const table of own) {
    if (table === undefined) continue;
    const { properties = {} } = table.metadata;
    const id = Number(properties[PROPERTY.tableId] ?? 0);
    const kind = kindOf(table);
    if (kind === "rows") tables.rows.set(id, table);
    if (kind === "others") tables.changes.set(0, { id: 0, loaded: table, layout: undefined });
    if (kind !== "changes") continue;
    const layout = parseTable(properties[PROPERTY.table] ?? "{}", newest.get(id));
    tables.changes.set(id, { id, loaded: table, layout });
  }
  return tables;
}

/** Whether LakeSync made a table for this namespace. */
function isOwn({ namespace }: Lake, { metadata: { properties = {} } }: LoadedTable): boolean {
  const format = properties[PROPERTY.format];
  if (format === undefined || properties[PROPERTY.namespace] !== namespace) return false;
  if (format === FORMAT) return true;
  throw new DestinationError(
    "stop",
    `The lake has tables of form ${format}, which this version does not know; run a newer one`,
  );
}

function kindOf({ metadata }: LoadedTable): string | undefined {
  return metadata.properties?.[PROPERTY.kind];
}

/**
 * Where the lake's own position stands.
 *
 * @param tables its tables
 */
export function ownPosition({ main }: LakeTables): FlushPosition | undefined {
  return main && positionOf(main.metadata);
}

/** What is to be created. */
export interface TableToCreate {
  /** Its name. */
  readonly name: string;
  /** What it is for. */
  readonly kind: TableKind;
  /** Its columns. */
  readonly schema: LakeSchema;
  /** How its files are kept apart. */
  readonly partitionBy?: readonly PartitionBy[];
  /** By which columns its rows are sorted. */
  readonly sortBy?: readonly number[];
  /** What else it keeps. */
  readonly properties?: Readonly<Record<string, string>>;
}

/**
 * Creates a table; one that an earlier try has created is taken as it is.
 *
 * @param lake the lake
 * @param table what it is to be
 * @throws {DestinationError} `stop` when somebody else made a table of that name
 */
export async function createTable(lake: Lake, table: TableToCreate): Promise<LoadedTable> {
  const { name, kind, schema, partitionBy, sortBy, properties = {} } = table;
  const named = { namespace: lake.namespace, name };
  const metadata = newTableMetadata({
    uuid: crypto.randomUUID(),
    location: lake.location.of(tableFolder(named)),
    schema,
    ...(partitionBy === undefined ? {} : { partitionBy }),
    ...(sortBy === undefined ? {} : { sortBy }),
    properties: {
      [PROPERTY.format]: FORMAT,
      [PROPERTY.kind]: kind,
      [PROPERTY.namespace]: lake.namespace,
      "write.parquet.compression-codec": "zstd",
      ...properties,
    },
    nowMs: lake.now(),
  });
  try {
    return await lake.catalog.create(named, metadata);
  } catch (error) {
    if (!(error instanceof CatalogError) || error.failure !== "conflict") throw error;
    const there = await lake.catalog.load(named);
    const id = properties[PROPERTY.tableId];
    const isSame = there !== undefined && isOwn(lake, there) && kindOf(there) === kind &&
      there.metadata.properties?.[PROPERTY.tableId] === id;
    if (isSame) return there;
    throw notOurs(lake, name);
  }
}

/**
 * A table is in the way that somebody else made.
 *
 * @param lake the lake
 * @param name its name
 */
export function notOurs({ namespace }: Lake, name: string): DestinationError {
  return new DestinationError(
    "stop",
    `Table ${name} of ${namespace} in the lake was not made by LakeSync: rename or drop it`,
  );
}
