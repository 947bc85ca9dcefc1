/**
 * The statements of the state table, and of what stands beside it: problems and kept `props`.
 *
 * @module
 */

import type { DestinationKey } from "../adapter.ts";
import type { JudgedRow, Leftovers, OldRows, StoredProblem } from "../database/backend.ts";
import { compareKeys } from "../place.ts";
import type { StoredRow } from "../database/images.ts";
import { encodeCells } from "../database/stored_cells.ts";
import { keyChunks, writeChunks } from "./chunks.ts";
import type { Session } from "./client.ts";
import { integerOrNull, text, textOrNull, time } from "./literals.ts";
import { KEPT_PROPS, PROBLEMS, STATE } from "./names.ts";
import { keyCondition, STATE_COLUMNS, storedRow } from "./reading.ts";

/** A problem, or that there is none any more. */
export type ProblemEntry = readonly [key: DestinationKey, problem: StoredProblem | undefined];

const BEFORE = `INSERT INTO ${STATE} (table_id, row_id, is_visible, cells, seq, committed_ms, ` +
  `settled) VALUES`;
const AFTER = "ON DUPLICATE KEY UPDATE is_visible = VALUES(is_visible), cells = VALUES(cells), " +
  "seq = VALUES(seq), committed_ms = VALUES(committed_ms), settled = VALUES(settled)";

/** Keys of one table at a time, as many as can be looked up at once. */
export function* keysByTable(
  keys: readonly DestinationKey[],
): Generator<readonly [table: number, rowIds: readonly string[]]> {
  const byTable = new Map<number, string[]>();
  for (const { table, rowId } of keys) {
    const rowIds = byTable.get(table);
    if (rowIds === undefined) byTable.set(table, [rowId]);
    else rowIds.push(rowId);
  }
  for (const [table, rowIds] of byTable) {
    for (const part of keyChunks(rowIds)) yield [table, part];
  }
}

/**
 * Reads rows by their keys.
 *
 * @param session where
 * @param keys the rows
 * @param condition what must be true of them besides
 */
export async function readRows(
  session: Session,
  keys: readonly DestinationKey[],
  condition: string = "1 = 1",
): Promise<readonly StoredRow[]> {
  const found: StoredRow[] = [];
  for (const [table, rowIds] of keysByTable(keys)) {
    const rows = await session.run(
      `SELECT ${STATE_COLUMNS} FROM ${STATE} s FORCE INDEX (PRIMARY) ` +
        `WHERE ${keyCondition("s", table, rowIds)} AND ${condition}`,
    );
    for (const row of rows) found.push(storedRow(row));
  }
  return found;
}

/** Reads the rows of a table that readers see, in the order of their ids. */
export async function readTable(
  session: Session,
  table: number,
  afterRowId: string,
  limit: number,
): Promise<readonly StoredRow[]> {
  const rows = await session.run(
    `SELECT ${STATE_COLUMNS} FROM ${STATE} s FORCE INDEX (PRIMARY) WHERE s.table_id = ${table} ` +
      `AND s.row_id > ${text(afterRowId)} AND s.is_visible = 1 ORDER BY s.row_id LIMIT ${limit}`,
  );
  return rows.map(storedRow);
}

/** Writes rows. */
export async function putRows(session: Session, rows: readonly JudgedRow[]): Promise<void> {
  const tupleOf = ({ key, isVisible, cells, seq, committedMs, settled }: JudgedRow) =>
    `(${key.table},${text(key.rowId)},${isVisible ? 1 : 0},${text(encodeCells(cells))},${seq},` +
    `${committedMs},${settled})`;
  await writeChunks(session, BEFORE, rows, tupleOf, AFTER);
}

/** Removes what is kept of rows in one of LakeSync's own tables. */
export async function deleteFrom(
  session: Session,
  own: string,
  keys: readonly DestinationKey[],
): Promise<void> {
  for (const [table, rowIds] of keysByTable(keys)) {
    await session.run(`DELETE FROM ${own} WHERE ${keyCondition(own, table, rowIds)}`);
  }
}

/** Whether one of LakeSync's own tables is empty. */
export async function isEmpty(session: Session, own: string): Promise<boolean> {
  return (await session.run(`SELECT table_id FROM ${own} FORCE INDEX (PRIMARY) LIMIT 1`))
    .length === 0;
}

/** Finds old settled rows, the oldest commits first. */
export async function oldRows(
  session: Session,
  { throughSeq, hiddenOnly, after }: OldRows,
  generation: number,
  limit: number,
): Promise<readonly StoredRow[]> {
  const { seq, key } = after ?? { seq: -1, key: { table: -1, rowId: "" } };
  const isAfter = `(s.seq > ${seq} OR (s.seq = ${seq} AND (s.table_id > ${key.table} ` +
    `OR (s.table_id = ${key.table} AND s.row_id > ${text(key.rowId)}))))`;
  const found: StoredRow[] = [];
  for (const isVisible of hiddenOnly ? [0] : [0, 1]) {
    const rows = await session.run(
      `SELECT ${STATE_COLUMNS} FROM ${STATE} s FORCE INDEX (lakesync_state_settled) ` +
        `WHERE s.settled = ${generation} AND s.is_visible = ${isVisible} ` +
        `AND s.seq BETWEEN ${seq} AND ${throughSeq} AND ${isAfter} ` +
        `ORDER BY s.seq, s.table_id, s.row_id LIMIT ${limit}`,
    );
    for (const row of rows) found.push(storedRow(row));
  }
  found.sort((a, b) => a.seq - b.seq || compareKeys(a.key, b.key));
  return found.slice(0, limit);
}

/** Tells what of earlier flushes there is to look after. */
export async function leftovers(session: Session): Promise<Leftovers> {
  const idsOf = async (statement: string) =>
    new Set((await session.run(statement)).map(([id]) => Number(id)));
  return {
    waitedFor: await idsOf(
      `SELECT DISTINCT waits_table FROM ${PROBLEMS} FORCE INDEX (lakesync_problems_waits) ` +
        `WHERE waits_table IS NOT NULL`,
    ),
    keptProps: await idsOf(`SELECT DISTINCT table_id FROM ${KEPT_PROPS} FORCE INDEX (PRIMARY)`),
  };
}

/** Notes what is wrong with rows, or that nothing is any more. */
export async function putProblems(
  session: Session,
  problems: readonly ProblemEntry[],
): Promise<void> {
  const there = problems.flatMap(([key, problem]) =>
    problem === undefined ? [] : [{ key, problem }]
  );
  const gone = problems.filter(([, problem]) => problem === undefined).map(([key]) => key);
  if (gone.length > 0) await deleteFrom(session, PROBLEMS, gone);
  await writeChunks(
    session,
    `INSERT INTO ${PROBLEMS} (table_id, row_id, kind, reason, code, seq, found_at, waits_table, ` +
      `waits_row) VALUES`,
    there,
    ({ key, problem: { kind, reason, code, seq, atMs, waitsFor } }) =>
      `(${key.table},${text(key.rowId)},${text(kind)},${text(reason)},${textOrNull(code)},${seq},` +
      `${time(atMs)},${integerOrNull(waitsFor?.table)},${textOrNull(waitsFor?.rowId)})`,
    "ON DUPLICATE KEY UPDATE kind = VALUES(kind), reason = VALUES(reason), code = VALUES(code), " +
      "seq = VALUES(seq), found_at = VALUES(found_at), waits_table = VALUES(waits_table), " +
      "waits_row = VALUES(waits_row)",
  );
}

/** Finds parked rows that wait for one of some rows. */
export async function waitingFor(
  session: Session,
  parents: readonly DestinationKey[],
  limit: number,
): Promise<readonly StoredRow[]> {
  const found: StoredRow[] = [];
  for (const [table, rowIds] of keysByTable(parents)) {
    if (found.length >= limit) break;
    const rows = await session.run(
      `SELECT STRAIGHT_JOIN ${STATE_COLUMNS} FROM ${PROBLEMS} p ` +
        `FORCE INDEX (lakesync_problems_waits) JOIN ${STATE} s FORCE INDEX (PRIMARY) ` +
        `ON s.table_id = p.table_id AND s.row_id = p.row_id WHERE p.waits_table = ${table} ` +
        `AND p.waits_row IN (${rowIds.map(text).join(",")}) LIMIT ${limit - found.length}`,
    );
    for (const row of rows) found.push(storedRow(row));
  }
  return found;
}
