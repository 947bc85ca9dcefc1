/**
 * From where a flush goes on: after the destination's position, or, when that is of a history the
 * gateway no longer has, from where the two parted. Pure functions.
 *
 * @module
 */

import type { FlushPosition, Place, PositionLife } from "../adapter.ts";

/** So many lives are kept with a position: the first, which names the gateway, and the last. */
const KEPT_LIVES = 32;

/**
 * The position of a place in a history.
 *
 * @param lives the lives of the history, oldest first
 * @param place the place
 * @param writer the flusher that moves a destination there
 */
export function positionAt(
  lives: readonly PositionLife[],
  { seq, slice }: Place,
  writer: string,
): FlushPosition {
  const known = lives.filter(({ fromSeq }, i) => i === 0 || fromSeq < seq);
  return {
    seq,
    ...(slice === undefined ? {} : { slice }),
    lives: known.length > KEPT_LIVES
      ? [...known.slice(0, 1), ...known.slice(1 - KEPT_LIVES)]
      : known,
    writer,
  };
}

/**
 * Finds the last seq that a history and the one of a position have in common. A life is known by its
 * id and its beginning: one that the list had forgotten may begin again.
 *
 * @param lives the lives of the history, oldest first
 * @param position a position, in this history or in another
 * @returns a seq at or before the position's; 0 when they have no life in common. The position's own
 * when the lives do not reach back to it, since then nothing speaks against it
 */
export function partedAfter(
  lives: readonly PositionLife[],
  { seq, lives: theirs }: Pick<FlushPosition, "seq" | "lives">,
): number {
  if ((lives[0]?.fromSeq ?? 0) >= seq) return seq;
  for (let i = theirs.length - 1; i >= 0; i--) {
    const at = lives.findIndex(({ id, fromSeq }) =>
      id === theirs[i]?.id && fromSeq === theirs[i]?.fromSeq
    );
    if (at < 0) continue;
    // Lives are missing after the first one, so nobody knows where it ended.
    if (i === 0 && theirs.length >= KEPT_LIVES) return 0;
    const theirEnd = theirs[i + 1]?.fromSeq ?? seq;
    const ourEnd = lives[at + 1]?.fromSeq ?? Infinity;
    return Math.min(seq, theirEnd, ourEnd);
  }
  return 0;
}

/**
 * Tells whether a position is of another gateway, or of one whose data is gone, so that what is
 * there must not be given up for this one.
 *
 * @param lives the lives of the history, oldest first
 * @param position a position
 */
export function isOfAnother(
  lives: readonly PositionLife[],
  { seq, lives: theirs }: FlushPosition,
): boolean {
  const [ours] = lives;
  const [first] = theirs;
  if (seq === 0 || ours?.fromSeq !== 0 || first?.fromSeq !== 0) return false;
  return ours.id !== first.id;
}
