/**
 * Where several adapters stand together that each keep a position of their own, and what of a batch
 * is for one of them. Pure functions.
 *
 * @module
 */

import type { Change, FlushBatch, FlushPosition, Place } from "../adapter.ts";
import { partedAfter, positionAt } from "../flush/resume.ts";
import { comparePlaces } from "../place.ts";

/**
 * The position that adapters have in common: that of the one furthest behind, or where their
 * histories parted when one of them was not yet told that the gateway lost the end of its own.
 *
 * It has the writer that all have; when they differ it is nobody's name, so that each flusher claims
 * all of them. While some are filled from rows and do not stand at the same row, the walk begins
 * again.
 *
 * @param positions where each stands
 * @returns with how far the others are ahead; undefined while one of them is new
 */
export function commonPosition(
  positions: readonly (FlushPosition | undefined)[],
): FlushPosition | undefined {
  const known = positions.filter((position) => position !== undefined);
  const [behind, ...others] = known.toSorted(comparePlaces);
  if (behind === undefined || known.length < positions.length) return undefined;
  const writers = [...new Set(known.map(({ writer }) => writer))].sort();
  const parted = Math.min(behind.seq, ...others.map(({ lives }) => partedAfter(lives, behind)));
  const place = parted < behind.seq ? { seq: parted } : behind;
  const floors = known
    .filter(({ seq, floor = 0 }) => floor > seq || floor <= place.seq)
    .flatMap(({ floor }) => floor ?? []);
  const floor = floors.length === 0 ? undefined : Math.max(...floors);
  const filled = commonFilled(known);
  const ahead = known
    .flatMap(({ seq, lives, ahead = [] }) => [{ seq, lives }, ...ahead])
    .filter(({ seq }) => seq > place.seq);
  return {
    ...positionAt(behind.lives, place, writers.join("+")),
    ...(ahead.length === 0 ? {} : { ahead }),
    ...(filled === undefined ? {} : { filled }),
    ...(floor === undefined ? {} : { floor }),
  };
}

function commonFilled(positions: readonly FlushPosition[]): string | undefined {
  const places = new Set(positions.map(({ filled }) => filled));
  return places.size === 1 ? positions[0]?.filled : "";
}

/**
 * Where one of several is moved to: what it alone lacks is not made good by a move of all.
 *
 * @param to where all are moved to
 * @param own where it stands
 * @param from where all stand
 */
export function keepingFloor(
  to: FlushPosition,
  own: FlushPosition | undefined,
  from: FlushPosition | undefined,
): FlushPosition {
  const { ahead: _, ...place } = to;
  const floor = own?.floor ?? 0;
  return floor > Math.max(from?.floor ?? 0, to.floor ?? 0) ? { ...place, floor } : place;
}

/**
 * Whether one of several stands at a place or after it, or has parts of its own that do.
 *
 * @param own where it stands
 * @param place the place
 */
export function reaches({ ahead = [], ...own }: FlushPosition, place: Place): boolean {
  return comparePlaces(own, place) >= 0 || ahead.some(({ seq }) => seq > place.seq);
}

/**
 * To where one has to go back before a batch that is for all, since it is ahead on a history that was
 * lost, or since rows are filled, which are not newer than where all stand.
 *
 * @param own where it stands
 * @param batch the batch, from where all stand
 * @returns undefined when it stands well
 */
export function backBefore(
  own: FlushPosition,
  { from, to }: Pick<FlushBatch, "from" | "to">,
): FlushPosition | undefined {
  const parted = partedAfter(to.lives, own);
  if (parted < own.seq && parted < to.seq) {
    return keepingFloor(positionAt(to.lives, { seq: parted }, to.writer), own, undefined);
  }
  if (from?.filled === undefined || comparePlaces(own, from) <= 0) return undefined;
  const seq = from.slice === undefined ? from.seq : from.seq - 1;
  const back = positionAt(own.lives, { seq }, to.writer);
  const { filled } = own;
  return keepingFloor(filled === undefined ? back : { ...back, filled }, own, undefined);
}

/**
 * What of a batch one of several is to write.
 *
 * @param own where it stands
 * @param batch the batch, from where all stand
 * @param isOwn whether a table's number is one of its own
 * @param isOwnChange whether a change is for it
 * @returns undefined when it has everything already
 */
export function shareOf(
  own: FlushPosition | undefined,
  batch: FlushBatch,
  isOwn: (table: number) => boolean,
  isOwnChange: (change: Change) => boolean,
): FlushBatch | undefined {
  const { from, to, rows, changes, isWhole } = batch;
  const isAhead = own !== undefined && (from === undefined || comparePlaces(own, from) > 0);
  if (isAhead && comparePlaces(own, to) >= 0) {
    return claimOf(own, to.writer);
  }
  return {
    from: own,
    to: keepingFloor(to, own, from),
    rows: rows.filter(({ key }) => isOwn(key.table)),
    changes: changes.filter((change) =>
      isOwnChange(change) && (!isAhead || comparePlaces(change, own) > 0)
    ),
    isWhole,
  };
}

/**
 * The write that puts a flusher's name into a position.
 *
 * @param own the position
 * @param writer the name
 * @returns undefined when it is there already
 */
export function claimOf(own: FlushPosition, writer: string): FlushBatch | undefined {
  if (own.writer === writer) return undefined;
  const { ahead: _, ...to } = { ...own, writer };
  return { from: own, to, rows: [], changes: [], isWhole: own.slice === undefined };
}
