/**
 * Forgets what is old, a bounded piece at a time. Rows that others reference stay until those have
 * gone.
 *
 * @module
 */

import type { DestinationKey, Forget } from "../adapter.ts";
import type { OldRows, SqlBackend, SqlTransaction } from "./backend.ts";
import { Family } from "./family.ts";
import type { StoredRow } from "./images.ts";
import { byTableOf } from "./projection.ts";
import { KeyMap } from "./row_keys.ts";

/** So many changes and so many rows are forgotten at once, at most. */
const AT_ONCE = 1_000;

/** So often rows that must stay are passed over in one call. */
const PAGES = 10;

/**
 * Forgets a piece.
 *
 * @param what up to when and where
 * @param backend the database
 * @returns whether there is more to forget
 */
export async function forgetOld(what: Forget, backend: SqlBackend): Promise<boolean> {
  const { committedBeforeMs, throughSeq } = what;
  const layouts = await backend.layouts();
  const family = layouts && new Family(layouts, backend);
  return await backend.transact(async (transaction) => {
    const stored = await transaction.lockPosition();
    const changes = await transaction.forgetChanges(committedBeforeMs, throughSeq, AT_ONCE);
    let forgottenSeq = Math.max(stored.forgottenSeq, changes.seq);
    const gone = await forgetRows(what, transaction, family);
    for (const { seq } of gone.rows) forgottenSeq = Math.max(forgottenSeq, seq);
    if (forgottenSeq > stored.forgottenSeq) {
      await transaction.putPosition({ ...stored, forgottenSeq });
    }
    return changes.isMore || gone.isMore;
  });
}

async function forgetRows(
  { committedBeforeMs, throughSeq, rows: all }: Forget,
  transaction: SqlTransaction,
  family: Family | undefined,
): Promise<{ readonly rows: readonly StoredRow[]; readonly isMore: boolean }> {
  let after: OldRows["after"];
  for (let page = 0; page < PAGES; page++) {
    const found = await transaction.oldRows({ throughSeq, hiddenOnly: !all, after }, AT_ONCE);
    const old = found.filter(({ committedMs }) => committedMs < committedBeforeMs);
    const rows = await free(old, transaction, family);
    const last = found.at(-1);
    // Commits come in the order of time, so behind one that is young there is little that is old.
    const isEnd = last === undefined || found.length < AT_ONCE ||
      last.committedMs >= committedBeforeMs;
    if (rows.length > 0) {
      await remove(rows, transaction, family);
      return { rows, isMore: !isEnd || rows.length < old.length };
    }
    if (isEnd) break;
    after = { seq: last.seq, key: last.key };
  }
  return { rows: [], isMore: false };
}

/** Those of some rows that no row references which stays. */
async function free(
  rows: readonly StoredRow[],
  transaction: SqlTransaction,
  family: Family | undefined,
): Promise<readonly StoredRow[]> {
  if (family === undefined) return rows;
  const going = new KeyMap<StoredRow>();
  for (const row of rows) going.set(row.key, row);
  for (;;) {
    const held = new KeyMap<true>();
    for (const [table, rowIds] of byTableOf(going.keys())) {
      const parent = family.tables.get(table);
      for (const reference of parent === undefined ? [] : family.childrenOf(table)) {
        const child = family.tables.get(reference.child);
        if (child === undefined || parent === undefined) continue;
        for (
          const { rowId, parentRowId } of await transaction.children(
            reference,
            child,
            parent,
            rowIds,
          )
        ) {
          if (!going.has({ table: reference.child, rowId })) {
            held.set({ table, rowId: parentRowId }, true);
          }
        }
      }
    }
    if (held.size === 0) return going.values();
    for (const key of held.keys()) going.delete(key);
  }
}

async function remove(
  rows: readonly StoredRow[],
  transaction: SqlTransaction,
  family: Family | undefined,
): Promise<void> {
  const keys: readonly DestinationKey[] = rows.map(({ key }) => key);
  const byTable = byTableOf(keys);
  const circular = family?.groups.some((group) => family.isCircular(group));
  if (circular) await transaction.deferReferences();
  for (const id of family?.groups.flat().toReversed() ?? []) {
    const layout = family?.tables.get(id);
    const rowIds = byTable.get(id);
    if (layout !== undefined && rowIds !== undefined) await transaction.remove(layout, rowIds);
  }
  await transaction.deleteRows(keys);
  if (circular) await transaction.checkReferences();
}
