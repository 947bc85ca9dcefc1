/**
 * Writes a batch: to each table what it does not have yet, the tables at once, and then the lake's
 * position.
 *
 * @module
 */

import {
  type Cell,
  type Change,
  DestinationError,
  type FlushBatch,
  type FlushPosition,
  type RowEffect,
} from "../../adapter.ts";
import { comparePlaces, nameOfKey } from "../../place.ts";
import type { LoadedTable } from "../catalog/catalog.ts";
import type { TableMetadata } from "../iceberg/metadata.ts";
import { appendFiles, emptySnapshot } from "../iceberg/snapshot.ts";
import { type ChangesLayout, encodeChange, encodeRow } from "./changes.ts";
import { type FileRow, writeChanges } from "./data_files.ts";
import { atMost, commitTo, type Lake } from "./lake.ts";
import { CHANGE_FIELDS, OTHER_FIELDS } from "./layout.ts";
import { positionOf, PROPERTY, summaryOf, unsettledKeys } from "./properties.ts";
import { BY_DAY, readyPosition } from "./ready.ts";
import { rewindTable } from "./rewind_table.ts";
import { isAhead, isOfLostHistory, kept, partAfter } from "./standing.ts";
import {
  type ChangesTable,
  createTable,
  type LakeTables,
  OTHERS_TABLE,
  ownPosition,
  TABLES_AT_ONCE,
} from "./tables.ts";
import { type Settling, writeUnsettled } from "./unsettled.ts";

/** A row that is set, as it is after the whole batch. */
interface SetRow {
  readonly row: RowEffect;
  readonly isUnsettled: boolean;
}

/** What of a batch is for one table. */
interface Share {
  readonly rows: SetRow[];
  readonly changes: Change[];
}

/**
 * Writes a batch.
 *
 * @param lake the lake
 * @param tables its tables; changed
 * @param batch the batch
 */
export async function writeBatch(
  lake: Lake,
  tables: LakeTables,
  batch: FlushBatch,
): Promise<void> {
  const { from, to } = batch;
  const main = await readyPosition(lake, tables);
  const own = ownPosition(tables);
  const isClaim = own?.writer !== to.writer;
  for (const { loaded } of tables.changes.values()) {
    if (!isOfLostHistory(positionOf(loaded.metadata), batch)) continue;
    throw new DestinationError("now", "A table of the lake is ahead, ask for the position");
  }
  if (from?.filled !== undefined) await goBackForFilling(lake, tables, from);
  const shares = sharesOf(batch, new Set(tables.changes.keys()));
  if (shares.has(0) && !tables.changes.has(0)) tables.changes.set(0, await createOthers(lake));
  const written = [...tables.changes.values()].filter(({ id }) => isClaim || shares.has(id));
  await atMost(
    written.map((table) => () =>
      writeShare(lake, table, shares.get(table.id) ?? { rows: [], changes: [] }, batch, own)
    ),
    TABLES_AT_ONCE,
  );
  tables.main = await movePosition(lake, main, kept(to), own);
}

/**
 * Moves the lake's own position.
 *
 * @param lake the lake
 * @param main the table of the position
 * @param to where it stands then
 * @param from where it stood
 * @param properties what else is set
 */
export function movePosition(
  lake: Lake,
  main: LoadedTable,
  to: FlushPosition,
  from: FlushPosition | undefined,
  properties: Readonly<Record<string, string>> = {},
): Promise<LoadedTable> {
  return commitTo(lake, main, async ({ metadata }) => ({
    plan: await emptySnapshot(lake, metadata, { nowMs: lake.now(), summary: summaryOf(to, from) }),
    properties: { [PROPERTY.position]: JSON.stringify(to), ...properties },
  }));
}

/**
 * Takes back what tables are ahead of a filling. Rows that are filled are as of the place of the
 * batch, and nothing names them, so that they could not be set later.
 */
async function goBackForFilling(
  lake: Lake,
  tables: LakeTables,
  from: FlushPosition,
): Promise<void> {
  for (const table of tables.changes.values()) {
    if (isAhead(positionOf(table.loaded.metadata), from)) await rewindTable(lake, table, from);
  }
}

async function createOthers(lake: Lake): Promise<ChangesTable> {
  const loaded = await createTable(lake, {
    name: OTHERS_TABLE,
    kind: "others",
    schema: { fields: [...CHANGE_FIELDS, ...OTHER_FIELDS] },
    partitionBy: BY_DAY,
  });
  return { id: 0, loaded, layout: undefined };
}

/** Parts a batch by tables; what is of tables that nobody knows is under 0. */
function sharesOf(
  batch: FlushBatch,
  known: ReadonlySet<number>,
): ReadonlyMap<number, Share> {
  const shares = new Map<number, Share>();
  const shareOf = (table: number | undefined) => {
    const id = table !== undefined && known.has(table) ? table : 0;
    let share = shares.get(id);
    if (share === undefined) shares.set(id, share = { rows: [], changes: [] });
    return share;
  };
  for (const set of rowsAfter(batch)) shareOf(set.row.key.table).rows.push(set);
  for (const change of batch.changes) {
    shareOf((change.effect?.key ?? change.unsettles)?.table).changes.push(change);
  }
  return shares;
}

/** The rows that a batch sets, as its changes leave them. */
function rowsAfter({ rows, changes }: FlushBatch): Iterable<SetRow> {
  const after = new Map<string, SetRow>();
  for (const row of rows) after.set(nameOfKey(row.key), { row, isUnsettled: false });
  if (after.size === 0) return [];
  for (const { effect, unsettles } of changes) {
    const key = effect?.key ?? unsettles;
    const set = key && after.get(nameOfKey(key));
    if (key === undefined || set === undefined) continue;
    after.set(
      nameOfKey(key),
      effect === undefined
        ? { ...set, isUnsettled: true }
        : { row: overlaid(set.row, effect), isUnsettled: set.isUnsettled && !effect.replaces },
    );
  }
  return after.values();
}

function overlaid(row: RowEffect, { isVisible, replaces, cells }: RowEffect): RowEffect {
  const before = new Map(row.cells.map((cell) => [cell[0], cell]));
  const after = new Map(replaces ? [] : before);
  for (const [column, value, stamp = before.get(column)?.[2]] of cells) {
    const cell: Cell = stamp === undefined ? [column, value] : [column, value, stamp];
    after.set(column, cell);
  }
  return { ...row, isVisible, cells: [...after.values()] };
}

async function writeShare(
  lake: Lake,
  table: ChangesTable,
  { rows: set, changes }: Share,
  { from, to }: FlushBatch,
  own: FlushPosition | undefined,
): Promise<void> {
  const { metadata } = table.loaded;
  const part = positionOf(metadata);
  // It may have been written by a try that ended before the lake's position moved.
  const lacking = isAhead(part, from)
    ? changes.filter((change) => part === undefined || comparePlaces(change, part) > 0)
    : changes;
  // Rows as of an older place than the table's stay unsettled, and come again.
  const rows = isAhead(part, to) ? [] : set;
  const files = lacking.length === 0 && rows.length === 0
    ? []
    : await writeChanges(lake, metadata, table.layout, fileRows(table, lacking, rows, to, lake));
  const unsettled = table.layout === undefined ? {} : await writeUnsettled(
    lake,
    metadata,
    hasUnsettled(metadata, lacking, rows) ? settlingOf(lacking, rows) : new Map(),
  );
  const after = partAfter(part, to);
  const options = { nowMs: lake.now(), summary: summaryOf(after, own) };
  table.loaded = await commitTo(lake, table.loaded, async (base) => ({
    plan: files.length === 0
      ? await emptySnapshot(lake, base.metadata, options)
      : await appendFiles(lake, base.metadata, files, options),
    properties: { [PROPERTY.position]: JSON.stringify(after), ...unsettled },
  }));
}

/** The rows of a table's files: changes in order, and then rows that are set. */
function* fileRows(
  { layout }: ChangesTable,
  changes: readonly Change[],
  rows: readonly SetRow[],
  to: FlushPosition,
  { now }: Lake,
): Generator<FileRow> {
  const nowMs = rows.length === 0 ? 0 : now();
  for (const change of changes) {
    if (layout !== undefined) yield { row: encodeChange(layout, change) };
    else {
      const number = (change.effect?.key ?? change.unsettles)?.table ?? null;
      const other = { name: change.table, number };
      yield { row: encodeChange(unknownTable(number), change), other };
    }
  }
  for (const { row, isUnsettled } of rows) {
    if (layout !== undefined) yield { row: encodeRow(layout, row, to, nowMs, isUnsettled) };
    else {
      const number = row.key.table;
      const encoded = encodeRow(unknownTable(number), row, to, nowMs, isUnsettled);
      yield { row: encoded, other: { name: null, number } };
    }
  }
}

/**
 * What is known of a table that nobody knows.
 *
 * @param number its number, where that is known
 */
export function unknownTable(number: number | null): ChangesLayout {
  return {
    table: number ?? 0,
    firstName: "",
    names: new Map(),
    columns: [],
    newest: undefined,
    version: 0,
  };
}

/** Whether there are unsettled rows, before or in what is written: mostly there are none. */
function hasUnsettled(
  metadata: TableMetadata,
  changes: readonly Change[],
  rows: readonly SetRow[],
): boolean {
  return unsettledKeys(metadata).length > 0 || rows.some(({ isUnsettled }) => isUnsettled) ||
    changes.some(({ unsettles }) => unsettles !== undefined);
}

function settlingOf(changes: readonly Change[], rows: readonly SetRow[]): Settling {
  const settling = new Map<string, boolean>();
  for (const { effect, unsettles } of changes) {
    if (effect?.replaces) settling.set(effect.key.rowId, false);
    if (unsettles !== undefined) settling.set(unsettles.rowId, true);
  }
  for (const { row, isUnsettled } of rows) settling.set(row.key.rowId, isUnsettled);
  return settling;
}
