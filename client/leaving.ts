/**
 * Rows that leave a bucket without being named: those of a bucket that is gone, also those that an
 * earlier page of the checkpoint put there, and those that a bucket had here and that were not
 * mentioned when it came whole.
 *
 * @module
 */

import { rowIdSql } from "./capture.ts";
import type { SqliteConnection } from "./database/driver.ts";
import type { Layout, SyncedTable } from "./layout.ts";
import { CHUNK } from "./overlay.ts";
import { RANGE, rowRanges } from "./ranges.ts";
import { keyCells, keyWhere } from "./rows.ts";
import type { Scope } from "./scope.ts";
import { quoteName } from "./sql.ts";

/** Rows of one table that the same buckets held and that leave some of them. */
export interface Leaving {
  /** Their table. */
  readonly table: SyncedTable;
  /** The rows. */
  readonly rowIds: readonly string[];
  /** The buckets that held them. */
  readonly held: readonly number[];
  /** Those of them that still do. */
  readonly stays: readonly number[];
}

const MENTIONED = `EXISTS (SELECT 1 FROM temp._lakesync_seen s
  WHERE s.tbl = r.tbl AND s.row_id = r.row_id)`;
const UNMENTIONED = `NOT ${MENTIONED}`;

/**
 * Collects the rows that leave buckets in `temp._lakesync_leaving`. Those that were mentioned are in
 * the sets in which they were put, so they leave nothing but what is gone.
 */
async function collect(
  db: SqliteConnection,
  layout: Layout,
  scope: Scope,
  covered: number,
  pause: () => Promise<void>,
): Promise<void> {
  await db.script(
    `CREATE TEMP TABLE IF NOT EXISTS _lakesync_leaving
       (tbl INTEGER, row_id TEXT, set_id INTEGER, told INTEGER,
        PRIMARY KEY (tbl, set_id, told, row_id)) WITHOUT ROWID;
     DELETE FROM temp._lakesync_leaving`,
  );
  const sets = scope.setsWith(scope.left);
  if (sets.length === 0) return;
  await db.run(
    `INSERT OR IGNORE INTO temp._lakesync_leaving
     SELECT tbl, row_id, set_id, ${MENTIONED} AS told FROM _lakesync_scope r
     WHERE set_id IN (SELECT value FROM json_each(?1))
       AND (set_id IN (SELECT value FROM json_each(?2)) OR NOT told)`,
    [JSON.stringify(sets), JSON.stringify(scope.setsWith(scope.gone))],
  );
  for (const table of layout.byName.values()) {
    const home = scope.homeOf(table);
    if (home === undefined || !sets.includes(home)) continue;
    const rowId = rowIdSql(table, table.table.primaryKey.map(({ name }) => quoteName(name)));
    for await (const { where, params } of rowRanges(db, table, RANGE)) {
      await db.run(
        `INSERT OR IGNORE INTO temp._lakesync_leaving SELECT tbl, row_id, ?, 0 FROM
          (SELECT ? AS tbl, ${rowId} AS row_id FROM ${quoteName(table.name)} WHERE ${where}) r
         WHERE NOT EXISTS (SELECT 1 FROM _lakesync_scope WHERE tbl = r.tbl AND row_id = r.row_id)
           AND NOT EXISTS (SELECT 1 FROM _lakesync_base WHERE tbl = r.tbl AND row_id = r.row_id)
           AND NOT EXISTS (SELECT 1 FROM _lakesync_outbox
             WHERE tbl = r.tbl AND row_id = r.row_id AND n > ?)
           AND ${UNMENTIONED}`,
        [home, table.id, ...params, covered],
      );
      await pause();
    }
    await db.run(
      `INSERT OR IGNORE INTO temp._lakesync_leaving SELECT tbl, row_id, ?2, 0 FROM _lakesync_base r
       WHERE tbl = ?1 AND present = 1 AND ${UNMENTIONED}
         AND NOT EXISTS (SELECT 1 FROM _lakesync_scope WHERE tbl = r.tbl AND row_id = r.row_id)`,
      [table.id, home],
    );
  }
}

/**
 * Finds the rows that leave buckets, a few hundred at a time.
 *
 * @param db the writer, in a transaction
 * @param layout where columns are kept
 * @param scope the scope, after the last page
 * @param covered the outbox number beyond which writes are not in the base
 * @param pause awaited between two steps
 */
export async function* rowsLeaving(
  db: SqliteConnection,
  layout: Layout,
  scope: Scope,
  covered: number,
  pause: () => Promise<void>,
): AsyncGenerator<Leaving> {
  await collect(db, layout, scope, covered, pause);
  for (;;) {
    const rows = await db.values(
      `SELECT tbl, row_id, set_id, told FROM temp._lakesync_leaving
       WHERE (tbl, set_id, told) = (SELECT tbl, set_id, told FROM temp._lakesync_leaving LIMIT 1)
       ORDER BY row_id LIMIT ${CHUNK}`,
    );
    const [id, , set, told] = rows[0] ?? [];
    if (id === undefined || set === undefined || told === undefined) return;
    const rowIds = rows.map(([, rowId]) => String(rowId));
    const table = layout.byName.get(layout.byId.get(Number(id))?.name ?? "");
    const held = scope.bucketsOf(Number(set));
    const left = told === 1 ? scope.gone : scope.left;
    const stays = held.filter((bucket) => !left.has(bucket));
    if (table !== undefined) yield { table, rowIds, held, stays };
    await db.run(
      "DELETE FROM temp._lakesync_leaving WHERE tbl = ? AND set_id = ? AND told = ? AND row_id <= ?",
      [id, set, told, rowIds.at(-1) ?? ""],
    );
  }
}

/** Of some rows, those that are there, for the app or in the base. */
export async function rowsThere(
  db: SqliteConnection,
  table: SyncedTable,
  rowIds: readonly string[],
): Promise<string[]> {
  const sql = `SELECT EXISTS (SELECT 1 FROM ${quoteName(table.name)} WHERE ${keyWhere(table)})
    OR EXISTS (SELECT 1 FROM _lakesync_base WHERE tbl = ? AND row_id = ? AND present = 1)`;
  const there: string[] = [];
  for (const rowId of rowIds) {
    const [row] = await db.values(sql, [...keyCells(table, rowId), table.id, rowId]);
    if (row?.[0] === 1) there.push(rowId);
  }
  return there;
}
