/**
 * Changes and rows of several adapters as those of one, in order.
 *
 * @module
 */

import type {
  DatabaseAdapter,
  DeltaPage,
  DestinationKey,
  LatestState,
  Place,
  StoredChange,
} from "../adapter.ts";
import { compareKeys, comparePlaces } from "../place.ts";

/**
 * One page of the pages of several. Changes of one slice are in the order of their stamps, since
 * nobody knows how they stood among those of another adapter.
 *
 * @param pages a page of each, after the same place
 * @param through where all of them stand
 * @param limit so many changes at most; whole slices
 */
export function mergePages(
  pages: readonly DeltaPage[],
  through: Place,
  limit: number,
): DeltaPage {
  const isTrimmed = pages.some((page) => page.isTrimmed);
  const ends = pages.flatMap(({ changes, isComplete }): readonly Place[] =>
    isComplete ? [] : changes.slice(-1)
  );
  const end = [through, ...ends].reduce((a, b) => comparePlaces(b, a) < 0 ? b : a);
  const known = pages.flatMap(({ changes }) => changes.filter((one) => !isAfter(one, end)));
  const sorted = known.toSorted(compareChanges);
  const last = sorted[limit - 1];
  const changes = last === undefined ? sorted : sorted.filter((one) => !isAfter(one, last));
  const isEnd = ends.every((place) => comparePlaces(place, through) >= 0);
  return { changes, isComplete: changes.length === sorted.length && isEnd, isTrimmed };
}

function isAfter(place: Place, other: Place): boolean {
  return comparePlaces(place, other) > 0;
}

function compareChanges(a: StoredChange, b: StoredChange): number {
  return comparePlaces(a, b) || (a.hlc < b.hlc ? -1 : a.hlc > b.hlc ? 1 : 0);
}

/**
 * A page of the rows of an adapter that are its own.
 *
 * @param child the adapter
 * @param after rows after this one
 * @param limit so many at most
 * @param isOwn whether rows of a table count
 * @returns fewer than the limit at the end
 */
export async function scanOwn(
  child: DatabaseAdapter,
  after: DestinationKey | undefined,
  limit: number,
  isOwn: (table: number) => boolean,
): Promise<readonly LatestState[]> {
  const rows: LatestState[] = [];
  let from = after;
  for (;;) {
    const page = await child.scanState(from, limit);
    rows.push(...page.filter(({ key }) => isOwn(key.table)));
    const last = page.at(-1);
    if (rows.length >= limit || page.length < limit || last === undefined) {
      return rows.slice(0, limit);
    }
    // A table that is not its own is passed over whole: no rowId is empty.
    from = isOwn(last.key.table) ? last.key : { table: last.key.table + 1, rowId: "" };
  }
}

/**
 * One page of the pages of several.
 *
 * @param pages a page of each, after the same row
 * @param limit so many rows at most
 */
export function mergeRows(
  pages: readonly (readonly LatestState[])[],
  limit: number,
): readonly LatestState[] {
  return pages.flat().sort((a, b) => compareKeys(a.key, b.key)).slice(0, limit);
}
