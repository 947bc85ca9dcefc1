/**
 * What two adapters hold as that of one: the hot one has what is young, the cold one everything that
 * has arrived there.
 *
 * @module
 */

import type { DatabaseAdapter, DeltaPage, DestinationKey, LatestState, Place } from "../adapter.ts";
import { compareKeys, nameOfKey } from "../place.ts";

/** How often a page is read again since the hot one forgot something meanwhile. */
const TRIES = 5;

/**
 * Changes: from the cold one as far as the hot one has forgotten, then from the hot one.
 *
 * @param hot has what is young
 * @param cold has the rest
 * @param after those after this place
 * @param limit so many at most; whole slices
 */
export async function changesOfBoth(
  hot: DatabaseAdapter,
  cold: DatabaseAdapter,
  after: Place,
  limit: number,
): Promise<DeltaPage> {
  for (let i = 0;; i++) {
    const young = await hot.queryDeltasSince(after, limit);
    if (!young.isTrimmed) return young;
    const forgotten = await hot.forgottenSeq();
    const page = await cold.queryDeltasSince(after, limit);
    const old = page.changes.filter(({ seq }) => seq <= forgotten);
    const isAll = page.isComplete || old.length < page.changes.length;
    if (!isAll || old.length >= limit) {
      return { changes: old, isComplete: false, isTrimmed: page.isTrimmed };
    }
    const rest = await hot.queryDeltasSince({ seq: forgotten }, limit - old.length);
    if (rest.isTrimmed && i < TRIES) continue;
    return {
      changes: [...old, ...rest.changes],
      isComplete: rest.isComplete,
      isTrimmed: page.isTrimmed || rest.isTrimmed,
    };
  }
}

/**
 * Rows: as the hot one has them, those that it has forgotten as the cold one has them.
 *
 * @param hot has what is young
 * @param cold has the rest
 * @param keys which
 */
export async function rowsOfBoth(
  hot: DatabaseAdapter,
  cold: DatabaseAdapter,
  keys: readonly DestinationKey[],
): Promise<readonly (LatestState | undefined)[]> {
  const young = await hot.getLatestState(keys);
  const missing = keys.filter((_, i) => young[i] === undefined);
  if (missing.length === 0 || await hot.forgottenSeq() === 0) return young;
  const old = await cold.getLatestState(missing);
  const byName = new Map(missing.map((key, i) => [nameOfKey(key), old[i]]));
  return keys.map((key, i) => young[i] ?? byName.get(nameOfKey(key)));
}

/**
 * A page of all rows, in order.
 *
 * @param hot has what is young
 * @param cold has the rest
 * @param after rows after this one
 * @param limit so many at most
 */
export async function scanBoth(
  hot: DatabaseAdapter,
  cold: DatabaseAdapter,
  after: DestinationKey | undefined,
  limit: number,
): Promise<readonly LatestState[]> {
  const young = await hot.scanState(after, limit);
  if (await hot.forgottenSeq() === 0) return young;
  const old = await cold.scanState(after, limit);
  const rows = new Map([...old, ...young].map((row) => [nameOfKey(row.key), row]));
  // A row that was forgotten between the two readings is among the old ones; one that came back is
  // as it was.
  return [...rows.values()].sort((a, b) => compareKeys(a.key, b.key)).slice(0, limit);
}
