/**
 * Rows that come back: a change that touches some cells of a row that was forgotten needs the others.
 *
 * @module
 */

import type { DatabaseAdapter, DestinationKey, FlushBatch, RowEffect } from "../adapter.ts";
import { nameOfKey } from "../place.ts";

/**
 * Adds to a batch the rows that it touches and the hot adapter has forgotten, as the cold one has
 * them: nothing has changed them since.
 *
 * @param hot what the batch is for
 * @param cold what holds the rows
 * @param batch the batch
 */
export async function withForgottenRows(
  hot: DatabaseAdapter,
  cold: DatabaseAdapter,
  batch: FlushBatch,
): Promise<FlushBatch> {
  const keys = touched(batch);
  if (keys.length === 0 || await hot.forgottenSeq() === 0) return batch;
  const known = await hot.getLatestState(keys);
  const missing = keys.filter((_, i) => known[i] === undefined);
  if (missing.length === 0) return batch;
  const rows = (await cold.getLatestState(missing)).flatMap((row): readonly RowEffect[] => {
    if (row === undefined) return [];
    const { key, isVisible, cells } = row;
    return [{ key, isVisible, cells, replaces: true }];
  });
  return rows.length === 0 ? batch : { ...batch, rows: [...batch.rows, ...rows] };
}

/** Rows whose first effect in a batch leaves cells as they are. */
function touched({ rows, changes }: FlushBatch): readonly DestinationKey[] {
  const isWhole = new Map<string, boolean>(rows.map(({ key }) => [nameOfKey(key), true]));
  const keys: DestinationKey[] = [];
  for (const { effect, unsettles } of changes) {
    const key = effect?.key ?? unsettles;
    if (key === undefined || isWhole.has(nameOfKey(key))) continue;
    isWhole.set(nameOfKey(key), effect?.replaces === true);
    if (effect?.replaces !== true) keys.push(key);
  }
  return keys;
}
