/**
 * A gateway that was restored from a backup has forgotten writes that the base here contained.
 *
 * @module
 */

import { rowIdSql } from "./capture.ts";
import type { SqliteConnection } from "./database/driver.ts";
import type { Layout } from "./layout.ts";
import { CHUNK, groupRows, Overlay } from "./overlay.ts";
import { quoteName } from "./sql.ts";

/**
 * Makes writes pending again that the base contained: their rows' versions in the app's tables
 * become their base, and the writes are laid over it. Used when a gateway forgot them.
 *
 * @param db the writer, in a transaction with capture off
 * @param layout where columns are kept
 * @param after the outbox number through which the base still contains this client's writes
 * @param through the number through which it did
 * @param pause awaited between two steps
 */
export async function makePendingAgain(
  db: SqliteConnection,
  layout: Layout,
  after: number,
  through: number,
  pause: () => Promise<void>,
): Promise<void> {
  for (const table of layout.byName.values()) {
    const keys = table.table.primaryKey.map(({ name }) => quoteName(name));
    const rowId = rowIdSql(table, keys);
    const names = table.columns.map(({ position }) => `, v${position}`).join("");
    const values = table.columns.map(({ name }) => `, ${quoteName(name)}`).join(
      "",
    );
    await db.run(
      `INSERT INTO _lakesync_base (tbl, row_id, present${names})
       SELECT ?1, ${rowId}, 1${values} FROM ${quoteName(table.name)}
       WHERE ${rowId} IN (SELECT row_id FROM _lakesync_outbox WHERE tbl = ?1 AND n > ?2 AND n <= ?3)
         AND NOT EXISTS (SELECT 1 FROM _lakesync_base WHERE tbl = ?1 AND row_id = ${rowId})
         AND NOT EXISTS (SELECT 1 FROM _lakesync_outbox
           WHERE tbl = ?1 AND row_id = ${rowId} AND n > ?3)`,
      [table.id, after, through],
    );
    await pause();
  }
  const overlay = new Overlay(db, layout);
  for (let from = after; from < through;) {
    const rows = await db.values(
      `SELECT n, tbl, row_id FROM _lakesync_outbox WHERE n > ? AND n <= ? ORDER BY n LIMIT ${CHUNK}`,
      [from, through],
    );
    if (rows.length === 0) return;
    from = Number(rows.at(-1)?.[0]);
    for (const [table, rowIds] of groupRows(layout, rows)) {
      await overlay.show(table, rowIds, after);
    }
    await pause();
  }
}
