/**
 * Reads the rows of a lake as the gateway has them: by numbers and with the texts of their keys, file
 * by file, and with how far in the gateway's history they are.
 *
 * @module
 */

import type { ColumnType, Value } from "@lakesync/core";
import type { FlushPosition } from "../../adapter.ts";
import { comparePlaces } from "../../place.ts";
import type { LoadedTable } from "../catalog/catalog.ts";
import { type Column, valueAt } from "../columns/mod.ts";
import { atMost, type Lake } from "../flush/lake.ts";
import { type LakeTable, parseTable, rowsSchema } from "../flush/layout.ts";
import { positionOf, PROPERTY, unsettledKeys } from "../flush/properties.ts";
import { type LakeTables, loadTables, TABLES_AT_ONCE } from "../flush/tables.ts";
import type { ColumnBatch } from "../parquet/parquet.ts";
import { keyFields } from "./build_rows.ts";
import { liveFiles, readFields, readGone } from "./live_files.ts";
import { refillOf } from "./merge_lake.ts";
import { keyReader, rowIdOfKey } from "./row_key.ts";
import { standingOf } from "./standing.ts";

export type { Lake } from "../flush/lake.ts";

/** So many rows are given at once, at most. */
const PAGE = 500;

/** A row: its id, and its cells that are not null, without the key's. */
export interface ReadRow {
  /** The row's id. */
  readonly rowId: string;
  /** Columns by number, with their values. */
  readonly cells: readonly (readonly [column: number, value: Value])[];
}

/** Rows of some tables as they are at one moment. */
export interface LakeRows {
  /** They have everything that was committed up to this commit. */
  readonly seq: number;
  /** They have nothing of a later commit than this one. */
  readonly through: number;
  /** Seqs with the lives in which they were given out: the rows are of the history that has all. */
  readonly places: readonly { readonly life: string; readonly seq: number }[];
  /**
   * Reads the visible rows of a table, page by page, each row once.
   *
   * @param table the table's number, one of those that were asked for
   * @throws {MissingObjectError} when the lake has been kept in shape for long since
   */
  read(table: number): AsyncIterable<readonly ReadRow[]>;
}

/** The rows of a table, and how far they are. */
interface OpenTable {
  readonly id: number;
  readonly rows: LoadedTable;
  readonly table: LakeTable;
  /** They have everything up to this commit. */
  readonly seq: number;
  /** With how far they were made; undefined when there never was a change. */
  readonly position: FlushPosition | undefined;
}

/**
 * Finds the rows of tables.
 *
 * @param lake the lake
 * @param ids the numbers of the synced tables
 * @returns undefined when one of them is not there, or its rows are being made anew or are unsettled
 */
export async function openRows(
  lake: Lake,
  ids: readonly number[],
): Promise<LakeRows | undefined> {
  const tables = await loadTables(lake);
  const own = tables.main && positionOf(tables.main.metadata);
  if (own === undefined || own.filled !== undefined) return undefined;
  const opened = await atMost(
    ids.map((id) => () => openTable(lake, tables, id, own)),
    TABLES_AT_ONCE,
  );
  const known = opened.filter((table) => table !== undefined);
  if (known.length < ids.length || ids.length === 0) return undefined;
  const positions = known.flatMap(({ position }) => position ?? []);
  return {
    seq: Math.min(...known.map(({ seq }) => seq)),
    through: Math.max(0, ...positions.map(({ seq }) => seq)),
    places: [own, ...positions].map(({ seq, lives }) => ({ seq, life: lives.at(-1)?.id ?? "" })),
    read: (id) => {
      const table = known.find((table) => table.id === id);
      if (table === undefined) throw new RangeError("Rows of another table were asked for");
      return readTable(lake, table);
    },
  };
}

/** Reads how far the rows of a table are; what is known of the lake was read before. */
async function openTable(
  lake: Lake,
  { main, changes: allChanges, rows: allRows }: LakeTables,
  id: number,
  own: FlushPosition,
): Promise<OpenTable | undefined> {
  const names = [allChanges.get(id)?.loaded.table, allRows.get(id)?.table];
  // In this order: rows that have all of these changes have all that the lake's position says.
  const [changes, rows] = [
    names[0] && await lake.catalog.load(names[0]),
    names[1] && await lake.catalog.load(names[1]),
  ];
  const layout = rows?.metadata.properties?.[PROPERTY.table];
  if (changes === undefined || rows === undefined || layout === undefined) return undefined;
  if (unsettledKeys(changes.metadata).length > 0) return undefined;
  const standing = standingOf(rows.metadata);
  if (standing?.refill !== refillOf({ main })?.seq) return undefined;
  const position = standing?.position;
  const written = positionOf(changes.metadata);
  if (position === undefined && (written !== undefined || rows.snapshot !== undefined)) {
    return undefined;
  }
  const isCaughtUp = written === undefined ||
    (position !== undefined && comparePlaces(position, written) >= 0);
  const seq = Math.max(
    position === undefined ? 0 : wholeSeq(position),
    isCaughtUp ? wholeSeq(own) : 0,
  );
  return { id, rows, table: parseTable(layout), seq, position };
}

/** The last commit that is there whole. */
function wholeSeq({ seq, slice }: FlushPosition): number {
  return slice === undefined ? seq : seq - 1;
}

async function* readTable(
  lake: Lake,
  { rows, table }: OpenTable,
): AsyncGenerator<readonly ReadRow[]> {
  const { fields } = rowsSchema(table);
  for (const file of await liveFiles(lake, rows.metadata, rows.snapshot)) {
    const batch = await readFields(lake, file.entry.dataFile, fields);
    const gone = await readGone(lake, file);
    const read = rowReader(table, batch);
    for (let from = 0; from < batch.length; from += PAGE) {
      const page: ReadRow[] = [];
      for (let row = from; row < Math.min(batch.length, from + PAGE); row++) {
        if (!gone.has(row)) page.push(read(row));
      }
      yield page;
    }
  }
}

/** Reads rows out of their columns. */
function rowReader(table: LakeTable, { fields, columns }: ColumnBatch): (row: number) => ReadRow {
  const byId = new Map(fields.map(({ id }, i) => [id, columns[i]]));
  const keyOf = keyReader(keyFields(table).flatMap(({ id }) => byId.get(id) ?? []));
  const readers = table.columns.filter(({ isKey }) => !isKey).map((column) => {
    const held = [column.field, ...column.former];
    return [column.number, valueReader(held.map(({ id, from }) => [byId.get(id), from]))] as const;
  });
  return (row) => {
    const cells: [number, Value][] = [];
    for (const [number, read] of readers) {
      const value = read(row);
      if (value !== null) cells.push([number, value]);
    }
    return { rowId: rowIdOfKey(keyOf(row)), cells };
  };
}

/** Reads the first value that one of a column's fields has. */
function valueReader(
  fields: readonly (readonly [Column | undefined, ColumnType])[],
): (row: number) => Value {
  return (row) => {
    for (const [column, from] of fields) {
      const value = column === undefined ? null : valueAt(column, row, from);
      if (value !== null) return value;
    }
    return null;
  };
}
