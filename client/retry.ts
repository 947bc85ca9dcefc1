/**
 * Issuing the writes of a refused transaction again.
 *
 * @module
 */

import { LakeSyncError, type Value } from "@lakesync/core";
import type { SqlValue } from "./database/driver.ts";
import { issuedCell, layersOf } from "./lay_cell.ts";
import { type PlacedColumn, placedTable, type SyncedTable } from "./layout.ts";
import { OutboxReader } from "./outbox.ts";
import { type DeadChange, DISMISS, readDeadChanges } from "./refusals.ts";
import { deleteSql, keyCells, keyWhere, upsertSql } from "./rows.ts";
import type { Transacted } from "./app_sql.ts";
import type { Session } from "./session.ts";
import { quoteName } from "./sql.ts";

/** How many changes are read in one go. */
const STEP = 1_000;

/** What a row has in some columns; NULL when it is not there, or when the last write wins anyway. */
async function cellsOf(
  tx: Transacted,
  table: SyncedTable,
  columns: readonly PlacedColumn[],
  key: readonly SqlValue[],
): Promise<SqlValue[]> {
  if (columns.length === 0 || layersOf(table) === undefined) return columns.map(() => null);
  const names = columns.map(({ name }, i) => `${quoteName(name)} AS c${i}`);
  const [row] = await tx.query(
    `SELECT ${names.join(", ")} FROM ${quoteName(table.name)} WHERE ${keyWhere(table)}`,
    key,
  );
  return columns.map((_, i) => row?.[`c${i}`] ?? null);
}

async function issue(
  tx: Transacted,
  session: Session,
  change: DeadChange,
): Promise<void> {
  const table = placedTable(session.layout, change.table);
  const key = keyCells(table, change.rowId);
  if (change.op === "DELETE") {
    await tx.exec(deleteSql(table), key);
    return;
  }
  const columns = table.columns.filter(({ name }) => change.columns[name] !== undefined);
  const there = await cellsOf(tx, table, columns, key);
  const cells = columns.map((column, i) =>
    issuedCell(table, column, change.op, change.columns[column.name] as Value, there[i] ?? null)
  );
  if (change.op === "INSERT") {
    await tx.exec(upsertSql(table, columns), [...key, ...cells]);
    return;
  }
  if (columns.length === 0) return;
  const set = columns.map(({ name }) => `${quoteName(name)} = ?`).join(", ");
  await tx.exec(
    `UPDATE ${quoteName(table.name)} SET ${set} WHERE ${keyWhere(table)}`,
    [...cells, ...key],
  );
}

/**
 * Issues the writes of a dead letter again and dismisses it.
 *
 * @param tx the transaction to do it in
 * @param session the database
 * @param id the letter
 * @param edit changes each write, or leaves it out
 * @throws {LakeSyncError} `NOT_FOUND` when there is none of that id
 */
export async function issueAgain(
  tx: Transacted,
  session: Session,
  id: number,
  edit: (change: DeadChange) => DeadChange | undefined,
): Promise<void> {
  const { writer, layout } = session;
  const reader = new OutboxReader(layout);
  const [found] = await tx.query(
    "SELECT id FROM _lakesync_dead WHERE id = ? AND NOT dismissed",
    [id],
  );
  if (found === undefined) {
    throw new LakeSyncError("NOT_FOUND", `There is no dead letter ${id}`);
  }
  let after = 0;
  while (true) {
    const changes = await readDeadChanges(writer, reader, id, after, STEP);
    if (changes.length === 0) break;
    for (const { n, change } of changes) {
      after = n;
      const edited = edit(change);
      if (edited !== undefined) await issue(tx, session, edited);
    }
  }
  await tx.exec(DISMISS, [id]);
}
