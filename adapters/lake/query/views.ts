/**
 * The tables of a lake as they were after one commit, as views: which files each is made of, and the
 * SQL over them.
 *
 * @module
 */

import type { LoadedTable } from "../catalog/catalog.ts";
import { changesSchema, type LakeTable, rowsSchema, SEQ } from "../flush/layout.ts";
import type { LakeFiles } from "../iceberg/lake_files.ts";
import type { DataFile } from "../iceberg/manifest.ts";
import type { Snapshot } from "../iceberg/metadata.ts";
import { planScan, type ScanTask } from "../iceberg/scan.ts";
import type { LakeField } from "../iceberg/schema.ts";
import { QueryError } from "./duck.ts";
import type { NeededFile } from "./file_cache.ts";
import { foldSql } from "./fold.ts";
import { baseAt, type BaseRows, type LakeState } from "./lake_state.ts";
import { FILE_ROW, relationSql } from "./relation.ts";
import { nameSql } from "./sql.ts";
import type { TailState } from "./tail_files.ts";

/** A synced table that can be asked for. */
export interface QueryTable {
  /** Its number. */
  readonly id: number;
  /** The table as the lake or, if it is read too, the gateway has it. */
  readonly layout: LakeTable;
  /** The name of its rows. */
  readonly name: string;
  /** The name of its changes. */
  readonly changesName: string;
  /** The table of changes; undefined when the lake does not have it yet. */
  readonly changes: LoadedTable | undefined;
  /** The table of rows. */
  readonly rows: LoadedTable | undefined;
  /** Paths of files with changes that are not in the lake. */
  readonly tail: readonly string[];
}

/**
 * Lists the tables that can be asked for.
 *
 * @param state the lake
 * @param tail what is not in it yet
 */
export function queryTables(
  { tables }: LakeState,
  tail: TailState | undefined,
): readonly QueryTable[] {
  const ids = new Set([...tables.changes.keys(), ...tail?.tables.keys() ?? []]);
  return [...ids].flatMap((id) => {
    const changes = tables.changes.get(id);
    const rows = tables.rows.get(id);
    const layout = tail?.tables.get(id) ?? changes?.layout;
    if (layout === undefined) return [];
    const name = rows?.table.name ?? layout.newest?.name ?? layout.firstName;
    return [{
      id,
      layout,
      name,
      changesName: changes?.loaded.table.name ?? `${name}__changes`,
      changes: changes?.loaded,
      rows,
      tail: tail?.files.get(id) ?? [],
    }];
  });
}

/** Files that a view is made of. */
interface PlannedFiles {
  readonly fields: readonly LakeField[];
  readonly tasks: readonly ScanTask[];
}

/** A view, once its files have paths. */
export interface PlannedView {
  /** Its name in SQL. */
  readonly name: string;
  /** The objects it needs. */
  readonly needs: readonly NeededFile[];
  /** Writes the query, given paths by locations. */
  sql(paths: ReadonlyMap<string, string>): string;
}

/** What views are planned for. */
export interface Moment {
  /** The lake. */
  readonly state: LakeState;
  /** The commit after which the tables are shown. */
  readonly seq: number;
}

async function filesOf(
  lake: LakeFiles,
  table: LoadedTable | undefined,
  fields: readonly LakeField[],
  { snapshot, range }: {
    readonly snapshot?: Snapshot;
    readonly range?: readonly [from: number, to: number];
  },
): Promise<PlannedFiles> {
  const tasks: ScanTask[] = [];
  if (table === undefined || (table.snapshot === undefined && snapshot === undefined)) {
    return { fields, tasks };
  }
  const options = {
    ...(snapshot === undefined ? {} : { snapshotId: snapshot["snapshot-id"] }),
    ...(range === undefined ? {} : {
      ranges: [{ fieldId: SEQ, lower: BigInt(range[0]), upper: BigInt(range[1]) }],
    }),
  };
  for await (const task of planScan(lake, table.metadata, options)) {
    if (task.deletes.some(({ content }) => content === "equality-deletes")) {
      throw new QueryError(
        `${table.table.name} has equality deletes, which only other tools write`,
      );
    }
    tasks.push(task);
  }
  return { fields, tasks };
}

function needsOf({ tasks }: PlannedFiles): readonly NeededFile[] {
  const files = tasks.flatMap(({ entry, deletes }) => [entry.dataFile, ...deletes]);
  return files.map(needOf);
}

function needOf({ filePath, fileSizeInBytes }: DataFile): NeededFile {
  return { location: filePath, bytes: fileSizeInBytes };
}

/** A query over files of the lake, and over others. */
function filesSql(
  { fields, tasks }: PlannedFiles,
  paths: ReadonlyMap<string, string>,
  where: string,
): string {
  const pathOf = ({ filePath }: DataFile) => paths.get(filePath) ?? "";
  const files = tasks.map(({ entry, deletes }) => ({
    path: pathOf(entry.dataFile),
    location: entry.dataFile.filePath,
    deletes: deletes.map(pathOf),
  }));
  return `SELECT * FROM (${relationSql(fields, files)}) WHERE ${where}`;
}

function tailSql(
  fields: readonly LakeField[],
  tail: readonly string[],
  where: string,
): string {
  const files = tail.map((path) => ({ path, location: path, deletes: [] }));
  return `SELECT * FROM (${relationSql(fields, files)}) WHERE ${where}`;
}

/** Changes, and about how many they are in the lake. */
type PlannedChanges = Omit<PlannedView, "name"> & { readonly records: number };

/** Where changes are more than this part of the rows, all rows take the road of those that changed. */
const PART_CHANGED = 4;

function recordsOf({ tasks }: PlannedFiles): number {
  return tasks.reduce((sum, { entry }) => sum + entry.dataFile.recordCount, 0);
}

/** Changes of the lake up to its commit, and after it those of the gateway. */
async function changesQuery(
  lake: LakeFiles,
  { changes, layout, tail }: QueryTable,
  { state, seq }: Moment,
  after: { readonly seq: number; readonly where: string },
): Promise<PlannedChanges> {
  const { fields } = changesSchema(layout);
  const ofLake = Math.min(seq, state.seq);
  const planned = await filesOf(lake, changes, fields, { range: [after.seq, ofLake] });
  return {
    needs: needsOf(planned),
    records: recordsOf(planned),
    sql: (paths) => {
      const inLake = filesSql(planned, paths, `_seq <= ${ofLake} AND ${after.where}`);
      if (tail.length === 0 || seq <= state.seq) return inLake;
      const beside = `_seq > ${state.seq} AND _seq <= ${seq}`;
      return `${inLake} UNION ALL ${tailSql(fields, tail, beside)}`;
    },
  };
}

/**
 * Plans the view of a table's changes.
 *
 * @param lake where objects are
 * @param table the table
 * @param moment when
 */
export async function changesView(
  lake: LakeFiles,
  table: QueryTable,
  moment: Moment,
): Promise<PlannedView> {
  const query = await changesQuery(lake, table, moment, { seq: 0, where: "true" });
  const names = changesSchema(table.layout).fields.map(({ name }) => nameSql(name)).join(", ");
  return {
    name: table.changesName,
    needs: query.needs,
    sql: (paths) => `SELECT ${names} FROM (${query.sql(paths)})`,
  };
}

/**
 * Plans a query for all changes of a table with {@linkcode FILE_ROW}, which tells their order within
 * a commit.
 *
 * @param lake where objects are
 * @param table the table
 * @param moment up to when
 */
export async function placedChanges(
  lake: LakeFiles,
  table: QueryTable,
  moment: Moment,
): Promise<PlannedView> {
  const query = await changesQuery(lake, table, moment, { seq: 0, where: "true" });
  return { ...query, name: PLACED_CHANGES };
}

/** The view of {@linkcode placedChanges}. */
export const PLACED_CHANGES = "lakesync_placed_changes";

/** The object with rows that are not visible, named by the summary of a snapshot. */
const HIDDEN = "lakesync.hidden";

/**
 * Plans the view of a table's rows.
 *
 * @param lake where objects are
 * @param table the table
 * @param moment when
 * @throws {QueryError} when the lake no longer has what the rows were made of
 */
export async function rowsView(
  lake: LakeFiles,
  table: QueryTable,
  moment: Moment,
): Promise<PlannedView> {
  const { state, seq } = moment;
  const { rows, changes: loaded } = table;
  const base = rows && baseAt(state, { rows, changes: loaded }, Math.min(seq, state.seq));
  if (base === undefined && state.forgotten > 0 && state.forgotten >= state.refill) {
    throw new QueryError(
      `The changes of ${table.name} up to commit ${state.forgotten} were forgotten, and no snapshot before commit ${seq} is left`,
    );
  }
  const { fields } = rowsSchema(table.layout);
  const shown = base && await filesOf(lake, table.rows, fields, base);
  const changes = await changesQuery(lake, table, moment, afterOf(base, moment));
  const hidden = base?.snapshot.summary[HIDDEN];
  const isMostlyChanged = shown !== undefined &&
    PART_CHANGED * changes.records > recordsOf(shown);
  return {
    name: table.name,
    needs: [
      ...shown === undefined ? [] : needsOf(shown),
      ...hidden === undefined || hidden === "" ? [] : [{ location: hidden, bytes: 0 }],
      ...changes.needs,
    ],
    sql: (paths) =>
      foldSql(table.layout, {
        rows: shown && `SELECT * EXCLUDE (${FILE_ROW}) FROM (${filesSql(shown, paths, "true")})`,
        hidden: hidden === undefined || hidden === ""
          ? undefined
          : tailSql(fields, [paths.get(hidden) ?? ""], "true"),
        changes: changes.sql(paths),
        isMostlyChanged,
      }),
  };
}

/** Which changes are not in the rows yet. Rows that were set last may be set again with no harm. */
function afterOf(
  base: BaseRows | undefined,
  { state: { refill }, seq }: Moment,
): { readonly seq: number; readonly where: string } {
  const from = base?.seq ?? (seq >= refill ? refill : 0);
  if (from === 0) return { seq: 0, where: "true" };
  const isAgain = base?.slice === undefined
    ? "_op = 'SET' AND _slice IS NULL"
    : `_slice > ${base.slice} OR _slice IS NULL OR (_op = 'SET' AND _slice = ${base.slice})`;
  return { seq: from, where: `(_seq > ${from} OR (_seq = ${from} AND (${isAgain})))` };
}
