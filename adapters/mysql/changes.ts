/**
 * The statements of the change table.
 *
 * @module
 */

import type { Value } from "@lakesync/core";
import type { NumberedChange } from "../database/backend.ts";
import { UNSETTLED } from "../database/images.ts";
import { toStoredValue } from "../database/stored_value.ts";
import { keyChunks, writeChunks } from "./chunks.ts";
import type { Session } from "./client.ts";
import { integerOrNull, text, time } from "./literals.ts";
import { DELTAS, STATE } from "./names.ts";

/** The last time that MySQL knows. */
const MAX_MS = Date.UTC(9999, 11, 31);

const BEFORE = `INSERT INTO ${DELTAS} (seq, slice, n, delta_id, committed_at, op, table_name, ` +
  `table_id, row_id, columns, hlc, client_id, mutation_id, schema_version) VALUES`;
/** Leaves a change alone that is there already, and hides no other failure as IGNORE would. */
const AFTER = "ON DUPLICATE KEY UPDATE delta_id = VALUES(delta_id)";

/**
 * Adds changes; those that are there already are left out.
 *
 * @param session where
 * @param changes the changes
 * @param isRefilled whether the table may hold changes of a history that was given up, so that one
 * may come again with another time
 */
export async function insertChanges(
  session: Session,
  changes: readonly NumberedChange[],
  isRefilled: boolean,
): Promise<void> {
  const there = isRefilled ? await thereAlready(session, changes) : new Set<string>();
  const fresh = there.size === 0 ? changes : changes.filter(({ deltaId }) => !there.has(deltaId));
  const times = new Map<number, string>();
  const timeOf = (ms: number) => {
    let text = times.get(ms);
    if (text === undefined) times.set(ms, text = time(ms));
    return text;
  };
  const tupleOf = (change: NumberedChange) => {
    const { seq, slice, n, deltaId, committedMs, op, table, effect, unsettles, rowId } = change;
    const { columns, hlc, clientId, mutationId, schemaVersion } = change;
    return `(${seq},${slice},${n},x'${deltaId}',${timeOf(committedMs)},${text(op)},` +
      `${text(table)},${integerOrNull((effect?.key ?? unsettles)?.table)},${text(rowId)},` +
      `${text(columnsText(columns))},${hlc},${text(clientId)},${mutationId},${schemaVersion})`;
  };
  await writeChunks(session, BEFORE, fresh, tupleOf, AFTER);
}

async function thereAlready(
  session: Session,
  changes: readonly NumberedChange[],
): Promise<ReadonlySet<string>> {
  const there = new Set<string>();
  for (const part of keyChunks(changes)) {
    const ids = part.map(({ deltaId }) => `x'${deltaId}'`).join(",");
    const rows = await session.run(
      `SELECT HEX(delta_id) FROM ${DELTAS} FORCE INDEX (lakesync_deltas_id) ` +
        `WHERE delta_id IN (${ids})`,
    );
    for (const [id] of rows) there.add(String(id).toLowerCase());
  }
  return there;
}

/**
 * Removes all changes after a commit and unsettles what they touched and what is newer.
 *
 * @param session where
 * @param afterSeq the commit
 * @param generation the destination's generation
 */
export async function giveUpChanges(
  session: Session,
  afterSeq: number,
  generation: number,
): Promise<void> {
  await session.run(
    `INSERT INTO ${STATE} (table_id, row_id, is_visible, cells, seq, committed_ms, settled) ` +
      `SELECT DISTINCT table_id, row_id, 0, '[]', 0, 0, ${UNSETTLED} ` +
      `FROM ${DELTAS} FORCE INDEX (PRIMARY) WHERE seq > ${afterSeq} AND table_id IS NOT NULL ` +
      `ON DUPLICATE KEY UPDATE settled = ${UNSETTLED}`,
  );
  for (const isVisible of [0, 1]) {
    await session.run(
      `UPDATE ${STATE} FORCE INDEX (lakesync_state_settled) SET settled = ${UNSETTLED} ` +
        `WHERE settled = ${generation} AND is_visible = ${isVisible} AND seq > ${afterSeq}`,
    );
  }
  await session.run(`DELETE FROM ${DELTAS} WHERE seq > ${afterSeq}`);
}

/** Removes some of the oldest changes. */
export async function forgetChanges(
  session: Session,
  committedBeforeMs: number,
  throughSeq: number,
  limit: number,
): Promise<{ readonly seq: number; readonly isMore: boolean }> {
  const beforeMs = Math.min(Math.max(Math.ceil(committedBeforeMs), 0), MAX_MS);
  const oldest = await session.run(
    `SELECT seq, slice, n, committed_at < ${time(beforeMs)} FROM ${DELTAS} ` +
      `FORCE INDEX (PRIMARY) ORDER BY seq, slice, n LIMIT ${limit + 1}`,
  );
  const end = oldest.findIndex(([seq, , , isOld]) => Number(seq) > throughSeq || isOld !== 1);
  const count = end < 0 ? oldest.length : end;
  const last = oldest[Math.min(count, limit) - 1];
  if (last === undefined) return { seq: 0, isMore: false };
  const [seq, slice, n] = last.map(Number);
  await session.run(
    `DELETE FROM ${DELTAS} WHERE seq < ${seq} OR (seq = ${seq} AND slice < ${slice}) ` +
      `OR (seq = ${seq} AND slice = ${slice} AND n <= ${n})`,
  );
  return { seq: seq ?? 0, isMore: count > limit };
}

function columnsText(columns: Readonly<Record<string, Value>>): string {
  let json = "{";
  for (const [name, value] of Object.entries(columns)) {
    if (json.length > 1) json += ",";
    json += `${JSON.stringify(name)}:${JSON.stringify(toStoredValue(value))}`;
  }
  return json + "}";
}
